"""One question, one answer: what is sent, and what is printed where."""

import json
from decimal import Decimal

import pytest
from bruno_llm_base import CostTracker, ToolCall
from bruno_llm_testing import FakeAnswer, FakeError, Fault

HELLO = "Hello from the fake server.\n"


def test_nothing_but_the_answer_is_on_stdout(bruno_llm, openai):
    done = bruno_llm("ask", "--provider", "openai", "Who", "is there?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, HELLO, "")
    (body,) = openai.bodies
    assert body["messages"] == [{"role": "user", "content": "Who is there?"}]
    assert body["stream"] is True


def test_the_answer_ends_with_one_line_feed(bruno_llm, openai):
    openai.say(FakeAnswer(text="It ends.\n"), times=2)
    for how in ((), ("--no-stream",)):
        assert bruno_llm("ask", "--provider", "openai", *how, "hi").stdout == "It ends.\n"
    assert [body.get("stream", False) for body in openai.bodies] == [True, False]


def test_options_reach_the_server(bruno_llm, ollama):
    options = ("--system", "Be brief.", "--max-tokens", 9, "--temperature", 0.5, "--timeout", 20)
    own = ("-o", "num_ctx=8192", "-o", "keep_alive=5m", "--option", 'stop=["x"]')
    done = bruno_llm("ask", "--provider", "ollama", "-m", "qwen3:8b", *options, *own, "hi")
    assert done.exit_code == 0, done.stderr
    (body,) = ollama.bodies
    assert (body["model"], body["messages"][0]["content"]) == ("qwen3:8b", "Be brief.")
    given = {"num_predict": 9, "temperature": 0.5, "num_ctx": 8192, "stop": ["x"]}
    assert (body["keep_alive"], body["options"]) == ("5m", given)


def test_what_is_piped_goes_before_the_question(bruno_llm, openai):
    bruno_llm("ask", "--provider", "openai", "Summarize", text="\ufeffa long\ntext é\n")
    bruno_llm("ask", "--provider", "openai", text="only this")
    asked = [body["messages"][0]["content"] for body in openai.bodies]
    assert asked == ["a long\ntext é\n\nSummarize", "only this"]


@pytest.mark.parametrize(
    ("text", "code", "cure"), [("", 2, "as an argument"), (b"\xe9t\xe9", 1, "UTF-8")]
)
def test_without_a_text_nothing_is_sent(bruno_llm, openai, text, code, cure):
    done = bruno_llm("ask", "--provider", "openai", text=text)
    assert (done.exit_code, done.stdout) == (code, "")
    assert cure in done.stderr
    assert not openai.received


def test_all_that_is_known_as_json(bruno_llm, openai):
    call = ToolCall(id="call_1", name="weather", arguments='{"city": "Rome"}')
    openai.say(FakeAnswer(text="Grüße 👋", tool_calls=(call,), finish_reason="tool_call"))
    done = bruno_llm("ask", "--provider", "openai", "--json", "hi")
    assert done.stdout.isascii()
    document = json.loads(done.stdout)
    assert document["text"] == "Grüße 👋"
    assert document["tool_calls"] == [
        {"id": "call_1", "name": "weather", "arguments": '{"city": "Rome"}'}
    ]
    assert (document["finish_reason"], document["provider"]) == ("tool_call", "openai")
    assert (document["model"], document["attempts"]) == ("gpt-6.1-terra", 1)
    usage = document["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (11, 7)
    assert Decimal(document["cost"]) > 0
    assert set(document) == {
        *(
            "text",
            "output",
            "reasoning",
            "tool_calls",
            "finish_reason",
            "finish_detail",
            "provider",
        ),
        *("model", "id", "request_id", "usage", "usage_estimated", "cost", "attempts"),
    }


def test_an_unknown_price_is_null_and_a_free_answer_costs_nothing(
    bruno_llm, openai, ollama, monkeypatch
):
    monkeypatch.setattr(type(openai), "models", ("my-own-model",))
    document = bruno_llm("ask", "--provider", "openai", "-m", "my-own-model", "--json", "hi").stdout
    assert json.loads(document)["cost"] is None
    document = bruno_llm("ask", "--provider", "ollama", "--json", "hi").stdout
    assert Decimal(json.loads(document)["cost"]) == 0


def test_an_answer_that_breaks_off_is_said_to(bruno_llm, openai):
    openai.say(FakeAnswer(text="It was", finish_reason="length"), times=2)
    for how in ((), ("--no-stream",)):
        done = bruno_llm("ask", "--provider", "openai", *how, "hi")
        assert (done.exit_code, done.stdout) == (0, "It was\n")
        assert "--max-tokens" in done.stderr


@pytest.mark.parametrize("how", [(), ("--no-stream",), ("--json",)])
def test_errors_are_one_sentence(bruno_llm, openai, monkeypatch, how):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-7391")
    done = bruno_llm("ask", "--provider", "openai", *how, "hi")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("bruno-llm: ")
    assert "OPENAI_API_KEY" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "canary" not in done.output


def test_what_had_come_before_an_error_is_kept(bruno_llm, openai):
    openai.say(FakeError(kind="server_error", in_stream=True))
    done = bruno_llm("ask", "--provider", "openai", "hi")
    assert done.exit_code == 1
    assert HELLO.startswith(done.stdout.rstrip("\n"))
    assert done.stdout.endswith("\n")
    assert done.stderr.startswith("bruno-llm: ")


def test_a_refused_option_is_told(bruno_llm, claude):
    done = bruno_llm("ask", "--provider", "claude", "--temperature", 0.5, "hi")
    assert (done.exit_code, done.stdout) == (0, HELLO)
    sentence = "option dropped: the model refuses it (option temperature)"
    assert done.stderr == f"bruno-llm: {sentence}\n"
    logged = bruno_llm("ask", "-v", "--provider", "claude", "--temperature", 0.5, "hi").stderr
    assert "option dropped: the model refuses it provider=claude" in logged


def test_another_attempt_is_told_if_it_is_long_in_coming(bruno_llm, openai, monkeypatch):
    openai.say(FakeError(kind="rate_limit", retry_after=2.5))
    done = bruno_llm("ask", "--provider", "openai", "hi")
    assert done.stdout == HELLO
    assert done.stderr.startswith("bruno-llm: RateLimitError: it is tried again in ")
    openai.say(FakeError(kind="server_error", retry_after=0.1))
    assert bruno_llm("ask", "--provider", "openai", "hi").stderr == ""


def test_an_unknown_price_is_no_news(bruno_llm, openai, monkeypatch):
    monkeypatch.setattr(type(openai), "models", ("my-own-model",))
    assert bruno_llm("ask", "--provider", "openai", "-m", "my-own-model", "hi").stderr == ""


def test_requests_are_logged_on_stderr_when_asked_for(bruno_llm, openai):
    done = bruno_llm("ask", "--provider", "openai", "-v", "hi")
    assert done.stdout == HELLO
    assert "request finished" in done.stderr
    assert "request started" not in done.stderr
    assert "request started" in bruno_llm("ask", "--provider", "openai", "-vv", "hi").stderr
    assert bruno_llm("ask", "--provider", "openai", "hi").stderr == ""
    openai.say(FakeError(kind="authentication"))
    assert "request failed" in bruno_llm("ask", "--provider", "openai", "-v", "hi").stderr


def test_costs_are_booked(bruno_llm, openai, tmp_path):
    ledger = tmp_path / "costs.db"
    for _ in range(2):
        assert bruno_llm("ask", "--provider", "openai", "--ledger", ledger, "hi").exit_code == 0
    total = CostTracker(ledger).total()
    assert (total.requests, total.input_tokens, total.output_tokens) == (2, 22, 14)
    assert total.cost > 0


def test_the_environment_chooses(bruno_llm, openai, monkeypatch):
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "openai")
    monkeypatch.setenv("BRUNO_LLM_MODEL", "gpt-5.4")
    assert bruno_llm("ask", "hi").exit_code == 0
    assert openai.bodies[0]["model"] == "gpt-5.4"


def test_a_provider_may_be_named_with_its_model(bruno_llm, openai, ollama, monkeypatch):
    for how in (
        ("--provider", "openai/gpt-5.4"),
        ("--provider", "openai:gpt-5.4"),
        ("-m", "openai/gpt-5.4"),
    ):
        assert bruno_llm("ask", *how, "hi").exit_code == 0
    assert [body["model"] for body in openai.bodies] == ["gpt-5.4"] * 3
    done = bruno_llm("ask", "--provider", "openai/gpt-5.4", "-m", "gpt-4.1", "hi")
    assert "provider is 'openai/gpt-5.4', but model is 'gpt-4.1'" in done.stderr
    assert "ollama/MODEL" in bruno_llm("ask", "-m", "qwen3:8b", "hi").stderr
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", "ollama/qwen3:8b")
    for how in ((), ("-m", "llama3.2:latest")):
        assert bruno_llm("ask", *how, "hi").exit_code == 0
    assert [body["model"] for body in ollama.bodies] == ["qwen3:8b", "llama3.2:latest"]


def test_a_model_of_a_chosen_provider_is_not_taken_apart(bruno_llm, openai):
    bruno_llm("ask", "--provider", "openai", "-m", "openai/gpt-oss", "hi")
    assert openai.bodies[0]["model"] == "openai/gpt-oss"


def test_where_one_provider_is_installed_it_is_that_one(bruno_llm, ollama, monkeypatch):
    from bruno_llm_base import discovery

    points = discovery._points(discovery.LANGUAGE_MODELS)
    alone = [point for point in points if point.name in ("mock", "ollama")]
    monkeypatch.setattr(discovery, "_points", lambda _: alone)
    assert bruno_llm("ask", "hi").stdout == HELLO
    monkeypatch.setattr(discovery, "_points", lambda _: [])
    assert "pip install bruno-llm" in bruno_llm("ask", "hi").stderr


def test_a_file_chooses(bruno_llm, openai, tmp_path):
    config = tmp_path / "llm.yaml"
    config.write_text("provider: openai\nmodel: gpt-5.4\nsystem_prompt: Be kind.\n")
    assert bruno_llm("ask", "--config", config, "hi").exit_code == 0
    assert bruno_llm("ask", "--config", config, "-m", "gpt-4.1", "hi").exit_code == 0
    assert [body["model"] for body in openai.bodies] == ["gpt-5.4", "gpt-4.1"]
    assert openai.bodies[0]["messages"][0]["content"] == "Be kind."


def test_a_file_may_have_a_vendor_of_its_own(bruno_llm, openai, monkeypatch, tmp_path):
    monkeypatch.setenv("ACME_KEY", openai.api_key)
    config = tmp_path / "acme.toml"
    row = f'base_url = "{openai.address}/v1"\nkey = "ACME_KEY"\n'
    config.write_text(f'provider = "acme/gpt-5.4"\n[vendors.acme]\n{row}')
    done = bruno_llm("ask", "--config", config, "--json", "hi")
    assert json.loads(done.stdout)["provider"] == "acme"


def test_wrong_usage_is_exit_code_2(bruno_llm, openai, tmp_path):
    for wrong in (
        ("--provider", "openai", "--config", tmp_path / "llm.yaml"),
        ("--provider", "openai", "--option", "num_ctx"),
        ("--provider", "openai", "--max-tokens", "many"),
        ("--no-such-option",),
    ):
        done = bruno_llm("ask", *wrong, "hi")
        assert (done.exit_code, done.stdout) == (2, ""), wrong
    assert not openai.received


def test_a_bare_interface_of_somebody_else_answers(bruno_llm, publish):
    publish(
        "echo",
        """
        from bruno_core.interfaces import LLMInterface

        class Provider(LLMInterface):
            async def generate(self, messages, temperature=None, max_tokens=None, **kwargs):
                return messages[-1].content
            async def stream(self, messages, temperature=None, max_tokens=None, **kwargs):
                yield messages[-1].content
            def get_token_count(self, text):
                return len(text)
            async def check_connection(self):
                return True
            async def list_models(self):
                return ["echo-1"]
            def get_model_info(self):
                return {"provider": "echo", "model": "echo-1"}
            def set_system_prompt(self, prompt):
                self.prompt = prompt
            def get_system_prompt(self):
                return None
        """,
    )
    assert bruno_llm("ask", "--provider", "echo", "hi").stdout == "hi\n"
    document = json.loads(bruno_llm("ask", "--provider", "echo", "--json", "hi").stdout)
    assert (document["text"], document["cost"]) == ("hi", None)


def test_a_slow_answer_meets_the_time_limit(bruno_llm, openai):
    openai.say(Fault(before_header=5.0), times=3)
    done = bruno_llm("ask", "--provider", "openai", "--timeout", 0.05, "hi")
    assert done.exit_code == 1
    assert "within 0.05 s" in done.stderr
