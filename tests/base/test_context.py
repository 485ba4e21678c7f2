"""What each strategy leaves out of a conversation that does not fit, and what none ever does."""

import pickle
from collections.abc import Sequence
from itertools import pairwise
from typing import get_args

import bruno_llm_claude.messages
import bruno_llm_gemini.messages
import bruno_llm_ollama.messages
import bruno_llm_openai.messages
import pytest
from bruno_core.models import Message
from bruno_llm_base import ConfigurationError, ContextPolicy, Conversation
from bruno_llm_base.context.policy import Strategy
from bruno_llm_base.context.trim import trim
from hypothesis import given
from hypothesis import strategies as st

STRATEGIES = get_args(Strategy)


def message(role, content, **metadata):
    return Message(role=role, content=content, metadata=metadata)


def calls(*names):
    asked = [{"id": name, "name": "f", "arguments": {"x": 1}} for name in names]
    return message("assistant", "(tool call)", tool_calls=asked)


def result(name):
    return message("tool", f"of {name}", tool_call_id=name)


def said(words):
    """Return a conversation: "u1 a1 t1": a question, an answer, a call with its result."""
    messages = []
    for word in words.split():
        if word[0] == "t":
            messages += [calls(word), result(word)]
        else:
            messages.append(message({"u": "user", "a": "assistant"}[word[0]], word))
    return Conversation.of([message("system", "s"), *messages])


def words(turns):
    """Return what `said` made the turns of; a result without its call shows."""
    return " ".join(turn.text or "+".join(part.id for part in turn.parts) for turn in turns)


def stays(strategy, conversation, room):
    """Return what stays where every turn takes 1 token; a call and its result show twice."""
    costs = [1] * len(conversation.turns)
    return words(trim(conversation, strategy, costs=costs, room=room).conversation.turns)


# -- by example -----------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_fits_stays_as_it_is(strategy):
    conversation = said("u1 t1 a1 u2")
    cut = trim(conversation, strategy, costs=[5] * 5, room=25)
    assert cut.conversation is conversation
    assert cut[1:] == ((), 25)


def test_oldest_first_leaves_out_no_more_than_it_must():
    conversation = said("u1 a1 u2 t2 a2 u3")
    assert stays("oldest_first", conversation, 6) == "a1 u2 t2 t2 a2 u3"
    assert stays("oldest_first", conversation, 4) == "t2 t2 a2 u3"
    assert stays("oldest_first", conversation, 3) == "a2 u3"  # a call is not parted from its result


def test_a_sliding_window_begins_with_a_question():
    conversation = said("u1 a1 u2 t2 a2 u3")
    assert stays("sliding_window", conversation, 6) == "u2 t2 t2 a2 u3"
    assert stays("sliding_window", conversation, 4) == "u3"
    assert stays("sliding_window", said("a0 u1 a1 u2"), 3) == "u1 a1 u2"


def test_middle_out_keeps_both_ends():
    conversation = said("u1 a1 u2 a2 u3 a3 u4 a4 u5")
    assert stays("middle_out", conversation, 8) == "u1 a1 u2 a2 u4 a4 u5"
    assert stays("middle_out", conversation, 5) == "u1 a1 u4 a4 u5"
    assert stays("middle_out", conversation, 3) == "u1 a1 u5"
    assert stays("middle_out", conversation, 2) == "u5"


def test_smart_parts_with_tool_calls_then_with_the_oldest_but_never_lightly_with_the_task():
    conversation = said("u1 t1 a1 u2 t2 a2 u3 a3 u4")
    assert stays("smart", conversation, 10) == "u1 a1 u2 t2 t2 a2 u3 a3 u4"
    assert stays("smart", conversation, 8) == "u1 a1 u2 a2 u3 a3 u4"
    assert stays("smart", conversation, 6) == "u1 a1 u3 a3 u4"
    assert stays("smart", conversation, 4) == "u1 a1 u4"
    assert stays("smart", conversation, 2) == "u4"


def test_smart_knows_the_task_behind_a_greeting():
    assert stays("smart", said("a0 u1 a1 u2 a2 u3"), 5) == "u1 a1 u2 a2 u3"
    assert stays("smart", said("a0 u1 a1 u2 a2 u3"), 3) == "u1 a1 u3"


