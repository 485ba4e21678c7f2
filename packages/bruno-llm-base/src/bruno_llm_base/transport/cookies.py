"""Which cookies of a server are sent back to it."""

from http.cookiejar import Cookie, CookieJar, DefaultCookiePolicy
from urllib.request import Request

__all__ = ["cookie_jar"]


class _SoundOnly(DefaultCookiePolicy):
    def set_ok(self, cookie: Cookie, request: Request) -> bool:
        said = f"{cookie.name}{cookie.value or ''}{cookie.path}"
        return said.isascii() and said.isprintable() and super().set_ok(cookie, request)


def cookie_jar() -> CookieJar:
    """Return a jar without cookies that no header can hold.

    httpx keeps any, sends them with every later request, and aiohttp refuses to: one bad answer
    would spoil a client for good.
    """
    return CookieJar(_SoundOnly())
