"""Build the sdist and the wheel of every package, into `dist/`."""

# ruff: noqa: INP001, S603 - a script that runs others

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

for project in sorted(ROOT.glob("packages/*/pyproject.toml")):
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(ROOT / "dist")]
    subprocess.run([*command, str(project.parent)], check=True)
