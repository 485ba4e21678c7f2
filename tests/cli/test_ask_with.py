"""What goes with a question, and what is made of its answer."""

import json
import textwrap

import pytest
from bruno_llm_base import ToolCall
from bruno_llm_testing import FakeAnswer

HELLO = "Hello from the fake server.\n"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0"
    "000003010100c9fe92ef0000000049454e44ae426082"
)
CODE = "So:\n\n```python\nprint('```')\n```\n\nOr:\n\n```sh\nls\n```\n"


def asked(server):
    return server.bodies[-1]["messages"][-1]["content"]


# -- files and attachments -----------------------------------------------------------------------------


def test_files_go_before_the_question_with_their_names(bruno_llm, openai, tmp_path):
    one, two = tmp_path / "one.txt", tmp_path / "two.md"
    one.write_text("first\n\n")
    two.write_text("zweité", encoding="utf-8")
    bruno_llm("-f", one, "--file", two, "Compare them", text="piped\n")
    assert asked(openai) == (
        f'<file name="{one}">\nfirst\n</file>\n\n<file name="{two}">\nzweité\n</file>\n\n'
        "piped\n\nCompare them"
    )
    bruno_llm("-f", one)
    assert asked(openai) == f'<file name="{one}">\nfirst\n</file>'


def test_what_cannot_be_read_is_told_before_anything_is_sent(bruno_llm, openai, tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    for words, why in (
        (("-f", tmp_path / "none.txt"), "none.txt cannot be read: No such file"),
        (("-f", tmp_path), "cannot be read: Is a directory"),
        (("-f", binary), "is not text in UTF-8"),
        (("-a", tmp_path / "none.png"), "none.png' does not exist"),
        (("-a", tmp_path), "is a folder"),
        (("-a", "-"), "stdin is empty"),
    ):
        done = bruno_llm(*words, "hi")
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1), words
        assert why in done.stderr
    assert not openai.received


