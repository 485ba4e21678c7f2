"""Who is asked: the command line says, else the environment, the settings, or what is set up."""

import json

import pytest
from bruno_llm_base import discovery
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_cli import settings

HELLO = "Hello from the fake server.\n"


def test_a_question_needs_no_command(bruno_llm, openai):
    for words in (
        ("Who is there?",),
        ("-m", "openai/gpt-5.4", "Who is there?"),
        ("Who", "is there?"),
    ):
        done = bruno_llm(*words)
        assert (done.exit_code, done.stdout, done.stderr) == (0, HELLO, ""), words
    assert bruno_llm(text="Who is there?").stdout == HELLO
    assert bruno_llm("-s", "Be brief.", text="Who is there?").stdout == HELLO
    assert {body["messages"][-1]["content"] for body in openai.bodies} == {"Who is there?"}
    assert openai.bodies[1]["model"] == "gpt-5.4"


@pytest.mark.parametrize(
    "words", ["--provider openai hi", "--model openai/gpt-5.4 hi", "-o seed=7 hi"]
)
def test_an_option_may_be_the_first_word(bruno_llm, openai, words):
    assert bruno_llm(*words.split()).exit_code == 0
    assert len(openai.bodies) == 1


def test_a_misspelt_command_is_no_question(bruno_llm, openai):
    for word, command in (("modls", "models"), ("cost", "costs"), ("docter", "doctor")):
        done = bruno_llm(word)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"did you mean '{command}'?" in " ".join(done.stderr.replace("│", "").split())
    assert not openai.received
    assert bruno_llm("hello").stdout == HELLO
    assert bruno_llm("ask", "modls").stdout == HELLO


def test_a_word_that_is_no_command_is_a_question_of_what_is_piped(bruno_llm, process, openai):
    for word in ("what", "why", "translate", "most", "logic"):
        assert bruno_llm(word).stdout == HELLO, word  # it is like none
    for word in ("modls", "what"):
        assert process(word, input=b"text").stdout.decode() == HELLO
        asked = openai.bodies[-1]["messages"][-1]["content"]
        assert asked == f"text\n\n{word}"


def test_the_one_that_is_set_up_is_asked(bruno_llm, claude):
    assert json.loads(bruno_llm("hi", "--json").stdout)["provider"] == "claude"


def test_several_that_are_set_up_ask_for_a_choice(bruno_llm, openai, claude):
    done = bruno_llm("hi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == (
        "bruno-llm: several providers are set up (claude, openai): choose one for good, as with"
        " `bruno-llm use claude`, or for this time with -m claude/MODEL\n"
    )
    assert json.loads(bruno_llm("-m", "claude", "hi", "--json").stdout)["provider"] == "claude"
    assert bruno_llm("use", "openai").exit_code == 0
    assert json.loads(bruno_llm("hi", "--json").stdout)["provider"] == "openai"
    assert json.loads(bruno_llm("-m", "claude/claude-opus-5-5", "hi", "--json").stdout)[
        "model"
    ] == ("claude-opus-5-5")


def test_where_none_is_set_up_the_cures_are_named(bruno_llm):
    done = bruno_llm("hi")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "ANTHROPIC_API_KEY or GEMINI_API_KEY or OPENAI_API_KEY" in done.stderr
    assert "bruno-llm use ollama" in done.stderr


def test_where_none_is_installed_it_says_what_to_install(bruno_llm, monkeypatch):
    monkeypatch.setattr("bruno_llm_base.discovery._points", lambda _: [])
    assert "pip install bruno-llm" in bruno_llm("hi").stderr


def test_one_that_cannot_be_loaded_is_passed_over(bruno_llm, openai, publish, monkeypatch):
    publish("broken", "import nothing_like_it")
    assert bruno_llm("hi").stdout == HELLO
    points = discovery._points(discovery.LANGUAGE_MODELS)
    alone = [point for point in points if point.name == "broken"]
    monkeypatch.setattr(discovery, "_points", lambda _: alone)
    assert "'broken' of third-party-broken cannot be loaded" in bruno_llm("hi").stderr


