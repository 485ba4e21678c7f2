"""What is different at the vendors of `vendors.py`, and rows of a user's own."""

import ast
import inspect
import json
import os
import pickle
import re

import openai
import pytest
from bruno_core.models import Message, MessageRole
from bruno_llm_base import (
    ConfigurationError,
    InvalidRequestError,
    LLMFactory,
    Media,
    MediaTypeError,
    ModelNotFoundError,
    Retry,
    ToolCall,
    run_tools,
)
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider, vendors
from bruno_llm_openai.row import ReasoningFields
from bruno_llm_testing import FakeAnswer, FakeOpenAI, FakeVendor, RawReply
from pydantic import BaseModel

ROW_LINES = 12
row = pytest.mark.parametrize("row", vendors.ROWS.values(), ids=vendors.ROWS)
# What some addresses have in them, and as what the vendors' users have it in their environments.
PLACES = {
    "AZURE_OPENAI_ENDPOINT": "https://mine.openai.azure.com/",
    "CLOUDFLARE_ACCOUNT_ID": "0123abcd",
    "DATABRICKS_HOST": "https://mine.cloud.databricks.com",
    "SNOWFLAKE_ACCOUNT": "mine-account",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN")):
            monkeypatch.delenv(name)
    for name, value in PLACES.items():
        monkeypatch.setenv(name, value)


def test_a_row_has_at_most_twelve_lines():
    for node in ast.parse(inspect.getsource(vendors)).body:
        if isinstance(node, ast.Assign):
            assert node.end_lineno - node.lineno < ROW_LINES, ast.unparse(node.targets[0])


@row
def test_a_row_says_where_and_when_it_was_read(row):
    assert re.fullmatch(r"https://\S+, ([\w-]+ [\d.]+, )?20\d\d-\d\d-\d\d", row.source)


@row
def test_a_row_is_a_provider_that_the_factory_knows(row):
    llm = LLMFactory.create(row.name, model="m", api_key="test-key")
    assert isinstance(llm, OpenAIProvider)
    assert (llm.name, llm.adapter.row, llm.adapter.api) == (row.name, row, row.name)
    assert llm.access.url == row.address()
    if row.needs_key:
        with pytest.raises(ConfigurationError, match=f"set {row.api_key_env[0]} or pass api_key"):
            LLMFactory.create(row.name, model="m")
    else:
        assert LLMFactory.create(row.name, model="m").access.key is None


@row
def test_a_row_names_its_source_and_when_it_was_read(row):
    assert re.fullmatch(r"https://\S+\.\S+, (.+, )?20\d\d-\d\d-\d\d", row.source)


@row
def test_a_part_of_an_address_that_is_missing_is_named(row, monkeypatch):
    for variable in re.findall(r"{(\w+)}", row.base_url):
        monkeypatch.delenv(variable)
        with pytest.raises(ConfigurationError) as caught:
            LLMFactory.create(row.name, model="m", api_key="test-key")
        assert str(caught.value) == f"{row.name} needs an address: set {variable} or pass base_url"
        llm = LLMFactory.create(row.name, model="m", base_url="https://proxy.example/v1")
        assert llm.access.url == "https://proxy.example/v1"


@row
def test_a_row_takes_each_of_its_variables(row, monkeypatch):
    for variable in row.api_key_env:
        monkeypatch.setenv(variable, "test-key")
        llm = LLMFactory.create(row.name, **({} if row.default_model else {"model": "m"}))
        assert (llm.access.key, llm.model) == ("test-key", row.default_model or "m")
        monkeypatch.delenv(variable)


WITHOUT_PRICES = {"huggingface", "nebius", "qwen", "sambanova", "snowflake"}  # in genai-prices


@row
async def test_the_model_of_a_row_has_a_price(row):
    llm = LLMFactory.create(row.name, model=row.default_model or "gpt-4.1", api_key="test-key")
    price = await llm.price()
    if row.free:
        assert (price.input, price.output) == (0, 0)
    elif row.name == "openrouter":  # which chooses another model, and tells what it cost
        assert price is None
    else:
        assert (price is None) == (row.name in WITHOUT_PRICES)


@row
def test_an_address_has_the_same_row_as_the_name(row):
    llm = OpenAIProvider("m", base_url=row.address(), api_key="test-key")
    if row.free:  # any server may be on one's own machine
        assert llm.adapter.row.name == "localhost"
    else:
        assert llm.adapter.row is row
    elsewhere = OpenAIProvider("m", base_url="https://llm.example.com/v1", api_key="test-key")
    assert elsewhere.adapter.row.name == "llm.example.com"
    assert OpenAIProvider("m", api_key="test-key").adapter.row is None


def test_levels_are_those_of_the_row():
    switch = ReasoningFields(
        levels=("none", "high", "max"),
        on={"thinking": {"type": "enabled"}},
        off={"thinking": {"type": "disabled"}},
    )
    on = {"thinking": {"type": "enabled"}, "reasoning_effort": "high"}
    assert switch.ask("none", "m") == ({"thinking": {"type": "disabled"}}, "none")
    assert switch.ask("low", "m") == (on, "high")
    assert switch.ask(20_000, "m") == (on, 20_000)
    budget = ReasoningFields(effort="", budget="thinking.budget", on={"think": True})
    assert budget.ask("low", "m") == ({"think": True, "thinking": {"budget": 2048}}, "low")
    either = ReasoningFields(effort="reasoning.effort", budget="reasoning.max_tokens")
    assert either.ask("max", "m") == ({"reasoning": {"effort": "max"}}, "max")
    assert either.ask(300, "m") == ({"reasoning": {"max_tokens": 300}}, 300)


async def test_a_row_of_the_users_own_needs_no_code(monkeypatch):
    monkeypatch.setenv("ACME_KEY", FakeOpenAI.api_key)
    with FakeOpenAI() as server:
        fields = {
            "base_url": f"{server.address}/v1",
            "key": "ACME_KEY",
            "model": server.models[0],
            "output_limit": "max_completion_tokens",
            "option_names": {"seed": "random_seed"},
            "reasoning": {"levels": ["low", "high"], "effort": "thinking.level"},
        }
        kind = OpenAIProvider.at_vendor("acme", fields)
        async with kind(max_tokens=9, seed=7, retry=Retry(attempts=1)) as llm:
            await llm.generate("Hi", reasoning="max")
        (body,) = server.bodies
    assert repr(llm) == f"AcmeProvider(model={server.models[0]!r})"
    assert (body["max_completion_tokens"], body["random_seed"]) == (9, 7)
    assert body["thinking"] == {"level": "high"}
    kind = OpenAIEmbeddings.at_vendor("acme", {"base_url": "https://llm.acme.com/v1"})
    assert (kind().name, kind().access.key) == ("acme", None)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"base_ur": "https://x"}, r"vendors.acme takes no 'base_ur': did you mean 'base_url'\?"),
        ({}, r"vendors.acme.base_url is missing: give an address like"),
        ({"base_url": "nonsense"}, "vendors.acme: base_url is no address: give an address like"),
        (
            {"base_url": "https://x", "output_limit": "n"},
            "vendors.acme: output_limit is 'n': give 'max_tokens' or",
        ),
        (
            {"base_url": "https://x", "refused_options": {"[": ["seed"]}},
            r"vendors.acme: refused_options has the pattern '\[', which is not a regular expression",
        ),
        (
            {"base_url": "https://x", "refused_options": ["sead"]},
            r"refused_options has 'sead', which is not known: did you mean 'seed'\?",
        ),
        (
            {"base_url": "https://x", "reasoning": {"gpt": {"levels": ["lo"]}}},
            "vendors.acme: reasoning has 'lo', which is not known.*: give none, minimal, low",
        ),
        ({"base_url": "https://x", "key": 5}, "vendors.acme.key is not the name of an environment"),
        (
            {"base_url": "https://x", "api_key": "sk-canary"},
            "takes no 'api_key': did you mean 'key'",
        ),
    ],
)
def test_a_wrong_row_names_the_field(fields, complaint):
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        OpenAIProvider.at_vendor("acme", fields)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "variable", "value"),
    [
        ("snowflake", "SNOWFLAKE_ACCOUNT", "my acct"),
        ("cloudflare", "CLOUDFLARE_ACCOUNT_ID", "a/../b?x"),
        ("databricks", "DATABRICKS_HOST", "https://user:canary@host"),
    ],
)
def test_a_variable_that_is_no_part_of_an_address_is_refused(monkeypatch, name, variable, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(
        ConfigurationError, match=f"{variable} cannot be a part of an address"
    ) as caught:
        LLMFactory.create(name, model="m", api_key="a-key")
    assert value not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["sk-canary-1", "gsk_canary", "CANARY7391", "hf_Canary", "", [], {}]
)
def test_a_key_in_clear_is_refused_without_being_shown(key):
    with pytest.raises(ConfigurationError, match="put the key into one") as caught:
        OpenAIProvider.at_vendor("acme", {"base_url": "https://x", "key": key})
    assert "canary" not in str(caught.value).lower()