def test_smart_keeps_the_end_of_an_answer_that_is_a_tool_call():
    conversation = said("u1 t1 t2 u3")
    assert stays("smart", conversation, 5) == "u1 t2 t2 u3"


def test_a_summary_takes_the_place_of_the_oldest():
    conversation = said("u1 a1 u2 a2 u3")
    assert stays("summarize", conversation, 3) == "u2 a2 u3"


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("room", [-5, 0, 4])
def test_the_question_and_what_came_of_it_last_stay_even_where_they_do_not_fit(strategy, room):
    conversation = said("a0 u1 t1 a1 u2 t2 t3")
    cut = trim(conversation, strategy, costs=[2] * 10, room=room)
    assert words(cut.conversation.turns) == "u2 t3 t3"
    assert (words(cut.left_out), cut.tokens) == ("a0 u1 t1 t1 a1 t2 t2", 6)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_of_an_agent_that_is_long_at_work_the_oldest_rounds_go_last_of_all(strategy):
    conversation = said("u0 a0 u1 t1 t2 t3 t4")
    assert stays(strategy, conversation, 9) == "u1 t1 t1 t2 t2 t3 t3 t4 t4"
    assert stays(strategy, conversation, 6) == "u1 t3 t3 t4 t4"
    assert stays(strategy, conversation, 0) == "u1 t4 t4"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_where_nobody_asks_the_last_round_of_calls_stays(strategy):
    """A window that somebody else slid over an agent's work may hold no question."""
    assert stays(strategy, said("t1 t2 t3 a3"), 1) == "t3 t3 a3"
    assert stays(strategy, said("a1"), 0) == "a1"
    whole = said("t1 t2 t3 t4 a4")
    assert len(stays(strategy, whole, 8).split()) == 7


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_system_text_alone_is_left_alone(strategy):
    conversation = said("")
    cut = trim(conversation, strategy, costs=[], room=-1)
    assert cut.conversation is conversation


# -- the laws -------------------------------------------------------------------------------------


@st.composite
def rounds(draw, number):
    """Calls and their results: in any order, some by name only, some never given."""
    names = [f"c{number}_{place}" for place in range(draw(st.integers(1, 3)))]
    results = draw(st.permutations([result(name) for name in names]))
    results = results[: draw(st.integers(0, len(results)))]
    hurry = [message("user", "Hurry.")] if draw(st.integers(0, 4)) == 0 else []
    return [calls(*names), *hurry, *results]


@st.composite
def conversations(draw):
    """Any conversation that bruno-core's messages can hold."""
    messages = []
    kinds = st.sampled_from(["user", "assistant", "round", "round", "system", "stray", "both"])
    for number, kind in enumerate(draw(st.lists(kinds, max_size=25))):
        if kind == "round":
            messages += draw(rounds(number))
        elif kind == "stray":
            messages.append(message("tool", "a result of nothing", name="g"))
        elif kind == "both":
            messages += [message("user", f"u{number}"), message("assistant", f"a{number}")]
        else:
            messages.append(message(kind, f"{kind[0]}{number}"))
    last = draw(st.sampled_from([[], [message("user", "last")], [message("assistant", "pre")]]))
    return Conversation.of([*messages, *last] or "hi")


@st.composite
def cases(draw):
    conversation = draw(conversations())
    count = len(conversation.turns)
    costs = draw(st.lists(st.integers(0, 50), min_size=count, max_size=count))
    return conversation, costs, draw(st.integers(-5, sum(costs) + 5))


def units(turns):
    """Return the places of what leaves together: a turn, or calls and their results."""
    starts = [place for place, turn in enumerate(turns) if turn.role != "tool"]
    return [list(range(*ends)) for ends in pairwise([*starts, len(turns)])]


def always_stay(turns):
    """Return the places of the turns that no strategy leaves out."""
    begin = begin_of_last(turns)
    between = [place for unit in units(turns)[1:-1] for place in unit if unit[0] > begin]
    return [place for place in range(begin, len(turns)) if place not in between]


