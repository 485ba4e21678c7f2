"""Wrong usage is refused with the exit code 2, before anything is sent."""

import json
import shlex

WRONG = """
ask
ask ''
ask hi -o foo
ask hi --temperature 99
ask hi --temperature nan
ask hi --max-tokens 0
ask hi --top-p 7
ask hi --stop ''
ask hi --reasoning much
ask hi --cache 2h
ask hi --seed x
ask hi --budget -1
ask hi --budget 0
ask hi --timeout 0
ask hi --timeout nan
ask hi --ledger ''
ask hi --tool nocolon
ask hi --schema 'a b c d'
ask hi --schema 'a, a'
ask hi --schema ''
ask hi --schema '{'
ask hi --schema a --schema-multi b
ask hi --schema a --extract
ask hi --json --extract
ask hi -p a=b
ask hi -a ''
ask hi -m ''
ask hi -m openai/
ask hi --provider ''
ask hi --provider openai --config FILE.toml
ask hi -c --conversation x
ask hi --no-such-option
ask hi -t FILE.md
ask -t FILE.md -p a
ask -t FILE.md -p b=1
ask -t FILE.md
chat openai -m openai
chat openai/
compare hi
compare hi -m ''
compare -m openai
map
map FILE.txt -p x -o o
map FILE.csv -o o
map FILE.csv -p x
map FILE.csv -p x -t y -o o
map FILE.csv -p x -o o --concurrency 0
batch submit FILE.txt -p x
batch submit FILE.csv
batch status x
batch wait openai:x --poll -1
batch results x
batch nosuch
embed
embed '' hi
embed c
embed c hi --dimensions 0
embed c --rows FILE.txt
embed c --id x -f FILE.txt
similar c
similar c hi --id x
similar c hi -n 0
costs x --by nosuch
costs x --format nosuch
costs x --format csv --json
costs x --format csv --output x.csv
costs x --output x.nosuch
costs x --since tomorrow
costs x --since 2026-11-02 --until 2026-11-01
logs -n -1
logs -c --conversation x
logs -s -r
logs -r --json
logs backup
use
use ''
use openai --forget
use openai/
count
pull ''
models openai/
doctor ''
templates nosuch
modls
config x
--no-such-option
"""
FAILURES = """
ask hi -f NONE
ask hi -a NONE.png
ask hi --schema NONE.json
ask hi --tool nosuch_module:f
ask hi --provider nosuch
ask hi --config NONE.toml
ask hi -t nosuch
ask hi -c
costs NONE
use nosuch
doctor nosuch
map NONE.csv -p x -o o
costs LONG
costs copy LONG x
embed c hi -d LONG
ask hi -t LONG
ask hi -f LONG
ask hi --ledger LONG
ask hi --config LONG.toml
map FILE.csv -p {text} -o LONG
"""


def test_wrong_usage_is_2_and_a_failure_is_1(bruno_llm, openai, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("FILE.txt", "FILE.csv", "FILE.toml"):
        (tmp_path / name).write_text("text\nhi\n")
    (tmp_path / "FILE.md").write_text("Say {{ a }}")
    for code, lines in ((2, WRONG), (1, FAILURES)):
        for line in lines.strip().splitlines():
            done = bruno_llm(*shlex.split(line.replace("LONG", "x" * 300)))
            assert (done.exit_code, done.stdout) == (code, ""), line
            assert done.stderr, line
    assert not openai.received
    done = bruno_llm("ask", "hi", "--temperature", "99")
    assert "Invalid value for --temperature" in done.stderr
    assert "; the length of an answer is --max-tokens" in done.stderr


def test_a_log_in_which_nothing_is_found_is_1_in_every_form(bruno_llm, openai):
    bruno_llm("logs", "on")
    bruno_llm("hi")
    for form in ("--short", "--response", "--json", "-n2"):
        done = bruno_llm("logs", "no such words", form)
        assert done.exit_code == 1
        assert ("nothing in the log" in done.stderr) == (form != "--json")
        assert bruno_llm("logs", "hi", form).exit_code == 0
    empty = bruno_llm("logs", "no such words", "--json").stdout
    assert json.loads(empty) == {"responses": []}
