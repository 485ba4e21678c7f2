"""mypy and pyright, both strict, read what users write."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REFUSED = {
    number
    for number, line in enumerate((HERE / "refused.py").read_text().splitlines(), 1)
    if line.endswith("# refused")
}


def mypy(file):
    told = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", file],
        cwd=HERE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not told.stderr
    return [
        (int(number), text)
        for number, text in re.findall(rf"^{file}:(\d+): error: (.*)", told.stdout, re.MULTILINE)
    ]


def pyright(file, folder):
    settings = folder / "pyrightconfig.json"
    settings.write_text(json.dumps({"typeCheckingMode": "strict", "include": [str(HERE / file)]}))
    told = subprocess.run(
        [
            *(sys.executable, "-m", "basedpyright", "--outputjson"),
            *("--project", str(settings), "--pythonpath", sys.executable),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return [
        (item["range"]["start"]["line"] + 1, item["message"])
        for item in json.loads(told.stdout)["generalDiagnostics"]
        if item["severity"] == "error"
    ]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_what_is_right_is_accepted_and_what_is_wrong_refused(checker, tmp_path):
    def check(file):
        return mypy(file) if checker == "mypy" else pyright(file, tmp_path)

    assert check("accepted.py") == []
    assert {line for line, _ in check("refused.py")} == REFUSED