def begin_of_last(turns):
    """Return where the last exchange begins."""
    roles = [turn.role for turn in turns]
    begin = len(turns) - 1
    if "user" in roles:
        begin = max(place for place, role in enumerate(roles) if role == "user")
    elif "tool" in roles:
        begin = max(place for place, role in enumerate(roles) if role == "tool") - 1
    return max(begin, 0)


def places(turns, kept):
    """Return where in *turns* those in *kept* stand: the same objects, in the same order."""
    where = {id(turn): place for place, turn in enumerate(turns)}
    return [where[id(turn)] for turn in kept]


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(cases())
def test_what_stays_fits_if_that_can_be_and_nothing_that_matters_is_lost(strategy, case):
    conversation, costs, room = case
    cut = trim(conversation, strategy, costs=costs, room=room)
    kept = places(conversation.turns, cut.conversation.turns)
    lost = places(conversation.turns, cut.left_out)
    assert kept == sorted(kept)
    assert lost == sorted(lost)
    assert sorted(kept + lost) == list(range(len(conversation.turns)))
    assert cut.conversation.system == conversation.system
    assert cut.tokens == sum(costs[place] for place in kept)
    needed = always_stay(conversation.turns)
    assert set(needed) <= set(kept)
    if sum(costs[place] for place in needed) <= room:
        assert cut.tokens <= room
    else:
        assert kept == needed
    if sum(costs) <= room:
        assert cut.conversation is conversation


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(cases())
def test_what_stays_is_as_sound_as_it_was(strategy, case):
    conversation, costs, room = case
    turns = trim(conversation, strategy, costs=costs, room=room).conversation.turns
    for before, after in pairwise([None, *turns, None]):
        asked = [call.id for call in before.tool_calls] if before else []
        given = [result.id for result in after.tool_results] if after else []
        assert asked == given
        assert before is None or after is None or before.role != after.role


@pytest.mark.parametrize("strategy", STRATEGIES)
@given(cases())
def test_fitting_again_changes_nothing(strategy, case):
    conversation, costs, room = case
    once = trim(conversation, strategy, costs=costs, room=room)
    kept = places(conversation.turns, once.conversation.turns)
    costs = [costs[place] for place in kept]
    again = trim(once.conversation, strategy, costs=costs, room=room)
    assert again.conversation is once.conversation
    assert again.left_out == ()


@given(cases())
def test_oldest_first_keeps_the_longest_end_that_fits(case):
    conversation, costs, room = case
    cut = trim(conversation, "oldest_first", costs=costs, room=room)
    kept = places(conversation.turns, cut.conversation.turns)
    begin = begin_of_last(conversation.turns)
    end = [place for place in kept if place != begin or kept[0] < begin]
    assert end == list(range(len(costs)))[len(costs) - len(end) :]
    left = [unit for unit in units(conversation.turns) if unit[0] not in kept]
    if left:
        assert cut.tokens + sum(costs[place] for place in left[-1]) > room


@given(cases())
def test_a_sliding_window_keeps_the_longest_end_that_fits_and_begins_with_a_question(case):
    conversation, costs, room = case
    cut = trim(conversation, "sliding_window", costs=costs, room=room)
    kept = places(conversation.turns, cut.conversation.turns)
    if kept and kept[0] < begin_of_last(conversation.turns):
        assert kept == list(range(len(costs)))[-len(kept) :]
    questions = [place for place, turn in enumerate(conversation.turns) if turn.role == "user"]
    if cut.left_out and questions:
        assert kept[0] in questions
        before = max((place for place in questions if place < kept[0]), default=0)
        assert sum(costs[before:]) > room


@given(cases())
def test_middle_out_leaves_one_gap_and_the_beginning_goes_last(case):
    conversation, costs, room = case
    cut = trim(conversation, "middle_out", costs=costs, room=room)
    begin = begin_of_last(conversation.turns)
    lost = [p for p in places(conversation.turns, cut.left_out) if p < begin]
    assert lost == list(range(len(costs)))[lost[0] : lost[-1] + 1] if lost else True
    if 0 in lost:
        assert lost == list(range(begin))


@given(cases())
def test_smart_gives_up_the_task_only_when_nothing_else_is_left_to_give(case):
    conversation, costs, room = case
    cut = trim(conversation, "smart", costs=costs, room=room)
    kept = places(conversation.turns, cut.conversation.turns)
    questions = [place for place, turn in enumerate(conversation.turns) if turn.role == "user"]
    if questions and questions[0] not in kept:
        assert kept[0] == begin_of_last(conversation.turns)