def test_a_provider_of_a_row_of_ones_own_pickles(monkeypatch):
    monkeypatch.setenv("ACME_KEY", "test-key")
    fields = {"base_url": "https://llm.acme.com/v1", "key": "ACME_KEY", "think_tags": True}
    for kind in (OpenAIProvider, OpenAIEmbeddings):
        made = kind.at_vendor("acme", fields)("m")
        copy = pickle.loads(pickle.dumps(made))
        assert repr(copy) == repr(made)
        assert (copy.name, copy.model, copy.access) == ("acme", "m", made.access)


def test_a_part_of_an_address_may_stand_in_the_environment(monkeypatch):
    kind = OpenAIProvider.at_vendor("acme", {"base_url": "https://{ACME_HOST}/v1"})
    with pytest.raises(ConfigurationError, match="acme needs an address: set ACME_HOST or pass"):
        kind("m")
    assert kind("m", base_url="https://other.example/v1").access.url == "https://other.example/v1"
    for value in ("llm.acme.com", "https://llm.acme.com/"):
        monkeypatch.setenv("ACME_HOST", value)
        assert kind("m").access.url == "https://llm.acme.com/v1"
    with pytest.raises(
        ConfigurationError, match="acme has no model of its own choice: give model="
    ):
        kind()


def test_a_whole_address_may_stand_there_too(monkeypatch):
    kind = OpenAIProvider.at_vendor("acme", {"base_url": "https://{ACME_ENDPOINT}/openai/v1"})
    for value in ("acme.example", "https://acme.example/", "https://acme.example/openai/v1/"):
        monkeypatch.setenv("ACME_ENDPOINT", value)
        assert kind("m").access.url == "https://acme.example/openai/v1"


