"""Ledgers of the command are copied to a server, and reported from there."""

from decimal import Decimal

from bruno_llm_base import CostTracker, Usage
from bruno_llm_cli.app import app
from typer.testing import CliRunner

KEYS = ("day", "provider", "model", "tag", "user")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="bruno-llm")


def test_a_file_is_copied_to_a_server_and_reported_from_there(url, tmp_path):
    tracker = CostTracker(tmp_path / "costs.db")
    for number in range(3):
        tracker.record(
            provider="openai",
            model=f"gpt-{number}",
            usage=Usage(input_tokens=number, output_tokens=1),
            cost=Decimal("0.000000000001"),
            tag="a" if number else None,
        )
    rows = tracker.total(KEYS)
    tracker.close()
    for told in ("3 rows copied, 0 were there", "0 rows copied, 3 were there"):
        done = run("costs", "copy", tmp_path / "costs.db", url)
        assert (done.exit_code, told in done.stderr) == (0, True)
        server = CostTracker(url)
        assert server.total(KEYS) == rows
        server.close()
    assert "gpt-2" in run("costs", url).stdout
    assert run("costs", "copy", url, tmp_path / "back.db").exit_code == 0
    back = CostTracker(tmp_path / "back.db")
    assert back.total(KEYS) == rows
    back.close()
