"""The contract on a real language model, which speaks two of the protocols."""

import asyncio

import pytest
from bruno_core.models import Message
from bruno_llm_base import AuthenticationError, ContextLengthExceededError
from bruno_llm_base.testing import ModelContract
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_claude import ClaudeProvider
from bruno_llm_openai import OpenAIProvider
from counting import calibrated, errors, overall, tokenized
from real_model import MODEL, RealModel


@pytest.fixture(scope="module")
def model():
    with RealModel(api_key="local") as model:
        yield model


class TestOpenAI(ModelContract):
    provider = OpenAIProvider

    @pytest.fixture
    def keywords(self, model):
        return {"base_url": f"{model.url}/v1", "api_key": "local", "model": MODEL}

    def test_a_long_prompt_does_not_fit(self, keywords):
        llm = self.make(keywords)
        with pytest.raises(ContextLengthExceededError) as caught:
            asyncio.run(llm.generate("word " * 9000))
        assert caught.value.limit < caught.value.actual

    def test_a_seed_makes_it_repeat_itself(self, keywords):
        llm = self.make(keywords, seed=7, temperature=0.9, max_tokens=20)
        first, second = (asyncio.run(llm.generate("Tell me a story.")) for _ in range(2))
        assert first == second

    def test_a_stop_text_ends_the_answer(self, keywords):
        llm = self.make(keywords, max_tokens=40, stop=[" "], temperature=0)
        assert " " not in asyncio.run(llm.generate("Say: one two three"))


class TestClaude(ModelContract):
    provider = ClaudeProvider

    @pytest.fixture
    def keywords(self, model):
        return {"base_url": model.url, "api_key": "local", "model": MODEL}


@pytest.mark.parametrize(("kind", "path"), [(OpenAIProvider, "/v1"), (ClaudeProvider, "")])
def test_a_conversation_of_any_shape_is_answered(model, kind, path):
    llm = kind(base_url=model.url + path, api_key="local", model=MODEL, max_tokens=10)
    llm.set_system_prompt("You are brief.")
    roles = ["assistant", "user", "system", "user", "tool", "assistant", "user"]
    messages = [Message(role=role, content=f"Message {i}") for i, role in enumerate(roles)]
    assert asyncio.run(llm.generate(messages)).strip()
    wrong = kind(base_url=model.url + path, api_key="wrong", model=MODEL)
    with pytest.raises(AuthenticationError):
        asyncio.run(wrong.generate("hi"))


def test_ten_answers_teach_how_the_model_counts(model):
    calibration = asyncio.run(calibrated(model, "local"))
    tokens = tokenized(model, "local")
    learned = errors(lambda text: calibration.count_text(text).tokens, tokens)
    assert overall(learned) < 0.1
    assert overall(errors(estimate_tokens, tokens)) > 0.3  # so there was something to learn
    assert calibration.count_text("Hi").source == "estimate, calibrated by 10 answers"
