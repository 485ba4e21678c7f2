"""What docs/prompts.md says is printed is printed."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "prompts.md").read_text(encoding="utf-8")


def test_the_errors_of_the_page_are_those_of_the_code():
    ((code, shown),) = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    program = code.rpartition("```python\n")[2]
    said = StringIO()
    with redirect_stdout(said):
        exec(program, {})  # noqa: S102 - the page is ours
    assert said.getvalue() == shown
