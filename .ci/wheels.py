"""Install each wheel of `dist/` alone in an environment of its own, and use it there.

    python3 .ci/wheels.py                       all of them
    python3 .ci/wheels.py bruno-llm-claude      this one; what is not in dist/ comes from the index

What each must do is in `alone.py`.
"""

# ruff: noqa: INP001, S603, T201 - a script that runs others and talks

import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE.parent / "dist"
sys.path.insert(0, str(HERE.parent))

from run import PYTHON, new_environment  # noqa: E402

PACKAGES = HERE.parent / "packages"


def main(*names: str) -> int:
    """Try the wheels of *names*, or every one, two at a time; return how many failed."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        versions = Path(folder) / "versions.txt"
        versions.write_text("".join(f"{name}=={version}\n" for name, version in built().items()))
        chosen = names or sorted(path.name for path in PACKAGES.iterdir())
        return sum(pool.map(lambda name: fails(name, Path(folder) / name, versions), chosen))


def built() -> dict[str, str]:
    """Return the versions of the wheels in `dist/`, by name."""
    wheels = [wheel.name.split("-") for wheel in DIST.glob("*.whl")]
    versions = {parts[0].replace("_", "-"): parts[1] for parts in wheels}
    if len(versions) != len(wheels):
        sys.exit("dist/ holds two versions of one package; empty it and build again")
    return versions


def fails(name: str, folder: Path, versions: Path) -> bool:
    """Say whether the wheel of *name* fails; our *versions* are those of `dist/`."""
    begun = time.monotonic()
    ours = ("--find-links", str(DIST), "--constraint", str(versions))
    try:
        pip = new_environment(folder)
        project = tomllib.loads((PACKAGES / name / "pyproject.toml").read_text("utf-8"))["project"]
        # a provider needs a server to talk to
        kit = ["bruno-llm-testing"] if "entry-points" in project else []
        quietly(*pip, "install", "--quiet", "--no-compile", *ours, name, *kit)
        quietly(str(folder / PYTHON), "-I", str(HERE / "alone.py"), name)
    except subprocess.CalledProcessError as error:
        print(f"{name}: FAILED\n{error.stdout}", flush=True)
        return True
    print(f"{name}: works alone ({time.monotonic() - begun:.0f} s)", flush=True)
    return False


def quietly(*command: str) -> None:
    """Run *command*; what it says matters only if it fails."""
    subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
