"""Rehearse a release: serve the wheels of `dist/` from a package index, and install as users do.

Run `run.py build` first. Whether PyPI takes the files is not tested by this.
"""

# ruff: noqa: INP001, S603, T201 - a script that runs others and talks

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from wheels import DIST, HERE, PYTHON, built, new_environment

ROOT = HERE.parent
INSTALL = ("install", "--quiet", "--no-compile")  # compiled is what is imported
OLD = "bruno-llm==0.2.0"  # the last release before the packages were split


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and does not talk about it."""

    def log_message(self, *args: object) -> None:
        """Say nothing."""


class User:
    """Somebody with an empty environment, and pip."""

    def __init__(self, folder: Path, index: str) -> None:
        self.folder, self.index = folder, index
        self.pip = new_environment(folder / "env")
        self.python = str(folder / "env" / PYTHON)

    def installs(self, *arguments: str) -> None:
        """Run `pip install` with *arguments*; all that is ours must come from our index."""
        report = self.folder / "report.json"
        # an extra index, for the packages of others still come from where pip takes them here
        ours = ("--extra-index-url", self.index, "--report", str(report))
        quietly(*self.pip, *INSTALL, *ours, *arguments)
        quietly(*self.pip, "check")
        for item in json.loads(report.read_text())["install"]:
            name, url = item["metadata"]["name"], item["download_info"]["url"]
            if name in built() and not url.startswith(self.index):
                raise RuntimeError(f"{name} was installed from {url}, not from dist/")

    def runs(self, *arguments: str) -> None:
        """Run Python with *arguments*, away from the checkout."""
        quietly(self.python, "-I", *arguments, cwd=self.folder)

    def tries_readmes(self) -> None:
        """Run the examples of all READMEs, as the tests of the checkout do."""
        for file in (ROOT / "conftest.py", ROOT / "README.md", *ROOT.glob("packages/*/README.md")):
            copy = self.folder / "readmes" / file.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, copy)
        self.installs(
            "bruno-llm-otel", "bruno-llm-postgres", "bruno-llm-prompts", "bruno-llm-redis"
        )
        self.installs("bruno-llm-testing", "sybil~=10.1")
        self.runs("-m", "pytest", "--quiet", "--import-mode=importlib", "readmes")


def one_provider(user: User) -> None:
    """`pip install bruno-llm-claude` brings Claude, nothing of the others, and no command."""
    user.installs("bruno-llm-claude")
    user.installs("bruno-llm-testing")
    user.runs(str(HERE / "alone.py"), "bruno-llm-claude")


def everything(user: User) -> None:
    """`pip install bruno-core bruno-llm` brings all four, and the READMEs tell the truth."""
    user.installs("bruno-core", "bruno-llm")
    user.runs(str(HERE / "alone.py"), "bruno-llm")
    user.tries_readmes()


def upgrade(user: User) -> None:
    """`pip install --upgrade bruno-llm` over 0.2.0 leaves what a new installation would."""
    quietly(*user.pip, *INSTALL, OLD)
    user.installs("--upgrade", "bruno-llm")
    user.runs(str(HERE / "alone.py"), "bruno-llm")


def main() -> int:
    """Let all users try at the same time; return how many failed."""
    if not built():
        sys.exit("dist/ holds no wheels; make them with run.py build")
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor() as pool:
        folder = Path(name)
        with serving(folder / "index") as index:
            attempt = partial(fails, folder=folder, index=index)
            return sum(pool.map(attempt, (everything, upgrade, one_provider)))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the wheels from *folder*, and yield the address of the index."""
    for wheel in DIST.glob("*.whl"):
        project = folder / wheel.name.split("-")[0].replace("_", "-")
        project.mkdir(parents=True)
        shutil.copy(wheel, project)
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    # its listing of a folder, a page of links, is what a "simple" index must show of a project
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def fails(story: Callable[[User], None], folder: Path, index: str) -> bool:
    """Say whether *story* fails for a new user."""
    begun = time.monotonic()
    name = story.__name__
    try:
        (folder / name).mkdir()
        story(User(folder / name, index))
    except (subprocess.CalledProcessError, RuntimeError) as error:
        print(f"{name}: FAILED: {error}\n{getattr(error, 'stdout', '')}", flush=True)
        return True
    print(f"{name}: works ({time.monotonic() - begun:.0f} s)", flush=True)
    return False


def quietly(*command: str, cwd: Path | None = None) -> None:
    """Run *command*; what it says matters only if it fails."""
    subprocess.run(
        command, cwd=cwd, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


if __name__ == "__main__":
    sys.exit(main())
