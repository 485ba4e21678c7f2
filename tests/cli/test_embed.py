"""The commands `embed`, `similar` and `collections`."""

import json
import sqlite3
import struct

import pytest


@pytest.fixture
def file(tmp_path):
    return tmp_path / "vectors.db"


@pytest.fixture
def embed(bruno_llm, file):
    def run(*words, code=0, **options):
        done = bruno_llm("embed", "notes", "-d", file, *words, **options)
        assert done.exit_code == code, done.stderr
        return (
            done.stderr if code else json.loads(done.stdout) if "--json" in words else done.stderr
        )

    return run


@pytest.fixture
def similar(bruno_llm, file):
    def run(*words, code=0):
        done = bruno_llm("similar", "notes", "-d", file, *words, "--json")
        assert done.exit_code == code, done.stderr
        return done.stderr if code else json.loads(done.stdout)["matches"]

    return run


@pytest.fixture(autouse=True)
def _prices(monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_OPENAI_EMBEDDING_PRICE_NAME", "openai")  # what it stands for


def asked(server):
    return [each.body for each in server.received if each.method == "POST"]


def sent(server):
    return [text for body in asked(server) for text in body["input"]]


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,text\na,cats\nb,dogs\nc,cats\nd, \n", encoding="utf-8-sig")
    return path


def test_a_text_is_found_by_a_text(embed, similar, openai):
    told = embed("-m", "openai/text-embedding-3-small", "The", "cat", "sleeps", "--id", "cat")
    assert told.startswith("bruno-llm: notes: 1 embedded, $0.0000")
    embed("Shares fell", "--id", "shares")
    embed(text="from a pipe\n")
    assert sent(openai) == ["The cat sleeps", "Shares fell", "from a pipe"]
    best, *others = similar("The cat sleeps")
    assert (best["id"], best["text"]) == ("cat", "The cat sleeps")
    assert best["score"] == pytest.approx(1, abs=1e-6)
    assert all(-1 <= other["score"] < 0.9 for other in others)
    assert len(similar("The cat sleeps", "-n", 2)) == 2
    assert {body["model"] for body in asked(openai)} == {"text-embedding-3-small"}


def test_an_entry_is_compared_with_the_others_and_nothing_is_sent(embed, similar, openai, rows):
    embed("-m", "openai", "--rows", rows, "--key", "id")
    before = len(asked(openai))
    found = similar("--id", "a")
    assert [match["id"] for match in found] == ["c", "b"]
    assert found[0]["score"] == pytest.approx(1, abs=1e-6)
    assert len(asked(openai)) == before
    assert "holds nothing with the id 'x'" in similar("--id", "x", code=1)


def test_no_text_is_sent_twice(embed, openai, rows):
    words = ("-m", "openai", "--rows", rows, "--key", "id", "--json")
    first = embed(*words)
    assert (first["embedded"], first["there"], first["empty"]) == (2, 1, 1)
    assert (first["provider"], first["model"]) == ("openai", "text-embedding-3-small")
    assert (first["dimensions"], float(first["cost"]) > 0) == (1536, True)
    again = embed(*words)
    assert (again["embedded"], again["there"], again["cost"]) == (0, 3, "0")
    rows.write_text("id,text\na,birds\nb,dogs\ne,cats\n")
    assert (embed(*words)["embedded"], sent(openai)) == (1, ["cats", "dogs", "birds"])


def test_collections_of_one_model_share_what_is_known(bruno_llm, file, openai):
    for name in ("one", "two"):
        assert bruno_llm("embed", name, "-d", file, "-m", "openai", "cats").exit_code == 0
    assert sent(openai) == ["cats"]
    small = ("embed", "three", "-d", file, "-m", "openai", "--dimensions", 256, "cats")
    assert bruno_llm(*small).exit_code == 0
    assert asked(openai)[-1]["dimensions"] == 256
    assert bruno_llm("similar", "three", "-d", file, "dogs").exit_code == 0
    assert asked(openai)[-1]["dimensions"] == 256
    listed = json.loads(bruno_llm("collections", "-d", file, "--json").stdout)["collections"]
    assert [(each["name"], each["dimensions"], each["entries"]) for each in listed] == [
        ("one", 1536, 1),
        ("three", 256, 1),
        ("two", 1536, 1),
    ]
    assert "three" not in bruno_llm("collections", "-d", file, "--delete", "three").stdout
    assert bruno_llm("similar", "three", "-d", file, "dogs").exit_code == 1


@pytest.mark.parametrize(
    "other",
    [("-m", "openai/text-embedding-3-large"), ("-m", "ollama"), ("--dimensions", "256")],
)
def test_another_model_is_refused(embed, openai, ollama, other):
    embed("-m", "openai", "cats")
    told = embed(*other, "dogs", code=1)
    assert "notes holds vectors of openai/text-embedding-3-small (1536 dimensions)" in told
    assert (sent(openai), asked(ollama)) == (["cats"], [])


def test_the_environment_does_not_change_a_collection(embed, openai, ollama, monkeypatch):
    embed("-m", "ollama", "cats")
    monkeypatch.setenv("BRUNO_LLM_EMBEDDING_PROVIDER", "openai")
    embed("dogs")
    assert (len(asked(ollama)), asked(openai)) == (2, [])


def test_files_and_lines_of_json_are_embedded(embed, similar, openai, tmp_path):
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(f"text of {name}\n", encoding="utf-8")
    lines = tmp_path / "in.jsonl"
    lines.write_text('{"title": "T", "body": "B"}\n')
    embed("-m", "openai", "-f", tmp_path / "a.txt", "-f", tmp_path / "b.txt", text="not read")
    embed("--rows", lines, "--template", "{title}: {body}")
    assert sent(openai) == ["text of a.txt", "text of b.txt", "T: B"]
    assert similar("text of a.txt", "-n", 1)[0]["id"] == str(tmp_path / "a.txt")
    told = embed("--rows", lines, "--template", "{titel}", code=1)
    assert "--template names 'titel', but a row has no such field: did you mean 'title'?" in told


def test_one_provider_that_is_set_up_is_chosen_by_itself(
    bruno_llm, embed, openai, ollama, monkeypatch
):
    told = embed("cats", code=1)
    assert "several providers of embeddings are set up (ollama, openai)" in told
    bruno_llm("use", "openai/gpt-5.4")
    assert embed("cats", "--json")["model"] == "text-embedding-3-small"
    assert bruno_llm("use", "claude").exit_code == 0
    monkeypatch.delenv("OLLAMA_HOST")
    assert json.loads(bruno_llm("embed", "b", "cats", "--json").stdout)["provider"] == "openai"


def test_without_any_it_says_what_is_missing(embed, monkeypatch):
    monkeypatch.delenv("BRUNO_LLM_OPENAI_EMBEDDING_PRICE_NAME")
    assert "no provider of embeddings is set up: set OPENAI_API_KEY" in embed("cats", code=1)
    assert "Anthropic offers no embeddings" in embed("-p", "claude", "cats", code=1)


def test_what_is_not_there_is_told(bruno_llm, embed, similar, openai, file):
    assert "make a collection with `bruno-llm embed NAME TEXT`" in similar("x", code=1)
    embed("-m", "openai", "cats")
    done = bruno_llm("similar", "note", "-d", file, "x")
    assert done.exit_code == 1
    assert "is called 'note': did you mean 'notes'?" in done.stderr
    assert bruno_llm("similar", "notes", "--id", "a", "text").exit_code == 2
    bruno_llm("collections", "-d", file, "--delete", "notes")
    assert similar("x", code=1).endswith("is called 'notes': it has none\n")


def test_other_programs_can_read_the_file(embed, openai, file):
    embed("-m", "openai", "cats", "--id", "a")
    connection = sqlite3.connect(file)
    row = connection.execute("SELECT collection, id, text, vector FROM entries").fetchone()
    assert row[:3] == ("notes", "a", "cats")
    numbers = struct.unpack("<1536f", row[3])
    assert sum(number * number for number in numbers) == pytest.approx(1, abs=1e-5)
    connection.close()


def test_people_see_a_table(bruno_llm, embed, openai, file):
    embed("-m", "openai", "cats\nand dogs " * 40, "--id", "a")
    title, _, row = bruno_llm("similar", "notes", "-d", file, "cats").stdout.splitlines()
    assert title.split() == ["score", "id", "text"]
    assert row.split()[1:5] == ["a", "cats", "and", "dogs"]
    assert row.endswith("...")


def test_costs_are_booked(bruno_llm, embed, openai, tmp_path):
    embed("-m", "openai", "cats", "--ledger", tmp_path / "costs.db")
    report = json.loads(bruno_llm("costs", tmp_path / "costs.db", "--format", "json").stdout)
    assert report["rows"][0]["model"] == "text-embedding-3-small"