# -- what comes of it -----------------------------------------------------------------------------


@given(cases(), st.sampled_from(STRATEGIES))
def test_every_vendor_is_sent_each_result_right_after_its_call(case, strategy):
    conversation, costs, room = case
    conversation = trim(conversation, strategy, costs=costs, room=room).conversation
    if not conversation.turns:
        return  # nothing but a system text
    expected = [call.id for turn in conversation.turns for call in turn.tool_calls]
    for spoken in (openai(conversation), claude(conversation), gemini(conversation)):
        answered = []
        for before, after in pairwise([([], []), *spoken, ([], [])]):
            assert before[0] == after[1]
            answered += after[1]
        assert answered == expected
    messages = bruno_llm_ollama.messages.build(conversation)
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == expected


def openai(conversation):
    """Return the ids of the calls and the results of each message; results in one list."""
    spoken = []
    for message in bruno_llm_openai.messages.build(conversation, "openai"):
        if message["role"] != "tool":
            spoken.append(([call["id"] for call in message.get("tool_calls", ())], []))
        elif spoken[-1][0] or not spoken[-1][1]:
            spoken.append(([], [message["tool_call_id"]]))
        else:
            spoken[-1][1].append(message["tool_call_id"])
    return spoken


def claude(conversation):
    messages = bruno_llm_claude.messages.build(conversation)
    assert messages[0]["role"] == "user"
    assert all(before["role"] != after["role"] for before, after in pairwise(messages))
    return [
        (
            [block["id"] for block in message["content"] if block["type"] == "tool_use"],
            [block["tool_use_id"] for block in message["content"] if "tool_use_id" in block],
        )
        for message in messages
    ]


def gemini(conversation):
    contents = bruno_llm_gemini.messages.build(conversation.opened(), sign=True)["contents"]
    assert contents[0]["role"] == "user"
    return [
        tuple(
            [part[name]["id"] for part in content["parts"] if name in part]
            for name in ("functionCall", "functionResponse")
        )
        for content in contents
    ]


class Counted(Sequence):
    """Counts how often somebody looks at one of its items."""

    def __init__(self, items):
        self.items, self.looks = items, 0

    def __len__(self):
        return len(self.items)

    def __getitem__(self, place):
        self.looks += 1
        return self.items[place]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("exchanges", [10, 100, 1000])
@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_a_long_conversation_is_looked_through_a_few_times_however_long(strategy, exchanges, share):
    conversation = said(" ".join(f"u{n} t{n} t{n}+ a{n}" for n in range(exchanges)))
    size = len(conversation.turns)
    turns, costs = Counted(conversation.turns), Counted([1] * size)
    cut = trim(Conversation(None, turns), strategy, costs=costs, room=int(size * share))
    assert cut.left_out
    assert costs.looks <= 3 * size
    assert turns.looks <= 6 * size


# -- the policy -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "complaint"),
    [
        ({"strategy": "newest"}, "'newest': give one of 'oldest_first', .*'summarize', None"),
        ({"window": 4096, "reserve_output": 4096}, "is 4096: give less than the window of 4096"),
        ({"strategy": "summarize"}, "summarize is None: the strategy of that name needs it"),
        ({"summarize": len}, "is given, and strategy=None makes no use of it"),
        ({"strategy": "smart", "summarize": len}, "is given, and strategy='smart' makes no use"),
    ],
)
def test_a_policy_that_makes_no_sense_says_why(chosen, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        ContextPolicy(**chosen)


@pytest.mark.parametrize(
    "policy",
    [
        ContextPolicy(),
        *(ContextPolicy(strategy=name) for name in STRATEGIES if name != "summarize"),
        ContextPolicy(strategy="summarize", summarize=len),
        ContextPolicy(window=1, reserve_output=0, warn_at=1),
        ContextPolicy(reserve_output=10**6, warn_at=0.001),
    ],
)
def test_a_policy_survives_pickling(policy):
    assert pickle.loads(pickle.dumps(policy)) == policy
