"""The packages of this repository, which are the folders of packages/ and listed nowhere else."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECTS = {
    path.parent.name: tomllib.loads(path.read_text("utf-8"))
    for path in sorted(ROOT.glob("packages/*/pyproject.toml"))
}
package = pytest.mark.parametrize("name", PROJECTS)


def module_of(name):
    return name.replace("-", "_")


def siblings(name):
    """Return the packages of ours that *name* depends on."""
    needed = {re.match(r"[\w-]+", line)[0] for line in PROJECTS[name]["project"]["dependencies"]}
    return needed & set(PROJECTS)


@package
def test_a_folder_is_named_as_its_package_and_has_what_it_publishes(name):
    project, folder = PROJECTS[name]["project"], ROOT / "packages" / name
    assert project["name"] == name
    assert PROJECTS[name]["tool"]["towncrier"]["name"] == name
    assert (folder / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    assert (folder / project["readme"]).is_file()
    assert [
        path.name
        for path in (folder / "src").iterdir()
        if path.suffix != ".egg-info" and not path.name.endswith("-stubs")
    ] == [module_of(name)]
    assert (folder / "src" / module_of(name) / "py.typed").is_file()


@package
def test_only_the_umbrella_and_the_command_depend_on_more_than_the_base(name):
    if name == "bruno-llm":
        assert {"bruno-llm-base", "bruno-llm-cli"} < siblings(name)
    elif name == "bruno-llm-cli":
        assert siblings(name) == {"bruno-llm-base", "bruno-llm-prompts"}
    else:
        assert siblings(name) == {"bruno-llm-base"} - {name}


@package
def test_a_package_imports_of_ours_what_it_depends_on(name):
    modules = {module_of(other) for other in PROJECTS}
    allowed = {module_of(other) for other in (*siblings(name), name)}
    for path in (ROOT / "packages" / name / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            found = []
            if isinstance(node, ast.Import):
                found = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                found = [node.module]
            tops = {name.partition(".")[0] for name in found}
            assert tops & modules <= allowed, f"{path}:{node.lineno}"