def test_an_address_of_ones_own_needs_no_path(monkeypatch):
    for value in ("https://proxy.example", "https://proxy.example/openai/v1"):
        monkeypatch.setenv("GROQ_BASE_URL", value)
        llm = LLMFactory.create("groq", api_key="test-key")
        assert llm.access.url == "https://proxy.example/openai/v1"
        assert llm.adapter.row is vendors.GROQ


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_vendor_without_a_list_of_models_says_so(api):
    with FakeOpenAI() as server:
        fields = {"base_url": f"{server.address}/v1", "models_path": None, "api": api}
        kind = OpenAIProvider.at_vendor("acme", fields)
        async with kind(server.models[0], api_key=server.api_key) as llm:
            with pytest.raises(InvalidRequestError, match="acme has no list of models at http"):
                await llm.list_models()
            assert (await llm.diagnose()).reason is None
        async with kind("a-missing-model", api_key=server.api_key) as llm:
            assert isinstance((await llm.diagnose()).error, ModelNotFoundError)


async def test_a_vendor_may_speak_responses():
    with FakeOpenAI() as server:
        fields = {"base_url": f"{server.address}/v1", "api": "responses"}
        kind = OpenAIProvider.at_vendor("acme", fields)
        async with kind(server.models[0], api_key=server.api_key) as llm:
            assert await llm.generate("Hi")
        assert server.received[0].path == "/v1/responses"


async def test_calls_of_another_model_go_where_thoughts_are_needed():
    call = ToolCall(id="call_1", name="look", arguments="{}")
    asked = FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call")
    with FakeOpenAI() as other, FakeVendor(vendors.DEEPSEEK) as server:
        other.say(asked)
        async with OpenAIProvider(**other.connection()) as llm:
            said = await llm.request("Where is it?")
        result = Message(
            role=MessageRole.TOOL, content="there", metadata={"tool_call_id": "call_1"}
        )
        question = Message(role=MessageRole.USER, content="Where is it?")
        async with LLMFactory.create("deepseek", **server.connection()) as llm:
            assert await llm.generate([question, said.to_message(), result])
        assert server.bodies[0]["messages"][1]["reasoning_content"] == " "
        assert server.complaints == []


async def test_what_a_vendor_does_not_want_back_stays_here():
    fields = {"base_url": "https://llm.acme.com/v1", "sends_back": False}
    kind = OpenAIProvider.at_vendor("acme", fields)
    with FakeVendor(kind.row) as server:
        server.say(FakeAnswer(text="It is blue.", reasoning="Let me think."))
        question = Message(role=MessageRole.USER, content="Why?")
        async with kind("a-model", **server.connection()) as llm:
            said = await llm.request([question])
            assert said.reasoning == "Let me think."
            assert await llm.generate([question, said.to_message(), question])
        assert "Let me think." not in str(server.bodies[1])
        assert server.complaints == []


