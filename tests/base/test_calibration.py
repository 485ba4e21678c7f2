import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from statistics import mean

import pytest
from bruno_llm_base.calibration import Calibration, Calibrations
from bruno_llm_base.messages import Conversation
from bruno_llm_base.tokens import estimate_conversation, estimate_tokens
from counting import corpus
from hypothesis import given
from hypothesis import strategies as st

TEXTS = [texts[0] for texts in corpus().values()]
OTHERS = [text for texts in corpus().values() for text in texts[1:]]


def conversation(text="Tell me, in a few words, what the weather will be like in Rome."):
    return Conversation.of(text)


def taught(factor, texts=TEXTS[:10]):
    calibration = Calibration()
    for text in texts:
        asked = conversation(text)
        calibration = calibration.learned(asked, round(factor * estimate_conversation(asked)))
    return calibration


def test_before_any_answer_it_is_the_general_estimate():
    calibration = Calibration()
    for text in ["", *TEXTS]:
        count = calibration.count_text(text)
        assert count.tokens == estimate_tokens(text)
        assert (count.exact, count.source, count.error) == (False, "estimate", 0.5)
    asked = conversation()
    assert calibration.count_conversation(asked).tokens == estimate_conversation(asked)


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.0, 1.4, 2.0, 2.5])
def test_ten_answers_teach_it_a_tokenizer_that_takes_more_or_less(factor):
    calibration = taught(factor, TEXTS[::2][:10])
    wanted = {
        text: min(factor * estimate_tokens(text), len(text.encode()))  # a tokenizer's most
        for text in OTHERS
    }
    off = [abs(calibration.count_text(text).tokens / count - 1) for text, count in wanted.items()]
    assert mean(off) < 0.1
    whole = [calibration.count_conversation(conversation(text)).tokens for text in OTHERS]
    most = [factor * estimate_conversation(conversation(text)) for text in OTHERS]
    assert sum(whole) == pytest.approx(sum(most), rel=0.1)


@given(st.floats(0.5, 2.5), st.permutations(TEXTS))
def test_whatever_the_order_it_comes_near(factor, texts):
    calibration = taught(factor, texts[:10])
    seen = [estimate_conversation(conversation(text)) * factor for text in texts[:10]]
    told = [calibration.count_conversation(conversation(text)).tokens for text in texts[:10]]
    assert sum(told) == pytest.approx(sum(seen), rel=0.1)


def test_it_says_how_it_knows_and_how_well():
    calibration = taught(1.3, TEXTS[:1])
    assert calibration.count_text("Hello").source == "estimate, calibrated by 1 answer"
    calibration = taught(1.3, TEXTS)
    count = calibration.count_text("Hello")
    assert count.source == f"estimate, calibrated by {len(TEXTS)} answers"
    assert not count.exact
    assert 0.1 <= count.error < 0.3


def test_a_server_that_counts_in_no_way_known_makes_it_say_so():
    calibration = taught(1.0, TEXTS)
    good = calibration.count_text("Hello").error
    for place, text in enumerate(TEXTS):
        asked = conversation(text)
        calibration = calibration.learned(
            asked, round(estimate_conversation(asked) * (0.5, 2.0)[place % 2])
        )
    assert calibration.count_text("Hello").error > 2 * good


NONSENSE = [0, -1, -(10**9), 10**9, 2**80, True, False, None, 12.0, "12", float("nan")]


@pytest.mark.parametrize("reported", NONSENSE)
def test_nonsense_teaches_nothing(reported):
    for calibration in (Calibration(), taught(1.3)):
        assert calibration.learned(conversation(), reported) is calibration


def test_a_prompt_that_the_server_cut_teaches_nothing():
    calibration = Calibration()
    asked = conversation("word " * 10_000)
    calibration = calibration.learned(asked, 2048)
    assert calibration.count_conversation(asked).source == "estimate"


def test_once_it_knows_one_answer_that_is_far_off_changes_little():
    calibration = taught(1.2, TEXTS)
    before = calibration.count_text(TEXTS[4]).tokens
    asked = conversation("\n".join(TEXTS))
    calibration = calibration.learned(asked, 5 * estimate_conversation(asked))
    assert calibration.count_text(TEXTS[4]).tokens == pytest.approx(before, rel=0.25)


def test_a_very_long_conversation_is_not_learned_from():
    calibration = Calibration()
    asked = conversation("word " * 20_000)
    calibration = calibration.learned(asked, estimate_conversation(asked))
    assert calibration.count_conversation(asked).source == "estimate"


def test_each_model_has_a_calibration_of_its_own_and_of_too_many_the_first_is_forgotten():
    known = Calibrations()
    for number in range(101):
        known.learn(str(number), conversation(), 20)
        assert known.of(str(number)).answers == 1
    assert [known.of(str(number)).answers for number in (0, 1, 100, 101)] == [0, 1, 1, 0]


def test_answers_are_learned_from_when_a_count_is_wanted_and_of_many_the_latest():
    known = Calibrations()
    for _ in range(3):
        known.learn("a", conversation(), 20)
    known.learn("b", conversation(), 20)
    assert known.of("a").count_text("hi").source == "estimate, calibrated by 3 answers"
    assert known.of("b").count_text("hi").source == "estimate, calibrated by 1 answer"
    for _ in range(1000):
        known.learn("c", conversation(), 20)
    known.learn("c", conversation(), 10**9)  # of what must be very long, nothing is kept
    assert known.of("c").count_text("hi").source == "estimate, calibrated by 16 answers"


@given(st.lists(st.tuples(st.text(min_size=1), st.integers(1, 10_000)), max_size=20), st.text())
def test_counts_are_never_negative_and_at_most_the_bytes(answers, text):
    calibration = Calibration()
    for asked, reported in answers:
        calibration = calibration.learned(Conversation(asked, ()), reported)
    size = len(text.encode("utf-8", "surrogatepass"))
    assert (1 if text else 0) <= calibration.count_text(text).tokens <= size
    assert calibration.count_conversation(Conversation(text, ())).tokens >= 0
    assert 0.1 <= calibration.count_text(text).error <= 0.5


def test_threads_may_share_them():
    known, asked = Calibrations(), conversation(TEXTS[4])
    wanted = round(1.5 * estimate_conversation(asked))

    def answer_and_count(_):
        known.learn("a", asked, wanted)
        return known.of("a").count_conversation(asked)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(answer_and_count, range(200)))
    assert known.of("a").count_conversation(asked).tokens == pytest.approx(wanted, rel=0.05)


def test_it_can_be_copied_and_pickled():
    calibration = taught(1.5)
    for twin in (copy.deepcopy(calibration), pickle.loads(pickle.dumps(calibration))):
        assert twin.count_text(TEXTS[0]) == calibration.count_text(TEXTS[0])
