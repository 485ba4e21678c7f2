import pytest
from bruno_core.models import Message
from bruno_llm_base import Attempt, ModelResponse, Reasoning, Text, ToolCall, Usage, VendorBlock
from bruno_llm_base.messages import Conversation
from bruno_llm_base.response import checked
from hypothesis import given
from hypothesis import strategies as st

counts = st.none() | st.integers(0, 99)
usages = st.builds(Usage, input_tokens=counts, output_tokens=counts, reasoning_tokens=counts)
words = st.none() | st.text(max_size=3)
states = st.none() | st.builds(
    VendorBlock, vendor=st.just("v"), data=st.fixed_dictionaries({"signature": st.text(max_size=2)})
)
# what vendors send: one kind of part under one index
texts = st.builds(Text, text=st.text(max_size=3), index=st.sampled_from([None, 0, 1]))
thoughts = st.builds(
    Reasoning, text=st.text(max_size=3), state=states, index=st.sampled_from([None, 2, 3])
)
calls = st.builds(
    ToolCall,
    id=st.just("a"),
    name=st.just("n"),
    arguments=st.text("a", max_size=3),
    index=st.sampled_from([4, 5]),
)
blocks = st.builds(
    VendorBlock,
    vendor=st.just("v"),
    data=st.dictionaries(st.sampled_from(["data", "id"]), st.text(max_size=2)),
    index=st.sampled_from([None, 6]),
)
pieces = texts | thoughts | calls | blocks
finishes = st.tuples(
    st.sampled_from([None, "stop", "length", "content_filter", "tool_call"]), st.sampled_from("ab")
)