def test_who_wins(bruno_llm, openai, claude, ollama, monkeypatch):
    def asked(*words):
        document = json.loads(bruno_llm("ask", *words, "--json", "hi").stdout)
        return f"{document['provider']}/{document['model']}"

    bruno_llm("use", "claude/claude-opus-5-5")
    assert asked() == "claude/claude-opus-5-5"
    assert asked("-m", "claude-haiku-5-5") == "claude/claude-haiku-5-5"
    monkeypatch.setenv("BRUNO_LLM_MODEL", "claude-haiku-5-5")
    assert asked() == "claude/claude-haiku-5-5"
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_MODEL", "gpt-5.4")
    assert asked() == "openai/gpt-5.4"
    assert asked("-m", "ollama/qwen3:8b") == "ollama/qwen3:8b"
    assert asked("--provider", "ollama", "-m", "qwen3:8b") == "ollama/qwen3:8b"


def test_the_name_of_a_provider_alone_is_no_model_where_it_is_set_up(bruno_llm, openai, claude):
    bruno_llm("use", "openai")
    assert bruno_llm("-m", "claude", "hi").exit_code == 0
    assert bruno_llm("chat", "claude", text="hi\n").exit_code == 0
    assert len(claude.bodies) == 2


def test_a_name_without_its_key_wants_the_key(bruno_llm, openai, ollama, monkeypatch):
    bruno_llm("use", "openai")
    for name, key in (
        ("claude", "ANTHROPIC_API_KEY"),
        ("anthropic", "ANTHROPIC_API_KEY"),
        ("mistral", "MISTRAL_API_KEY"),
        ("claude-opus-5-5", "ANTHROPIC_API_KEY"),
        ("claude-of-next-year", "ANTHROPIC_API_KEY"),
        ("gemini-3.8-flash", "GEMINI_API_KEY"),
        ("grok-4.7", "XAI_API_KEY"),
    ):
        for words in (("-m", name, "hi"), ("compare", "hi", "-m", name)):
            done = bruno_llm(*words)
            assert (done.exit_code, key in done.output) == (1, True), words
        assert key in bruno_llm("chat", text=f"/model {name}\n").stderr
    assert not openai.bodies
    asked = json.loads(bruno_llm("-m", "ollama", "hi", "--json").stdout)
    assert asked["provider"] == "ollama"  # which needs none
    monkeypatch.delenv("BRUNO_LLM_OPENAI_PRICE_NAME")  # the address is a server of the user's own
    for name in ("mistral", "claude-opus-5-5"):
        bruno_llm("-m", name, "hi")
        assert openai.bodies[-1]["model"] == name


def test_a_model_wins_over_a_provider_that_cannot_be_loaded(
    bruno_llm, openai, home, publish, monkeypatch
):
    publish("broken", "import nothing_like_it")
    home.mkdir()
    for name in ("nosuch", "broken", "claud/claude-opus-5-5"):
        for settled, of_environment in ((name, ""), ("openai", name)):
            (home / "config.toml").write_text(f'model = "{settled}"')
            monkeypatch.setenv("BRUNO_LLM_PROVIDER", of_environment)
            done = bruno_llm("-m", "gpt-5.4", "hi")
            assert (done.stdout, openai.bodies[-1]["model"]) == (HELLO, "gpt-5.4"), done.stderr
            assert bruno_llm("-m", "openai", "hi").stdout == HELLO
            assert "ANTHROPIC_API_KEY" in bruno_llm("-m", "claude", "hi").stderr
            for words in (("hi",), ("-m", "a-model-of-nobody", "hi")):
                done = bruno_llm(*words)
                assert (done.exit_code, repr(name.partition("/")[0]) in done.stderr) == (1, True)
    assert len(openai.bodies) == 12


def test_ollama_may_have_models_of_any_name(bruno_llm, ollama):
    for before in ("none is settled", "it is settled"):
        for name in ("mistral", "mistral:7b", "claude-opus-5-5", "gpt-5.4"):
            done = bruno_llm("-m", name, "hi")
            assert ollama.bodies[-1]["model"] == name, (before, done.stderr)
        bruno_llm("use", "ollama")


