"""Pictures of the built site: `python3 run.py docs`, and then

`python3 run.py hatch run checks:python docs/site_pictures.py` writes docs/images/site-*.png.

Chromium is needed.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from browser import browser

SITE = Path(__file__).resolve().parent.parent / "site"
IMAGES = Path(__file__).parent / "images"
PAGES = {"home": "", "provider": "providers/claude/", "api": "api/"}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
MOST_BYTES = 200_000


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is called there
        """Say nothing."""


@contextmanager
def served(folder: Path = SITE) -> Iterator[str]:
    """Serve *folder* on this machine; give its address."""
    if not (folder / "index.html").is_file():
        raise FileNotFoundError(f"{folder} holds no site: build it with `python3 run.py docs`")
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


async def picture(address: str, width: int, height: int, *, dark: bool) -> bytes:
    """Return what *address* looks like."""
    async with browser() as page:
        await page.open(address, width, height, dark=dark)
        await asyncio.sleep(0.5)  # until what moves into place has done so
        return await page.picture()


def main() -> None:
    """Take the pictures."""
    with served() as site:
        for name, path in PAGES.items():
            for size, (width, height) in SIZES.items():
                for scheme in ("light", "dark"):
                    shot = asyncio.run(picture(site + path, width, height, dark=scheme == "dark"))
                    if len(shot) > MOST_BYTES:
                        raise ValueError(f"{name}, {size}, {scheme}: {len(shot)} bytes")
                    (IMAGES / f"site-{name}-{size}-{scheme}.png").write_bytes(shot)


if __name__ == "__main__":
    main()