def test_the_fake_refuses_what_the_vendor_does():
    """Else the contract of vendors would say nothing."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    wrong = [
        (vendors.DEEPSEEK, {"max_completion_tokens": 9}, "max_completion_tokens"),
        (vendors.GROQ, {"max_tokens": 9}, "max_tokens"),
        (vendors.GROQ, {"reasoning_effort": "max"}, "reasoning_effort"),
        (vendors.MISTRAL, {"seed": 7}, "seed"),
        (vendors.MISTRAL, {"stream_options": {"include_usage": True}}, "stream_options"),
        (vendors.MISTRAL, {"messages": [message]}, "messages.0.tool_calls"),
        (vendors.OPENROUTER, {"thinking": {"type": "enabled"}}, "thinking"),
        (vendors.DEEPSEEK, {"response_format": schema}, "response_format"),
        (vendors.DEEPSEEK, {"messages": [message]}, "messages.0.reasoning_content"),
    ]
    for row, fields, field in wrong:
        with FakeVendor(row) as server:
            body = {"model": server.models[0], "messages": [{"role": "user", "content": "Hi"}]}
            client = openai.OpenAI(**server.connection(), max_retries=0)
            assert client.post("/chat/completions", body=body, cast_to=object)
            with pytest.raises(openai.BadRequestError):
                client.post("/chat/completions", body=body | fields, cast_to=object)
            assert server.complaints == [field]


async def test_a_model_that_reads_text_only_is_sent_no_picture():
    with FakeVendor(vendors.DEEPSEEK) as server:
        async with LLMFactory.create("deepseek", **server.connection()) as llm:
            picture = Media(data=b"\x89PNG\r\n\x1a\n" + bytes(25), name="cat.png")
            with pytest.raises(MediaTypeError, match=r"reads text only.*cat\.png|cat\.png"):
                await llm.generate("What is it?", attachments=[picture])
        assert server.received == []


@pytest.mark.parametrize(
    "said", ["mine", "mine.snowflakecomputing.com", vendors.SNOWFLAKE.base_url]
)
def test_an_account_may_be_given_as_a_host_or_an_address(said, monkeypatch):
    monkeypatch.setenv("SNOWFLAKE_ACCOUNT", said.replace("{SNOWFLAKE_ACCOUNT}", "mine"))
    address = "https://mine.snowflakecomputing.com/api/v2/cortex/v1"
    assert LLMFactory.create("snowflake", api_key="test-key").access.url == address


async def test_what_perplexity_has_found_does_not_go_back():
    found = {"type": "search_results", "queries": ["q"], "results": []}
    said = {"type": "message", "content": [{"type": "output_text", "text": "Paris."}]}
    body = {"model": "m", "status": "completed", "output": [found, said]}
    with FakeOpenAI() as server:
        server.say(RawReply(body=json.dumps(body).encode()), FakeAnswer(text="Yes."))
        async with LLMFactory.create("perplexity", model="gpt-4.1", **server.connection()) as llm:
            asked = {"role": "user", "content": "What is the capital of France?"}
            answer = await llm.request([asked])
            await llm.generate([asked, answer.to_message(), {"role": "user", "content": "Sure?"}])
        sent = server.bodies[1]["input"]
    assert [item["content"] for item in sent] == [asked["content"], "Paris.", "Sure?"]


class City(BaseModel):
    name: str


async def test_perplexity_is_asked_for_a_type_in_its_own_field():
    with FakeOpenAI() as server:
        server.say(FakeAnswer(text='{"name": "Paris"}'))
        async with LLMFactory.create("perplexity", model="gpt-4.1", **server.connection()) as llm:
            answer = await llm.request("Where?", output=City)
        assert answer.output == City(name="Paris")
        assert server.bodies[0]["response_format"]["json_schema"]["name"] == "City"
        assert "text" not in server.bodies[0]


async def test_mistral_gets_an_answer_between_a_result_and_what_it_shows():
    from bruno_llm_openai.vendors import MISTRAL

    async def look():
        """Look."""
        return Media(data=b"\x89PNG\r\n\x1a\n")

    call = ToolCall(id="callabc12", name="look", arguments="{}")
    with FakeVendor(MISTRAL) as server:
        server.say(FakeAnswer(text="", tool_calls=(call,)), FakeAnswer(text="A cat."))
        async with LLMFactory.create("mistral", **server.connection()) as llm:
            answer = await run_tools(llm, "Look!", tools=[look])
    assert answer.text == "A cat."
    roles = [message["role"] for message in server.bodies[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]
    assert server.bodies[-1]["messages"][3]["content"] == "OK."
