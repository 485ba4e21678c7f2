"""Tokens as Anthropic counts them."""

from bruno_core.models import Message
from bruno_llm_base import Usage
from bruno_llm_testing import FakeAnswer

TOOL = {"name": "weather", "description": "Tells it.", "input_schema": {"type": "object"}}


async def test_what_anthropic_counts_is_an_estimate(server, llm):
    server.say(FakeAnswer(usage=Usage(input_tokens=1000)), to="count_tokens")
    count = await llm.count_tokens("hello world")
    assert (count.tokens, count.exact, count.error) == (1000, False, 0.05)
    assert count.source == "claude, /v1/messages/count_tokens"
    assert count.least < 1000
    await llm.aclose()


async def test_what_anthropic_is_asked(server, llm):
    llm.set_system_prompt("Be brief.")
    await llm.count_tokens(
        [Message(role="user", content="go")],
        model="claude-opus-5-5",
        max_tokens=9,
        stop="END",
        tools=[TOOL],
        tool_choice={"type": "auto"},
        thinking={"type": "adaptive"},
        output_config={"effort": "low"},
        metadata={"user_id": "x"},
    )
    assert server.received[0].body == {
        "model": "claude-opus-5-5",
        "system": "Be brief.",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "go"}]}],
        "tools": [TOOL],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
    }
    await llm.aclose()
