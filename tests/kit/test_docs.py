"""docs/testing.md: its files, run as they stand."""

import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
FILES = dict(
    re.findall(
        r'^```python title="(\w+\.py)"\n(.*?)^```$', PAGE.read_text(), re.DOTALL | re.MULTILINE
    )
)
TESTS = [name for name in FILES if name.startswith("test_")]


@pytest.fixture
def run(pytester, monkeypatch):
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name, text in FILES.items():
        (pytester.path / name).write_text(text)
    pytester.makeini("[pytest]\nasyncio_mode = auto\npythonpath = .")
    plugins = ["-p", "bruno_llm_testing.plugin", "-p", "pytest_asyncio.plugin"]

    def run(*arguments):
        return pytester.runpytest_subprocess(*plugins, "-W", "ignore", *arguments)

    return run


def test_the_page_has_what_it_promises():
    assert len(TESTS) == 6
    (tutorial,) = [name for name in TESTS if name == "test_weather.py"]
    assert len([line for line in FILES[tutorial].splitlines() if line.strip()]) <= 10
    assert PAGE.read_text().count("```python") == len(FILES)


@pytest.mark.parametrize("name", [name for name in TESTS if name != "test_recorded.py"])
def test_its_tests_pass(run, name):
    result = run(name)
    assert result.ret == 0
    assert result.parseoutcomes()["passed"] == FILES[name].count("def test_")


def test_its_recording_is_made_and_replayed(run, monkeypatch):
    from bruno_llm_testing import FakeOpenAI

    with FakeOpenAI() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.connection()["base_url"])
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        run("test_recorded.py", "--llm-record=missing").assert_outcomes(passed=1)
    monkeypatch.delenv("OPENAI_API_KEY")
    run("test_recorded.py").assert_outcomes(passed=1)