@st.composite
def parts(draw):
    reason, detail = draw(finishes)
    return ModelResponse(
        parts=tuple(draw(st.lists(pieces, max_size=3))),
        finish_reason=reason,
        finish_detail=detail if reason else None,
        usage=draw(usages),
        model=draw(words),
        id=draw(words),
        request_id=draw(words),
        attempts=draw(st.sampled_from([(), (Attempt(duration=1),)])),
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
def test_no_word_is_lost(several):
    whole = ModelResponse.join(several)
    assert sorted(whole.text) == sorted("".join(part.text for part in several))
    assert sorted(whole.reasoning) == sorted("".join(part.reasoning for part in several))


@given(st.lists(texts.filter(lambda part: part.index is None) | calls, max_size=8))
def test_text_without_an_index_keeps_its_order(several):
    whole = ModelResponse.join([ModelResponse(parts=(part,)) for part in several])
    assert whole.text == "".join(part.text for part in several if isinstance(part, Text))


@given(usages, usages)
def test_later_counts_of_an_answer_replace_earlier_ones(a, b):
    total = (ModelResponse(usage=a) + ModelResponse(usage=b)).usage
    for name in ("input_tokens", "output_tokens", "reasoning_tokens"):
        earlier, later = getattr(a, name), getattr(b, name)
        assert getattr(total, name) == (later if later or earlier is None else earlier)


def said(*parts):
    return ModelResponse(parts=parts)


def test_adding_changes_no_operand():
    a, b = said(Text("a")), said(Text("b"))
    assert (a + b).text == "ab"
    assert (a.text, b.text) == ("a", "b")


def joined(*fragments):
    return ModelResponse.join([said(fragment) for fragment in fragments]).parts


def test_parts_keep_the_order_in_which_they_began():
    signed = VendorBlock("v", {"signature": "xyz"})
    assert joined(
        Reasoning("Hm", index=0),
        Text("a", index=1),
        ToolCall("c1", "f", "", index=2),
        Reasoning("m.", VendorBlock("v", {"signature": "xy"}), index=0),
        ToolCall(arguments="{}", index=2),
        Reasoning("", VendorBlock("v", {"signature": "z"}), index=0),
        Text("b", index=1),
        Text("c", index=3),
    ) == (Reasoning("Hmm.", signed), Text("ab"), ToolCall("c1", "f", "{}"), Text("c"))


@pytest.mark.parametrize("index", [0, None])
def test_calls_that_share_an_index_or_have_none_are_told_apart_by_their_ids(index):
    assert joined(
        ToolCall("a", "f", '{"x": ', index=index),
        ToolCall("a", "f", "1}", index=index),
        ToolCall("b", "g", "{", index=index),
        ToolCall(arguments="}", index=index),
    ) == (ToolCall("a", "f", '{"x": 1}'), ToolCall("b", "g", "{}"))


@pytest.mark.parametrize("index", [0, None])
def test_calls_without_ids_are_told_apart_by_their_names_and_ends(index):
    assert joined(
        ToolCall(None, "f", '{"x": 1}', index=index),
        ToolCall(None, "f", '{"x": 2}', index=index),
        ToolCall(None, "g", "", index=index),
        ToolCall(arguments="{}", index=index),
    ) == (
        ToolCall(None, "f", '{"x": 1}'),
        ToolCall(None, "f", '{"x": 2}'),
        ToolCall(None, "g", "{}"),
    )


def test_the_arguments_of_a_vendors_own_tool_are_kept_with_it():
    used = VendorBlock("v", {"type": "server_tool_use", "input": {}}, index=0)
    (block,) = joined(used, ToolCall(arguments='{"q":', index=0), ToolCall(arguments="1}", index=0))
    assert block.data == {"type": "server_tool_use", "input": {}, "arguments": '{"q":1}'}


def test_many_fragments_take_no_longer_than_few_would():
    """A sum that looks back at all it has for every fragment would take hours here."""
    fragments = [ToolCall("a", "f", "[", index=0) for _ in range(100_000)]
    (call,) = joined(*fragments)
    assert len(call.arguments) == 100_000


def test_a_block_outranks_what_follows():
    blocked = ModelResponse(finish_reason="content_filter", finish_detail="refusal")
    whole = blocked + ModelResponse(finish_reason="stop", finish_detail="stop")
    assert (whole.finish_reason, whole.finish_detail) == ("content_filter", "refusal")


@pytest.mark.parametrize("text", ["", "Let me look."])
def test_an_answer_becomes_a_turn_with_nothing_lost(text):
    parts = (
        Reasoning("Hm.", VendorBlock("v", {"signature": "xyz"})),
        *([Text(text)] if text else []),
        VendorBlock("v", {"type": "search", "found": [1]}),
        ToolCall("c1", "f", '{"a": 1}', VendorBlock("v", {"caller": "x"})),
        ToolCall("c2", "g", '{"a'),
    )
    message = ModelResponse(parts=parts).to_message()
    turn, _ = Conversation.of([Message.model_validate_json(message.model_dump_json())]).turns
    assert (turn.role, turn.text) == ("assistant", text)
    assert turn.parts == parts


def test_a_plain_answer_is_a_plain_message():
    message = ModelResponse(parts=(Text("It is blue."),)).to_message()
    assert (message.content, message.metadata) == ("It is blue.", {})


def test_words_that_were_changed_afterwards_count():
    signed = VendorBlock("v", {"signature": "xyz"})
    call = ToolCall("c1", "f", "{}", signed)
    message = ModelResponse(parts=(Reasoning("Hm.", signed), Text("secret"), call)).to_message()
    message.content = "(removed)"
    turn, _ = Conversation.of([message]).turns
    assert turn.parts == (Text("(removed)"), ToolCall("c1", "f", "{}"))


@pytest.mark.parametrize(
    "part",
    [
        said(Text(5)),
        said(Reasoning([])),
        said(ToolCall(name=5)),
        said(ToolCall(name="f", arguments={})),
        said(ToolCall(name="f", index=[])),
        said("x"),
        said(VendorBlock("v", {}, index=[])),
        ModelResponse(model=5),
        ModelResponse(finish_detail={}),
    ],
)
def test_a_part_of_the_wrong_types_is_found_out(part):
    with pytest.raises(TypeError):
        checked(part)


@pytest.mark.parametrize(("count", "expected"), [("many", None), (-1, None), (5.0, 5), (5.5, None)])
def test_a_count_that_is_not_one_was_not_reported(count, expected):
    part = checked(ModelResponse(usage=Usage(input_tokens=count, output_tokens=7)))
    assert part.usage == Usage(input_tokens=expected, output_tokens=7)
