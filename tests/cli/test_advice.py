"""Each cure of an error can be done in a shell."""

import re
import shlex

from bruno_llm_testing import FakeAnswer, FakeError

PYTHON = re.compile(r"\w\(|\w=(?!true)[^\w/]|\bpass api_key|\b[a-z]+_tokens\b|\bNone\b")


def test_cures_are_in_the_words_of_the_shell(bruno_llm, openai, nobody, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text("text\nhi\n")
    (tmp_path / "what.xyz").write_bytes(b"\0\1\2")
    for words, cure in (
        ("hi -m gemini", "set GEMINI_API_KEY"),
        ("doctor gemini", "set GEMINI_API_KEY"),
        ("models gemini", "set GEMINI_API_KEY"),
        ("compare hi -m gemini", "set GEMINI_API_KEY"),
        ("use gemini", "set GEMINI_API_KEY"),
        ("use --forget", "no provider is chosen"),
        ("hi -m azure", "give -m azure/MODEL; `bruno-llm models azure` lists them"),
        ("hi -m vllm", "give -m vllm/MODEL"),
        ("hi --provider nosuch", "set OPENAI_BASE_URL"),
        ("hi -m ollama", "start Ollama with `ollama serve`"),
        ("pull x", "start Ollama with `ollama serve`"),
        ("batch submit rows.csv -p x -m ollama", "`bruno-llm map` asks row by row"),
        ("hi -m openai --budget 0.0000001 --max-tokens 9", "lower --max-tokens, or raise --budget"),
        ("hi -m openai/own --budget 1", "BRUNO_LLM_FREE=true"),
        ("hi -m openai -a what.xyz", "convert it to a kind that is known"),
        ("hi -m openai --temperature 9", "the length of an answer is --max-tokens"),
        ("""hi -m openai --schema '{"a": 1}'""", "give a JSON schema"),
        ("embed c hi -m claude", "use those of another provider"),
        ("hi -f none.txt", "none.txt cannot be read"),
        ("map rows.csv -p {text} -m openai -o /", "--output is '/': give a regular file"),
        ("collections -d .", "is a folder, so not a file of collections"),
        ("hi -m openai --ledger .", "is a folder, so not a ledger of costs"),
    ):
        done = bruno_llm(*shlex.split(words))
        told = " ".join(done.output.split())
        assert cure in told, words
        assert not PYTHON.search(told), (words, told)
    assert not openai.bodies
    openai.say(FakeAnswer(text="", finish_reason="length"))
    assert "raise --max-tokens or lower --reasoning" in bruno_llm("-m", "openai", "hi").stderr
    openai.say(FakeError(kind="context_length"))
    assert "maximum context length" in bruno_llm("-m", "openai", "hi").stderr


def test_what_is_advised_for_a_budget_works(bruno_llm, openai, monkeypatch):
    monkeypatch.setattr(type(openai), "models", ("own",))
    words = ("-m", "openai/own", "--budget", 1, "--max-tokens", 9, "hi")
    assert bruno_llm(*words).exit_code == 1
    monkeypatch.setenv("BRUNO_LLM_FREE", "true")
    assert bruno_llm(*words).exit_code == 0
