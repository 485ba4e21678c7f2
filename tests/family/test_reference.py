"""The documentation's reference: whatever is public has a place in it."""

import importlib
import re
import tomllib
from pathlib import Path
from pkgutil import resolve_name

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
    names = {}
    for name in described():
        names.setdefault(id(resolve_name(name)), []).append(name)  # by whatever name it is called
    assert [same for same in names.values() if len(same) > 1] == []


def test_the_index_of_tasks_answers_each_in_few_lines():
    page = (ROOT / "docs/how-do-i.md").read_text()
    _, *tasks = re.split(r"^### ", page, flags=re.MULTILINE)
    assert len(tasks) >= 40
    for task in tasks:
        question = task.partition("\n")[0]
        programs = re.findall(r"^```\w+\n(.*?)^```$", task, re.MULTILINE | re.DOTALL)
        assert question.endswith("?")
        assert programs or "`" in task or "](" in task, question
        for program in programs:
            assert len([line for line in program.splitlines() if line]) <= 6, question