def test_attachments_go_with_the_question(bruno_llm, openai, tmp_path):
    picture = tmp_path / "a picture"
    picture.write_bytes(PNG)
    for words, text in (
        (("-a", picture), None),
        (("-a", "-"), PNG),
        (("-a", picture, "--attachment", "https://example.com/b.png"), "piped"),
    ):
        assert bruno_llm(*words, "What is it?", text=text).stdout == HELLO
    *one, last = (
        [part["type"] for part in body["messages"][0]["content"]] for body in openai.bodies
    )
    assert one == [["image_url", "text"]] * 2
    assert last == ["image_url", "image_url", "text"]
    sent = openai.bodies[1]["messages"][0]["content"]
    assert sent[0]["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert sent[1]["text"] == "What is it?"
    assert openai.bodies[2]["messages"][0]["content"][2]["text"] == "piped\n\nWhat is it?"


# -- typed answers -------------------------------------------------------------------------------------


def schema_sent(server):
    return server.bodies[-1]["response_format"]["json_schema"]["schema"]


def test_a_schema_in_words(bruno_llm, openai):
    openai.say(FakeAnswer(text='```json\n{"name": "Zoë", "age": 7, "bio": "A cat"}\n```'), times=2)
    words = ("--schema", "name, age int, bio: in a sentence", "Invent a cat")
    done = bruno_llm(*words)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == '{\n  "name": "Zoë",\n  "age": 7,\n  "bio": "A cat"\n}\n'
    sent = schema_sent(openai)
    assert sent["required"] == ["name", "age", "bio"]
    assert sent["properties"]["age"]["type"] == "integer"
    assert sent["properties"]["bio"]["description"] == "in a sentence"
    document = json.loads(bruno_llm(*words, "--json").stdout)
    assert document["output"] == {"name": "Zoë", "age": 7, "bio": "A cat"}


def test_a_schema_on_lines_and_of_several(bruno_llm, openai):
    openai.say(FakeAnswer(text='{"result": [{"name": "A, B", "weight": 1.5, "alive": true}]}'))
    lines = "name: family name, given name\nweight float\nalive bool\n"
    done = bruno_llm("--schema-multi", lines, "Invent cats")
    assert json.loads(done.stdout) == [{"name": "A, B", "weight": 1.5, "alive": True}]
    assert "family name, given name" in json.dumps(schema_sent(openai))


def test_an_answer_that_does_not_fit_is_asked_for_again(bruno_llm, openai):
    openai.say(FakeAnswer(text='{"age": "old"}'))
    openai.say(FakeAnswer(text='{"age": 7}'))
    assert json.loads(bruno_llm("--schema", "age int", "hi").stdout) == {"age": 7}
    openai.say(FakeAnswer(text='{"age": "old"}'), times=2)
    done = bruno_llm("--schema", "age int", "hi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "age: Input should be a valid integer" in done.stderr


def test_a_schema_of_json_in_place_and_in_a_file(bruno_llm, openai, tmp_path):
    schema = {
        "type": "object",
        "properties": {"cat": {"$ref": "#/$defs/Cat"}},
        "$defs": {"Cat": {"type": "object", "properties": {"name": {"type": "string"}}}},
    }
    path = tmp_path / "cat.json"
    path.write_text(json.dumps(schema))
    for given in (path, json.dumps(schema)):
        openai.say(FakeAnswer(text='{"cat": {"name": "Tom"}}'))
        assert json.loads(bruno_llm("--schema", given, "hi").stdout) == {"cat": {"name": "Tom"}}
    openai.say(FakeAnswer(text='{"result": [{"cat": {"name": "Tom"}}]}'))
    done = bruno_llm("--schema-multi", path, "hi")
    assert json.loads(done.stdout) == [{"cat": {"name": "Tom"}}]


@pytest.mark.parametrize(
    ("schema", "cure"),
    [
        ("age integer", "perhaps a type (str, int, float, bool)"),
        ("name str twice", "has the field 'name str twice'"),
        (": what", "give a name"),
        ("age int, age", "names a field twice"),
        (" , ", "give fields such as 'name, age int'"),
        ("{'a': 1}", "--schema is not JSON"),
        ('{"a": 1}', "give a JSON schema"),
        ("none.json", "none.json cannot be read: No such file"),
        ("[1].json", "[1].json is not a JSON schema"),
    ],
)
def test_an_impossible_schema_is_told(bruno_llm, openai, tmp_path, monkeypatch, schema, cure):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[1].json").write_text("[1]")
    done = bruno_llm("--schema", schema, "hi")
    of_file_or_base = schema.endswith(".json") or schema == '{"a": 1}'
    assert (done.exit_code, done.stdout) == (1 if of_file_or_base else 2, "")
    assert cure in done.stderr
    assert not openai.received


def test_both_kinds_of_schema_are_too_many(bruno_llm, openai):
    assert "not both" in bruno_llm("--schema", "a", "--schema-multi", "b", "hi").stderr
    assert bruno_llm("--schema", "a", "-x", "hi").exit_code == 2


# -- code and usage ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (CODE, "print('```')\n"),
        ("```\na\n```", "a\n"),
        ("~~~~ c++ title\nx\n~~~\ny\n~~~~\n```\nz\n```", "x\n~~~\ny\n"),
        ("1. do\n\n   ```js\n   x\n   ```\n", "   x\n"),
        ("```py\ncut of", "cut of\n"),
        ("```py\n```", "\n"),
    ],
)
def test_the_first_block_of_code(bruno_llm, openai, answer, code):
    openai.say(FakeAnswer(text=answer))
    done = bruno_llm("-x", "Write it")
    assert (done.exit_code, done.stdout, done.stderr) == (0, code, "")


def test_without_a_block_nothing_goes_to_stdout(bruno_llm, openai):
    done = bruno_llm("--extract", "Write it")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith(HELLO)
    assert "has no fenced block of code" in done.stderr


@pytest.mark.parametrize("how", [(), ("--no-stream",), ("--json",)])
def test_what_it_took_is_told(bruno_llm, openai, how):
    done = bruno_llm("-u", *how, "hi")
    assert done.exit_code == 0
    assert done.stderr.startswith("bruno-llm: 11 tokens in, 7 out, $0.0000")


def test_what_it_took_where_it_is_free_or_not_known(bruno_llm, ollama, openai, monkeypatch):
    assert bruno_llm("--usage", "-m", "ollama/qwen3:8b", "hi").stderr.endswith(" out, $0\n")
    monkeypatch.setattr(type(openai), "models", ("my-own-model",))
    assert "price unknown" in bruno_llm("-u", "-m", "openai/my-own-model", "hi").stderr


