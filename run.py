"""Everything to be done with this checkout, on nothing but Python and pip.

    python3 run.py demo "What is the sea?"    stream one answer from each provider
    python3 run.py test                       run the tests, with coverage

Further commands: bench, types, lint, imports, docs, browser, fleet, build, and `hatch ...` for all that
hatch can do.
The first run makes a private environment in `.env/`, with hatch in it.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

HATCH = "hatch==1.18.2"
COMMANDS = {
    "demo": ["run", "demo:run"],
    "test": ["test", "--cover"],
    "bench": ["run", "bench:run"],
    "types": ["run", "checks:types"],
    "lint": ["run", "lint:check"],
    "imports": ["run", "checks:imports"],
    "browser": ["run", "checks:browser"],
    "fleet": ["run", "fleet:test"],
    "docs": ["run", "docs:build"],
    "build": ["run", "release:build"],
    "hatch": [],
}
ROOT = Path(__file__).resolve().parent
ENV = ROOT / ".env"
PYTHON = "Scripts/python.exe" if os.name == "nt" else "bin/python"  # below an environment
CONFIG = ENV / "config.toml"
STAMP = ENV / "made-of"


def main(command: str = "", *arguments: str) -> int:
    """Run *command* in the private environment, and return its exit code."""
    if sys.version_info < (3, 11):  # noqa: UP036 - users may have any
        print(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.", file=sys.stderr)
        return 2
    if command not in COMMANDS:
        print(__doc__, file=sys.stderr)
        return 2
    made_of = fingerprint()
    if not STAMP.is_file() or STAMP.read_text() != made_of:
        make()
        STAMP.write_text(made_of)
    os.environ.update(HATCH_DATA_DIR=str(ENV / "hatch"), HATCH_CONFIG=str(CONFIG))
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is for the command; its exit code counts
    return subprocess.call([ENV / PYTHON, "-m", "hatch", *COMMANDS[command], *arguments], cwd=ROOT)


def fingerprint() -> str:
    """Return what the environment depends on: editable installs do not notice new metadata."""
    files = [Path(__file__), ROOT / "hatch.toml", *sorted(ROOT.glob("packages/*/pyproject.toml"))]
    parts = [sys.version.encode(), str(ROOT).encode(), *(file.read_bytes() for file in files)]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def make() -> None:
    """Make the environment from nothing."""
    print("Making a private environment in .env/, once; this takes a minute.", file=sys.stderr)
    shutil.rmtree(ENV, ignore_errors=True)
    pip = new_environment(ENV)
    subprocess.run([*pip, "install", "--quiet", HATCH], check=True)
    CONFIG.touch()


def new_environment(folder: Path) -> "list[str]":
    """Make an empty virtual environment, and return the command that is its pip."""
    venv, python = [sys.executable, "-m", "venv", str(folder)], str(folder / PYTHON)
    if find_spec("pip"):  # Debian's venv cannot bring pip along, but pip can work from outside
        subprocess.run([*venv, "--without-pip"], check=True)
        return [sys.executable, "-m", "pip", "--python", python]
    subprocess.run(venv, check=True)
    return [python, "-m", "pip"]


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
