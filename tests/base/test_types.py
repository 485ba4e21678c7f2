import pytest
from bruno_llm_base import Attempt, ModelResponse, ToolCall, Usage
from bruno_llm_base.conversation import Conversation
from bruno_llm_base.types import checked
from hypothesis import given
from hypothesis import strategies as st

counts = st.none() | st.integers(0, 99)
usages = st.builds(Usage, input_tokens=counts, output_tokens=counts, reasoning_tokens=counts)
words = st.none() | st.text(max_size=3)
calls = st.builds(
    ToolCall,
    index=st.none() | st.integers(0, 2),
    id=st.none() | st.just("a"),
    name=st.none() | st.just("n"),
    arguments=st.text(max_size=3),
)
blocks = st.fixed_dictionaries(
    {}, optional={"index": st.integers(0, 1), "sign": st.text(max_size=2)}
)
finishes = st.tuples(
    st.sampled_from([None, "stop", "length", "content_filter", "tool_call"]), st.sampled_from("ab")
)


@st.composite
def parts(draw):
    reason, detail = draw(finishes)
    return ModelResponse(
        text=draw(st.text(max_size=5)),
        reasoning=draw(st.text(max_size=5)),
        tool_calls=tuple(draw(st.lists(calls, max_size=2))),
        finish_reason=reason,
        finish_detail=detail if reason else None,
        usage=draw(usages),
        model=draw(words),
        id=draw(words),
        request_id=draw(words),
        attempts=draw(st.sampled_from([(), (Attempt(duration=1),)])),
        provider_state=tuple(draw(st.lists(blocks, max_size=2))),
    )


@given(parts(), parts(), parts())
def test_addition_is_associative(a, b, c):
    assert (a + b) + c == a + (b + c) == ModelResponse.join([a, b, c])


@given(parts())
def test_the_empty_part_is_the_identity(part):
    whole = ModelResponse.join([part])
    assert ModelResponse() + part == part + ModelResponse() == whole
    assert ModelResponse.join([whole]) == whole


@given(st.lists(parts(), max_size=6))
def test_no_text_is_lost_or_reordered(several):
    whole = ModelResponse.join(several)
    assert whole.text == "".join(part.text for part in several)
    assert whole.reasoning == "".join(part.reasoning for part in several)


@given(usages, usages)
def test_later_counts_of_an_answer_replace_earlier_ones(a, b):
    total = (ModelResponse(usage=a) + ModelResponse(usage=b)).usage
    for name in ("input_tokens", "output_tokens", "reasoning_tokens"):
        earlier, later = getattr(a, name), getattr(b, name)
        assert getattr(total, name) == (later if later or earlier is None else earlier)


def test_adding_changes_no_operand():
    a, b = ModelResponse(text="a", usage=Usage(input_tokens=1)), ModelResponse(text="b")
    assert (a + b).text == "ab"
    assert (a.text, b.text, b.usage) == ("a", "b", Usage())


def test_a_stop_after_a_tool_call_is_a_tool_call():
    call = ModelResponse(tool_calls=(ToolCall(name="f", arguments="{}"),))
    assert (call + ModelResponse(finish_reason="stop")).finish_reason == "tool_call"
    assert (call + ModelResponse(finish_reason="length")).finish_reason == "length"


def test_a_block_outranks_what_follows():
    blocked = ModelResponse(finish_reason="content_filter", finish_detail="refusal")
    whole = blocked + ModelResponse(finish_reason="stop", finish_detail="stop")
    assert (whole.finish_reason, whole.finish_detail) == ("content_filter", "refusal")


@pytest.mark.parametrize("text", ["", "Let me look."])
def test_an_answer_becomes_a_turn_with_nothing_lost(text):
    answer = ModelResponse(
        text=text,
        tool_calls=(ToolCall(index=0, id="c1", name="f", arguments='{"a": 1}'),),
        provider_state=({"index": 0, "signature": "xyz"},),
    )
    turn, _ = Conversation.of([answer.to_message()]).turns
    assert (turn.role, turn.text) == ("assistant", text)
    assert [(c.id, c.name, c.arguments) for c in turn.tool_calls] == [("c1", "f", '{"a": 1}')]
    assert turn.provider_state == answer.provider_state


@pytest.mark.parametrize(
    "part",
    [
        ModelResponse(text=5),
        ModelResponse(reasoning=[]),
        ModelResponse(model=5),
        ModelResponse(finish_detail={}),
        ModelResponse(tool_calls=(ToolCall(name=5),)),
        ModelResponse(tool_calls=(ToolCall(name="f", arguments={}),)),
        ModelResponse(tool_calls=(ToolCall(name="f", index=[]),)),
        ModelResponse(provider_state=("x",)),
        ModelResponse(provider_state=({"index": []},)),
    ],
)
def test_a_part_of_the_wrong_types_is_found_out(part):
    with pytest.raises(TypeError):
        checked(part)


def test_a_count_that_is_no_number_was_not_reported():
    part = checked(ModelResponse(text="x", usage=Usage(input_tokens="many", output_tokens=7)))
    assert part.usage == Usage(output_tokens=7)