def test_a_budget_holds(bruno_llm, openai):
    done = bruno_llm("--budget", "0.0000001", "hi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "budget" in done.stderr
    assert not openai.received
    assert bruno_llm("--budget", 1, "--max-tokens", 99, "hi").stdout == HELLO
    assert "give a number above 0" in bruno_llm("--budget", 0, "hi").stderr


# -- tools ---------------------------------------------------------------------------------------------


@pytest.fixture
def tools(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", ["", *__import__("sys").path])
    (tmp_path / "my_weather.py").write_text(textwrap.dedent('''
            def weather(city: str, days: int = 1) -> str:
                """Tell the weather."""
                return f"sunny in {city}"

            def broken(city: str) -> str:
                raise KeyError(city)

            def untyped(city):
                return city

            number = 3
            '''))
    (tmp_path / "my_mistake.py").write_text("1 / 0")
    yield tmp_path
    for name in ("my_weather", "my_mistake"):
        __import__("sys").modules.pop(name, None)


CALL = FakeAnswer(
    text="I look.",
    tool_calls=(ToolCall(id="call_1", name="weather", arguments='{"city": "Rome", "days": 2}'),),
    finish_reason="tool_call",
)


@pytest.mark.parametrize("how", [(), ("--no-stream",)])
@pytest.mark.parametrize("name", ["my_weather:weather", "./my_weather.py:weather"])
def test_a_tool_is_called_and_the_call_told(bruno_llm, openai, tools, how, name):
    openai.say(CALL)
    done = bruno_llm("--tool", name, *how, "Weather in Rome?")
    assert (done.exit_code, done.stdout.endswith(HELLO)) == (0, True)
    assert done.stderr == (
        "bruno-llm: weather(city='Rome', days=2)\nbruno-llm: weather returns: sunny in Rome\n"
    )
    assert openai.bodies[-1]["messages"][-1]["content"] == "sunny in Rome"


def test_a_tool_that_fails_is_told_to_the_model_and_the_user(bruno_llm, openai, tools):
    call = ToolCall(id="call_1", name="broken", arguments='{"city": "Rome"}')
    openai.say(FakeAnswer(tool_calls=(call,), finish_reason="tool_call"))
    done = bruno_llm("--tool", "my_weather:broken", "-u", "Weather in Rome?")
    assert done.stdout.endswith(HELLO)
    assert "broken fails: KeyError: 'Rome'" in done.stderr
    assert "22 tokens in, 14 out" in done.stderr


def test_tools_and_a_schema(bruno_llm, openai, tools):
    openai.say(CALL)
    openai.say(FakeAnswer(text='{"sunny": true}'))
    done = bruno_llm("--tool", "my_weather:weather", "--schema", "sunny bool", "Rome?")
    assert json.loads(done.stdout) == {"sunny": True}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("weather", "give MODULE:FUNCTION"),
        ("nowhere:weather", "No module named 'nowhere'; looked for nowhere.py in "),
        ("none.py:weather", "No module named 'none'; looked for none.py in "),
        ("my_weather:wether", "has no attribute 'wether'"),
        ("my_mistake:weather", "ZeroDivisionError: division by zero"),
        ("my_weather:number", "is a int: give a function"),
        ("my_weather:untyped", "city"),
    ],
)
def test_a_tool_that_cannot_be_used_is_told(bruno_llm, openai, tools, name, why):
    done = bruno_llm("--tool", name, "hi")
    assert (done.exit_code, done.stdout) == (1 if ":" in name else 2, "")
    assert why in done.stderr
    assert not openai.received


@pytest.mark.parametrize("columns", [60, 120])
def test_at_a_terminal_what_is_told_begins_a_line_and_breaks_at_words(
    openai, tools, columns, at_a_terminal
):
    openai.say(CALL)
    shown = at_a_terminal("--tool", "my_weather:weather", "Rome?", columns=columns)
    assert shown[:3] == [
        "I look.",
        "bruno-llm: weather(city='Rome', days=2)",
        "bruno-llm: weather returns: sunny in Rome",
    ]
    shown = at_a_terminal("--tool", "nowhere_at_all:weather", "Rome?", columns=columns)
    assert max(len(line) for line in shown if " " in line) < columns
    assert "No module named 'nowhere_at_all'" in " ".join(shown)