def test_a_known_model_is_asked_at_its_vendor(bruno_llm, openai, claude):
    for settled in ("", "openai", "claude"):
        if settled:
            bruno_llm("use", settled)
        for name, provider in (("claude-opus-5-5", "claude"), ("gpt-5.4", "openai")):
            asked = json.loads(bruno_llm("-m", name, "hi", "--json").stdout)
            assert asked["provider"] == provider
    bruno_llm("-m", "openai/claude-opus-5-5", "hi")  # as it is said
    assert openai.bodies[-1]["model"] == "claude-opus-5-5"


def test_a_misspelt_provider_is_told(bruno_llm, openai, claude, monkeypatch):
    assert "did you mean 'openai'?" in bruno_llm("-m", "opnai/gpt-5.4", "hi").stderr
    assert "did you mean 'openai'?" in bruno_llm("ask", "--provider", "opnai", "hi").stderr
    points = discovery._points(discovery.LANGUAGE_MODELS)
    others = [point for point in points if point.name != "claude"]
    monkeypatch.setattr(discovery, "_points", lambda _: others)
    assert "pip install bruno-llm-claude" in bruno_llm("-m", "anthropic/claude-9", "hi").stderr


def test_a_misspelt_provider_is_not_sent_to_the_only_one(bruno_llm, openai):
    for name in ("cluade/claude-opus-5-5", "cluade", "opnai/gpt-4.1", "opnai"):
        assert "did you mean" in bruno_llm("-m", name, "hi").stderr, name
        assert "did you mean" in bruno_llm("chat", text=f"/model {name}\n").stderr
    assert not openai.bodies
    for name in ("gpt-9-nova", "ft:gpt-4.1:mine", "openai:gpt-4.1"):
        bruno_llm("-m", name, "hi")
        assert openai.bodies[-1]["model"] == name.removeprefix("openai:")


def test_use_says_what_is_still_missing(bruno_llm, home):
    done = bruno_llm("use", "anthropic")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "claude is asked from now on" in done.stderr
    assert "ANTHROPIC_API_KEY" in done.stderr
    assert (home / "config.toml").read_text() == 'model = "claude"\n'
    document = json.loads(bruno_llm("use", "ollama/qwen3:8b", "--json").stdout)
    assert document == {
        "path": str(home / "config.toml"),
        "model": "ollama/qwen3:8b",
        "problem": None,
    }
    assert "did you mean 'claude'?" in bruno_llm("use", "claud").stderr
    assert settings.read().model == "ollama/qwen3:8b"


def test_use_forgets_the_choice(bruno_llm, home, openai):
    bruno_llm("logs", "on")
    bruno_llm("use", "claude")
    assert "ANTHROPIC_API_KEY" in bruno_llm("hi").stderr
    done = bruno_llm("use", "--forget")
    assert (done.exit_code, done.stderr) == (0, "bruno-llm: no provider is chosen now\n")
    assert (home / "config.toml").read_text() == "log = true\n"
    assert bruno_llm("hi").stdout == HELLO
    document = json.loads(bruno_llm("use", "--forget", "--json").stdout)  # once more
    assert document == {"path": str(home / "config.toml"), "model": None, "problem": None}


def test_use_says_what_wins_over_it(bruno_llm, openai, monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "ollama")
    assert "BRUNO_LLM_PROVIDER is 'ollama'" in bruno_llm("use", "openai").stderr


def test_config_shows_what_is_settled(bruno_llm, home, openai):
    shown = bruno_llm("config").stdout
    assert shown.split() == [
        *("file", str(home / "config.toml"), "(not", "there", "yet)"),
        *("model", "none", "log", "off", "asked", "openai"),
    ]
    settings.change(log=True, model="claude/claude-opus-5-5")
    document = json.loads(bruno_llm("config", "--json").stdout)
    assert document == {
        "path": str(home / "config.toml"),
        "model": "claude/claude-opus-5-5",
        "log": True,
        "asked": "claude/claude-opus-5-5",
        "problem": None,
    }


