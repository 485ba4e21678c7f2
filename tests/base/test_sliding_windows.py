from collections import deque

from bruno_llm_base.limits.windows import SlidingWindow
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.lists(st.tuples(st.floats(0, 20), st.integers(0, 300)), max_size=400), st.data())
@settings(deadline=None)
def test_no_span_of_time_ever_holds_more_than_the_limit(steps, data):
    limit, span = data.draw(st.integers(1, 500)), 60.0
    window, sent, time = SlidingWindow(limit, span), [], 0.0
    for pause, amount in steps:
        time += pause
        if amount <= limit and window.fits(amount, time):
            window.add(amount, time)
            sent.append((time, amount))
        recent = sum(amount for at, amount in sent if at + span > time)
        assert recent <= limit


def test_a_window_full_of_requests_stays_small_and_exact_enough():
    window, recent, time = SlidingWindow(50_000, 60.0), deque(), 0.0
    for _ in range(200_000):
        while not window.fits(1, time):
            time += window.wait(1, time, 0)
        window.add(1, time)
        recent.append(time)
        while recent[0] + 60.0 <= time:
            recent.popleft()
        assert len(recent) <= 50_000
        time += 0.001
    assert len(window._entries) < 2_100
    assert time < 240.5  # four windows, and not a second lost


def test_cancelled_attempts_leave_nothing_behind():
    window, time = SlidingWindow(10, 60.0), 0.0
    earlier = window.add(1, time)
    for _ in range(20_000):
        time += 0.0005
        entry = window.add(1, time)
        window.give_back(earlier, 1, time)
        earlier = entry
    assert len(window._entries) < 2_100


def test_a_server_that_counts_on_and_on_leaves_little_behind():
    window, time = SlidingWindow(50_000, 60.0), 0.0
    for used in range(20_000):
        time += 0.001
        window.lower(None, 50_000 - used, 1.0 + used % 50, time)
        assert window.used >= used
    assert len(window._entries) < 2_100
