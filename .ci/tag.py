"""Say what a tag releases, or why it must not.

    python3 .ci/tag.py bruno-llm-claude-v0.3.0 notes.md

Prints the package's name and version as `key=value`, and writes its release notes.
"""

# ruff: noqa: INP001, T201 - a script that talks

import re
import sys
import tomllib
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent / "packages"


def main(tag: str, notes: str) -> None:
    """Check *tag*, say what it stands for, and write the *notes*."""
    name, _, version = tag.rpartition("-v")
    package = PACKAGES / name
    if not (name and (package / "pyproject.toml").is_file()):
        sys.exit(f"{tag}: there is no package {name!r}")
    found = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    if found != version:
        sys.exit(f"{tag}: {name} has version {found}")
    if left := sorted(file.name for file in package.glob("changelog.d/*.md")):
        sys.exit(f"{tag}: not yet in its changelog: {', '.join(left)}")
    Path(notes).write_text(section(package / "CHANGELOG.md", f"# {name} {version} "), "utf-8")
    print(f"name={name}\nversion={version}")


def section(changelog: Path, heading: str) -> str:
    """Return what stands in *changelog* below the line that begins with *heading*."""
    text = changelog.read_text("utf-8") if changelog.is_file() else ""
    for part in re.split(r"^(?=# )", text, flags=re.MULTILINE):
        if part.startswith(heading):
            return part.partition("\n")[2].strip() + "\n"
    sys.exit(f"{changelog.name} has no section {heading.strip('# ')!r}")


if __name__ == "__main__":
    main(*sys.argv[1:])