def test_what_else_is_in_the_file_stays(home):
    home.mkdir()
    (home / "config.toml").write_text("# mine\nmodel = 'ollama' # local\nlog = true\n")
    settings.change(model='an "odd" näme')
    assert (home / "config.toml").read_text(encoding="utf-8") == (
        '# mine\nlog = true\nmodel = "an \\"odd\\" näme"\n'
    )
    assert settings.read() == settings.Settings(model='an "odd" näme', log=True)
    assert list(home.iterdir()) == [home / "config.toml"]


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        (b"model = ", "is not TOML"),
        (b"modl = 'openai'", "did you mean model?"),
        (b"api_key = 'x'", "the known ones: model, log"),
        (b"log = 1", "log is 1: give true or false"),
        (b"model = 3", 'model is 3: give a text, such as "claude"'),
        (b"model = '\xe9'", "UTF-8"),
    ],
)
def test_a_broken_file_is_told_and_not_written_over(bruno_llm, home, text, cure):
    home.mkdir()
    (home / "config.toml").write_bytes(text)
    for words in (("hi",), ("use", "openai"), ("config",)):
        done = bruno_llm(*words)
        assert (done.exit_code, done.stdout) == (1, "")
        assert (str(home / "config.toml") in done.stderr, cure in done.stderr) == (True, True)
    assert (home / "config.toml").read_bytes() == text


def test_a_folder_that_cannot_be_used_is_told(home, bruno_llm):
    home.write_text("a file")
    assert "cannot be" in bruno_llm("use", "openai").stderr
    with pytest.raises(ConfigurationError, match="cannot be"):
        settings.change(log=True)


def without_access(home):
    """Yield folders of settings that cannot be read or written, each after a word for it."""
    home.mkdir()
    (home / "file").write_text("")
    (home / "loop").symlink_to(home / "loop")
    (home / "of_folders" / "config.toml").mkdir(parents=True)
    yield from (
        ("a file", home / "file"),
        ("a loop", home / "loop"),
        ("a name that is too long", home / ("x" * 300)),
        ("a folder in the file's place", home / "of_folders"),
        ("no home", "~nobody-of-this-name/settings"),
    )


def test_without_access_to_the_settings_questions_are_asked(bruno_llm, home, openai, monkeypatch):
    for which, folder in without_access(home):
        monkeypatch.setenv("BRUNO_LLM_HOME", str(folder))
        for words in (
            ("hi",),
            ("chat",),
            ("-m", "openai", "hi"),
            ("compare", "hi", "-m", "openai"),
        ):
            done = bruno_llm(*words, text="hi\n" if words == ("chat",) else None)
            assert (done.exit_code, HELLO.strip() in done.stdout) == (0, True), which
            (told,) = done.stderr.splitlines() or ["compare reads none"]
            assert words[0] == "compare" or (
                str(folder) in told and "this goes on without settings" in told
            ), which
        for words in ("use openai", "logs on", "ask -t no hi", "ask -c hi", "logs", "similar x y"):
            done = bruno_llm(*words.split())
            assert (done.exit_code, done.stdout) == (1, ""), (which, words)
        assert "BRUNO_LLM_HOME may name another" in bruno_llm("use", "openai").stderr, which
        for words in ("config", "logs status", "templates", "logs path"):
            assert bruno_llm(*words.split()).exit_code in (0, 1)


def test_what_is_not_there_yet_is_no_news(bruno_llm, openai, monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_HOME", "/proc/nowhere")  # nobody can make it
    done = bruno_llm("hi")
    assert (done.exit_code, done.stdout, done.stderr) == (0, HELLO, "")
    assert "cannot be written" in bruno_llm("use", "openai").stderr


def test_the_folder_is_the_systems_unless_one_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("BRUNO_LLM_HOME")
    assert settings.folder().name == "bruno-llm"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BRUNO_LLM_HOME", "~/mine")
    assert settings.folder() == tmp_path / "mine"
