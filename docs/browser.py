"""A real browser, without a window, for looking at pages that we write.

It speaks the Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol/.
"""

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # containers often allow none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--no-first-run",
    "--log-level=3",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves
    "--remote-debugging-port=0",
)
START = 60.0  # seconds


def found() -> str:
    """Return the browser's command."""
    for name in NAMES:
        if command := shutil.which(name):
            return command
    raise RuntimeError(
        f"none of {', '.join(NAMES)} is installed; `apt-get install chromium`, or the like, helps"
    )


class Page:
    """One page, in a window of a certain size.

    Attributes:
        asked: The addresses that it has asked for.
        complaints: What the browser has complained about.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self._socket = socket
        self._session: str | None = None
        self._number = 0
        self._events: list[dict[str, Any]] = []

    async def open(self, place: Path | str, width: int, height: int, *, dark: bool = False) -> None:
        """Load *place*, an absolute path or an address, and wait until it is there."""
        target = await self.call("Target.createTarget", url="about:blank")
        attached = await self.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        self._events.clear()
        address = place if isinstance(place, str) else place.as_uri()
        await self.call("Page.navigate", url=address)
        while not any(event["method"] == "Page.loadEventFired" for event in self._events):
            await self._read()

    async def ask(self, expression: str) -> Any:
        """Return the value of *expression*, JavaScript that the page itself could not run."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def picture(self) -> bytes:
        """Return what the window shows, as PNG."""
        shot = await self.call("Page.captureScreenshot", format="png")
        return base64.b64decode(shot["data"])

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        while (answer := await self._read()).get("id") != self._number:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    async def _read(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json(timeout=START)
        if "method" in message:
            self._events.append(message)
        if message.get("method") == "Network.requestWillBeSent":
            self.asked.append(message["params"]["request"]["url"])
        if message.get("method") == "Log.entryAdded":
            self.complaints.append(message["params"]["entry"]["text"])
        if message.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(message["params"]["exceptionDetails"]["text"])
        if message.get("method") == "Runtime.consoleAPICalled":
            self.complaints.append(str(message["params"]["args"]))
        return message


@asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """Start a browser, give a page of it, and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            found(),
            *FLAGS,
            f"--user-data-dir={profile}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert process.stderr is not None  # noqa: S101 - for mypy
        try:
            async with asyncio.timeout(START):
                address = await _address(process.stderr)
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(address, max_msg_size=0) as socket,
            ):
                page = Page(socket)
                yield page
                await socket.send_json({"id": 0, "method": "Browser.close"})
        finally:
            if process.returncode is None:
                process.terminate()
            await process.communicate()  # reads on, so that it can end


async def _address(said: asyncio.StreamReader) -> str:
    lines = []
    async for line in said:
        words = line.decode().split()
        if words[:3] == ["DevTools", "listening", "on"]:
            return words[3]
        lines.append(line.decode())
    raise RuntimeError(f"the browser did not start: {''.join(lines)}")
