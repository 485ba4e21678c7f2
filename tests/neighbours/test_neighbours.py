"""What others pin installs beside us, and they work in the same process; run by `.ci/compat.py`."""

import instructor
import litellm
import llm as simonw_llm
import pytest
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeOpenAI
from langchain_openai import ChatOpenAI
from openai import OpenAI
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider as PydanticAIProvider

MODEL = "gpt-4.1"


class City(BaseModel):
    name: str


@pytest.fixture
def server():
    with FakeOpenAI() as server:
        server.say(FakeAnswer(text="Paris."))
        yield server


@pytest.fixture
def client(server):
    return OpenAI(api_key=server.api_key, base_url=f"{server.address}/v1")


def ask_litellm(server, _):
    settings = {"api_base": f"{server.address}/v1", "api_key": server.api_key}
    messages = [{"role": "user", "content": "The capital of France?"}]
    answer = litellm.completion(f"openai/{MODEL}", messages, **settings)
    return answer.choices[0].message.content


def ask_pydantic_ai(server, _):
    provider = PydanticAIProvider(base_url=f"{server.address}/v1", api_key=server.api_key)
    model = OpenAIChatModel(MODEL, provider=provider)
    return Agent(model).run_sync("The capital of France?").output


def ask_langchain(server, _):
    model = ChatOpenAI(model=MODEL, base_url=f"{server.address}/v1", api_key=server.api_key)
    return model.invoke("The capital of France?").content


def ask_llm(server, _):
    model = simonw_llm.get_model("gpt-4.1")
    model.api_base, model.key = f"{server.address}/v1", server.api_key
    return model.prompt("The capital of France?", stream=False).text()


@pytest.mark.parametrize("ask", [ask_litellm, ask_pydantic_ai, ask_langchain, ask_llm])
def test_each_answers_beside_us(server, client, ask, tmp_path, monkeypatch):
    monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
    assert ask(server, client) == "Paris."
    with OpenAIProvider(**server.connection()).sync as ours:
        assert ours.generate("The same?")


def test_instructor_reads_what_it_asked_for(server, client):
    server.say(FakeAnswer(text='{"name": "Paris"}'))
    client = instructor.from_openai(client, mode=instructor.Mode.JSON)
    messages = [{"role": "user", "content": "The capital of France?"}]
    found = client.chat.completions.create(model=MODEL, messages=messages, response_model=City)
    assert found.name == "Paris"
