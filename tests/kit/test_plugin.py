"""The pytest plugin, in runs of its own; that pytest finds it by itself is tried in .ci/wheels.py."""

import pytest

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester, monkeypatch):
    """Run tests with the plugin, and without those that these tests do not need."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def run(code, *options, **ini):
        pytester.makepyfile(test_app=code)
        lines = ["asyncio_mode = auto", "asyncio_default_fixture_loop_scope = function"]
        lines += [f"{name} = {value}" for name, value in ini.items()]
        pytester.makeini("[pytest]\n" + "\n".join(lines))
        plugins = ["-p", "bruno_llm_testing.plugin", "-p", "pytest_asyncio.plugin"]
        return pytester.runpytest_subprocess(
            *plugins, "-p", "no:cacheprovider", "-W", "ignore", *options
        )

    return run


def test_a_mock_is_scripted_and_fresh(run):
    code = """
        async def test_one(mock_llm):
            mock_llm.say("sunny")
            assert await mock_llm.generate("Weather?") == "sunny"
            assert mock_llm.calls[0].prompt == "Weather?"

        async def test_two(mock_llm):
            assert mock_llm.calls == []
            assert await mock_llm.generate("hi") == "Hello from the mock."
    """
    run(code).assert_outcomes(passed=2)


def test_every_fake_runs_and_the_environment_leads_to_it(run, monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_MODEL", "the machine's own")
    monkeypatch.setenv("GOOGLE_API_KEY", "the machine's own")
    code = """
        import pytest
        from bruno_llm_base import LLMFactory
        from bruno_llm_testing import FakeAnswer

        @pytest.mark.parametrize("name", ["openai", "claude", "gemini", "ollama"])
        async def test_from_env(llm_env, request, name):
            server = llm_env(name)
            assert server is request.getfixturevalue(f"fake_{name}")
            server.say(FakeAnswer(text="from the fake"))
            async with LLMFactory.from_env() as llm:
                assert llm.name == name
                assert await llm.generate("hi") == "from the fake"

        def test_unknown(llm_env):
            with pytest.raises(pytest.UsageError, match="give one of claude, gemini"):
                llm_env("parrot")
    """
    run(code).assert_outcomes(passed=5)


def test_a_fake_needs_no_provider(run):
    code = """
        import sys

        def test_it(fake_claude, fake_gemini, fake_ollama, fake_openai):
            for server in (fake_claude, fake_gemini, fake_ollama, fake_openai):
                assert server.address.startswith("http://127.0.0.1:")
            names = ("claude", "gemini", "ollama", "openai")
            assert not {f"bruno_llm_{name}" for name in names} & set(sys.modules)
    """
    run(code).assert_outcomes(passed=1)


BLOCKED = """
    import socket
    import pytest

    @pytest.fixture
    def names():
        return socket.gethostbyname("api.example.com")

    def test_plain():
        socket.gethostbyname("api.example.com")

    def test_by_fixture(names):
        pass

    @pytest.mark.llm_network
    def test_marked():
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", 9))
        from bruno_llm_testing.network import _guard
        assert not _guard._closed

    def test_asked(no_llm_network):
        socket.gethostbyname("api.example.com")
"""


def test_the_network_is_forbidden_where_the_project_says_so(run):
    result = run(BLOCKED, "--strict-markers", bruno_llm_block_network="true")
    result.assert_outcomes(failed=2, errors=1, passed=1)
    result.stdout.fnmatch_lines(["*NetworkBlockedError: the network is forbidden here*"])


def test_the_network_is_open_unless_it_is_forbidden(run):
    code = """
        def test_it():
            from bruno_llm_testing.network import _guard
            assert not _guard._closed

        def test_closed(no_llm_network):
            from bruno_llm_testing.network import _guard
            assert _guard._closed
    """
    run(code).assert_outcomes(passed=2)


RECORDED = """
    import os
    from bruno_llm_openai import OpenAIProvider

    async def test_weather(llm_cassette):
        async with OpenAIProvider(base_url=os.environ.get("WHERE")) as llm:
            assert await llm.generate("Will it rain?") == "Hello from the fake server."
"""


def test_cassettes_are_recorded_and_replayed_without_a_key(run, pytester, monkeypatch):
    from bruno_llm_testing import FakeOpenAI

    result = run(RECORDED)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--llm-record=rewrite*"])
    with FakeOpenAI() as server:
        monkeypatch.setenv("WHERE", server.connection()["base_url"])
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        run(RECORDED, "--llm-record=missing").assert_outcomes(passed=1)
        run(RECORDED, "--llm-record=missing").assert_outcomes(passed=1)
        assert len(server.bodies) == 1
        run(RECORDED, "--llm-record=rewrite", bruno_llm_block_network="true").assert_outcomes(
            passed=1
        )
        assert len(server.bodies) == 2
    monkeypatch.setenv("WHERE", "http://127.0.0.1:9")
    monkeypatch.delenv("OPENAI_API_KEY")
    assert (pytester.path / "cassettes" / "test_app" / "test_weather.json").exists()
    run(RECORDED, bruno_llm_block_network="true").assert_outcomes(passed=1)


def test_each_parameter_has_a_cassette_of_its_own(run, pytester, monkeypatch):
    from bruno_llm_testing import FakeOpenAI

    code = """
        import os, pytest
        from bruno_llm_openai import OpenAIProvider

        @pytest.mark.parametrize("prompt", ["rain", "Rain?", "Rain!", "r/../n", "long " * 60])
        async def test_it(llm_cassette, prompt):
            async with OpenAIProvider(base_url=os.environ.get("WHERE")) as llm:
                assert await llm.generate(prompt)
    """
    with FakeOpenAI() as server:
        monkeypatch.setenv("WHERE", server.connection()["base_url"])
        monkeypatch.setenv("OPENAI_API_KEY", server.api_key)
        run(code, "--llm-record=rewrite").assert_outcomes(passed=5)
    names = [path.name for path in (pytester.path / "cassettes" / "test_app").iterdir()]
    assert (len(names), "test_it-rain.json" in names) == (5, True)
    assert max(map(len, names)) < 100
    run(code).assert_outcomes(passed=5)


def test_a_missing_key_is_made_up_for_where_nothing_is_sent(run, pytester):
    folder = pytester.path / "cassettes" / "test_app"
    folder.mkdir(parents=True)
    (folder / "test_it.json").write_text('{"format": 1, "exchanges": []}')
    code = """
        from bruno_llm_base import LLMFactory

        def test_it(llm_cassette):
            for name in ("openai", "claude", "gemini", "ollama"):
                assert LLMFactory.create(name)
    """
    run(code).assert_outcomes(passed=1)


def test_the_plugin_itself_loads_nothing_else(run):
    code = """
        import sys

        def test_it():
            assert "bruno_llm_base" not in sys.modules
            assert "aiohttp" not in sys.modules
    """
    run(code).assert_outcomes(passed=1)


def test_failures_of_a_contract_show_the_values(run):
    code = """
        import pytest
        from bruno_llm_testing import MockLLM, ModelContract

        class Forgetful(MockLLM):
            def get_system_prompt(self):
                return "another"

        class TestForgetful(ModelContract):
            provider = Forgetful

            @pytest.fixture
            def keywords(self):
                return {}
    """
    result = run(code, "-k", "test_it_is_an_llm_of_bruno_core")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*AssertionError: assert 'another' is None*"])
