"""The documentation's reference: whatever is public has a place in it."""

import importlib
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECTS = {
    path.parent.name.replace("-", "_"): tomllib.loads(path.read_text("utf-8"))["project"]
    for path in ROOT.glob("packages/*/pyproject.toml")
}
# the base, the testing kit and the providers; the umbrella only passes on
MODULES = [
    "bruno_llm_base",
    "bruno_llm_prompts",
    *(name for name in PROJECTS if "entry-points" in PROJECTS[name]),
]


def described():
    pages = "".join(path.read_text() for path in (ROOT / "docs").rglob("*.md"))
    return re.findall(r"^::: ([\w.]+)$", pages, re.MULTILINE)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_described(module):
    public = importlib.import_module(module).__all__
    told = described()
    assert [name for name in public if f"{module}.{name}" not in told] == []


def test_every_event_is_described():
    from bruno_llm_base import events

    kinds = [events.Event, *events.Event.__subclasses__()]
    names = {f"bruno_llm_base.events.{kind.__name__}" for kind in kinds}
    assert names <= set(described())


def test_nothing_is_described_twice_or_missing():
    names = described()
    assert len(names) == len(set(names))
    for name in names:
        module, _, last = name.rpartition(".")
        assert hasattr(importlib.import_module(module), last), name
