import asyncio
import copy
import gc
import pickle
import threading

import pytest
from bruno_llm_base.exceptions import (
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
)
from bruno_llm_base.limits.headers import LimitState
from bruno_llm_base.limits.rate_limit import RateLimit
from bruno_llm_base.response import ModelResponse, Outcome, Usage
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

laws = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # `leap` has no state
)


def now():
    return asyncio.get_running_loop().time()


def limited(**settings):
    return RateLimit(**settings, clock=now)


async def turn():
    """Let everything that can happen now happen."""
    for _ in range(5):
        await asyncio.sleep(0)


async def is_free(limit, tokens=1):
    """Say whether there is a place now, and give it back."""
    task = asyncio.create_task(limit.acquire(tokens))
    await turn()
    if task.done():
        task.result().cancel()
        return True
    task.cancel()
    await turn()
    return False


# Windows


def test_the_first_minute_holds_no_more_than_any_other(leap):
    async def test():
        limit, times = limited(requests_per_minute=3), []
        for _ in range(8):
            (await limit.acquire(0)).settle()
            times.append(now())
        assert times == pytest.approx([0, 0, 0, 60, 60, 60, 120, 120], abs=0.1)

    leap(test())


def test_places_come_back_one_by_one_as_the_window_slides(leap):
    async def test():
        limit, times = limited(requests_per_minute=2), []
        for pause in (0, 25, 0, 0):
            await asyncio.sleep(pause)
            await limit.acquire(0)
            times.append(now())
        assert times == pytest.approx([0, 25, 60, 85], abs=0.1)

    leap(test())


def test_a_day_has_its_own_window(leap):
    async def test():
        limit = limited(requests_per_minute=10, requests_per_day=2)
        for _ in range(3):
            await limit.acquire(0)
        assert now() == pytest.approx(86_400, abs=0.1)

    leap(test())


def test_what_was_estimated_too_much_is_free_at_once(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        permit = await limit.acquire(90)
        assert not await is_free(limit, 50)
        permit.settle(50)
        assert await is_free(limit, 50)
        assert not await is_free(limit, 51)

    leap(test())


def test_what_was_estimated_too_little_is_owed_by_the_next_minute(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        permit = await limit.acquire(10)
        await asyncio.sleep(59)
        permit.settle(95)  # 85 of them unforeseen
        await asyncio.sleep(30)  # the 10 of the estimate no longer count
        assert await is_free(limit, 15)
        assert not await is_free(limit, 16)
        await asyncio.sleep(31)
        assert await is_free(limit, 100)

    leap(test())


def test_without_a_report_the_estimate_counts(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        (await limit.acquire(90)).settle(None)
        assert not await is_free(limit, 11)
        assert await is_free(limit, 10)

    leap(test())


def test_giving_back_twice_is_giving_back_once(leap):
    async def test():
        limit = limited(tokens_per_minute=100, max_concurrent=1)
        permit = await limit.acquire(60)
        permit.settle(60)
        permit.settle(0)
        permit.cancel()
        assert not await is_free(limit, 41)
        await limit.acquire(40)
        assert not await is_free(limit, 0)

    leap(test())


def test_an_attempt_that_was_never_sent_counts_for_nothing(leap):
    async def test():
        limit = limited(
            requests_per_minute=1, tokens_per_minute=10, requests_per_day=1, max_concurrent=1
        )
        for _ in range(3):
            (await limit.acquire(10)).cancel()
        assert now() == 0

    leap(test())


def test_a_late_settlement_gives_back_nothing_of_a_later_window(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        permit = await limit.acquire(100)
        await asyncio.sleep(61)
        await limit.acquire(100)
        permit.settle(0)
        assert not await is_free(limit, 1)

    leap(test())


# The line


def test_a_small_request_does_not_overtake_a_large_one(leap):
    async def test():
        limit, order = limited(tokens_per_minute=100), []

        async def ask(name, tokens):
            (await limit.acquire(tokens)).settle()
            order.append(name)

        await asyncio.gather(ask("first", 60), ask("large", 90), ask("small", 1))
        assert order == ["first", "large", "small"]

    leap(test())


def test_only_so_many_requests_run_at_once(leap):
    async def test():
        limit, running, most = limited(max_concurrent=3), 0, 0

        async def work():
            nonlocal running, most
            permit = await limit.acquire(0)
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            permit.settle()

        await asyncio.gather(*(work() for _ in range(10)))
        assert most == 3
        assert now() == pytest.approx(4)

    leap(test())


def test_the_state_tells_what_is_taken_and_who_waits(leap):
    async def main():
        limit = limited(requests_per_minute=9, tokens_per_minute=100, max_concurrent=2)
        assert (await limit.state()).tokens_per_minute == (100, 0, 0)
        first = await limit.acquire(30)
        await asyncio.sleep(10)
        await limit.acquire(20)
        waiting = asyncio.create_task(limit.acquire(1))
        await turn()
        state = await limit.state()
        assert state.requests_per_minute == pytest.approx((9, 2, 50), abs=0.1)
        assert state.tokens_per_minute == pytest.approx((100, 50, 50), abs=0.1)
        assert state.requests_per_day is None
        assert (state.in_flight, state.waiting, state.waiting_processes) == (2, 1, 1)
        assert repr(state) == (
            "LimitUse(requests_per_minute: 2 of 9, some free in 50 s; tokens_per_minute: 50 of 100,"
            " some free in 50 s; 2 in flight; 1 waiting here, in 1 processes)"
        )
        limit.lower(LimitState(requests_limit=5))
        first.settle(0)
        await waiting
        state = await limit.state()
        assert state.requests_per_minute.limit == 5
        assert state.tokens_per_minute == pytest.approx((100, 21, 60), abs=0.1)
        assert state.in_flight == 2
        assert (await limited(requests_per_day=3).state()).in_flight is None

    leap(main())


def test_a_request_larger_than_the_limit_is_refused_at_once(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        with pytest.raises(InvalidRequestError) as caught:
            await limit.acquire(101)
        assert (caught.value.limit, caught.value.actual) == (100, 101)
        for word in ("101", "100", "tokens_per_minute", "max_tokens"):
            assert word in str(caught.value)

    leap(test())


@pytest.mark.parametrize("tokens", [-1, 1.5, None, True])
def test_tokens_are_counted_in_whole_numbers(leap, tokens):
    async def test():
        with pytest.raises(InvalidRequestError, match="tokens is"):
            await limited(requests_per_minute=1).acquire(tokens)

    leap(test())


def test_a_wait_known_to_be_too_long_is_not_begun(leap):
    async def test():
        limit = limited(requests_per_minute=2, max_wait=70)
        for _ in range(2):
            await limit.acquire(0)
        await asyncio.sleep(10)
        line = [asyncio.create_task(limit.acquire(0)) for _ in range(2)]
        await turn()
        with pytest.raises(RateLimitError, match="max_wait") as caught:
            await limit.acquire(0)  # two windows from the start, not one
        assert now() == 10
        assert caught.value.retry_after == pytest.approx(110)
        await asyncio.gather(*line)
        assert now() == pytest.approx(60, abs=0.1)

    leap(test())


def test_a_wait_just_short_enough_is_not_in_vain(leap):
    async def test():
        limit = limited(requests_per_minute=1, max_wait=60)
        await limit.acquire(0)
        await limit.acquire(0)
        assert now() == pytest.approx(60, abs=0.1)

    leap(test())


def test_nobody_waits_where_no_wait_is_allowed(leap):
    async def test():
        limit = limited(requests_per_minute=5, max_concurrent=1, max_wait=0)
        permit = await limit.acquire(0)
        with pytest.raises(RateLimitError, match="all places are taken") as caught:
            await limit.acquire(0)
        assert caught.value.retry_after is None
        permit.settle()
        await limit.acquire(0)

    leap(test())


def test_waiting_for_a_running_request_ends_after_max_wait(leap):
    async def test():
        limit = limited(max_concurrent=1, max_wait=5)
        await limit.acquire(0)
        first = asyncio.create_task(limit.acquire(0))
        await asyncio.sleep(2)
        with pytest.raises(RateLimitError):
            await limit.acquire(0)
        assert now() == pytest.approx(7, abs=0.1)
        with pytest.raises(RateLimitError):
            await first

    leap(test())


def test_a_debt_that_makes_the_wait_too_long_ends_it_at_once(leap):
    async def test():
        limit = limited(tokens_per_minute=100, max_wait=61)
        permit = await limit.acquire(100)
        waiter = asyncio.create_task(limit.acquire(50))
        await asyncio.sleep(30)
        permit.settle(200)
        with pytest.raises(RateLimitError) as caught:
            await waiter
        assert now() == 30
        assert caught.value.retry_after == pytest.approx(60)

    leap(test())


_steps = st.lists(
    st.tuples(
        st.floats(0, 40),  # arrives so long after the one before
        st.integers(0, 50),  # asks for so many tokens
        st.floats(0, 90),  # runs so long
        st.sampled_from(["settle", "half", "never sent"]),
    ),
    max_size=40,
)


@given(_steps, st.integers(1, 6), st.integers(50, 200), st.integers(1, 4))
@laws
def test_whatever_comes_the_limits_hold_and_the_first_is_served_first(
    leap, steps, requests, tokens, at_once
):
    async def test():
        limit = limited(
            requests_per_minute=requests, tokens_per_minute=tokens, max_concurrent=at_once
        )
        served, running = [], set()

        async def work(number, size, seconds, end):
            permit = await limit.acquire(size)
            running.add(number)
            assert len(running) <= at_once
            sent = [now(), size, end != "never sent"]
            served.append((number, sent))
            await asyncio.sleep(seconds)
            running.remove(number)
            if end == "never sent":
                permit.cancel()
            else:
                sent[1] = size // 2 if end == "half" else size
                permit.settle(sent[1])

        tasks = []
        for number, (pause, *rest) in enumerate(steps):
            await asyncio.sleep(pause)
            tasks.append(asyncio.create_task(work(number, *rest)))
        await asyncio.gather(*tasks)
        assert [number for number, _ in served] == sorted(range(len(steps)))
        sent = [(time, size) for _, (time, size, on_the_wire) in served if on_the_wire]
        for start, _ in sent:
            within = [size for time, size in sent if start <= time < start + 60]
            assert len(within) <= requests
            assert sum(within) <= tokens

    leap(test())


# Cancellation


def test_a_place_given_and_cancelled_in_one_turn_is_not_lost(leap):
    async def test():
        limit = limited(max_concurrent=1)
        permit = await limit.acquire(0)
        doomed = asyncio.create_task(limit.acquire(0))
        heir = asyncio.create_task(limit.acquire(0))
        await turn()
        permit.settle()  # the place is now `doomed`'s
        doomed.cancel()
        await turn()
        assert doomed.cancelled()
        assert heir.done()

    leap(test())


def test_cancelled_before_the_place_is_given_in_the_same_turn(leap):
    async def test():
        limit = limited(max_concurrent=1)
        permit = await limit.acquire(0)
        doomed = asyncio.create_task(limit.acquire(0))
        heir = asyncio.create_task(limit.acquire(0))
        await turn()
        doomed.cancel()
        permit.settle()
        await turn()
        assert doomed.cancelled()
        assert heir.done()

    leap(test())


def test_when_a_large_head_leaves_the_small_ones_behind_it_move_up(leap):
    async def test():
        limit = limited(tokens_per_minute=100)
        await limit.acquire(50)
        large = asyncio.create_task(limit.acquire(90))
        small = asyncio.create_task(limit.acquire(10))
        await turn()
        assert not small.done()
        large.cancel()
        await turn()
        assert small.done()
        assert now() == 0

    leap(test())


@given(
    st.lists(
        st.tuples(st.floats(0, 30), st.integers(0, 40), st.floats(0, 130), st.floats(0, 30)),
        min_size=1,
        max_size=40,
    )
)
@example([(0.0, 0, 60.0, 0.0)] * 12)  # cancelled just when the window gives way
@laws
def test_no_schedule_of_cancellations_loses_or_invents_a_place(leap, steps):
    async def test():
        limit, running = limited(requests_per_minute=3, tokens_per_minute=60, max_concurrent=2), 0

        async def work(size, seconds):
            nonlocal running
            permit = await limit.acquire(size)
            running += 1
            assert running <= 2
            try:
                await asyncio.sleep(seconds)
            finally:
                running -= 1
                permit.settle()

        tasks, loop = [], asyncio.get_running_loop()
        for pause, size, patience, seconds in steps:
            await asyncio.sleep(pause)
            tasks.append(asyncio.create_task(work(size, seconds)))
            loop.call_later(patience, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(61)
        start = now()
        permits = [await limit.acquire(30) for _ in range(2)]
        assert now() == start
        assert not await is_free(limit, 0)
        for permit in permits:
            permit.cancel()
        queue = limit._queue
        assert not queue._waiting
        assert queue._tokens == 0
        assert [window.used for window in queue.counts.windows] == [0, 0]

    leap(test())


def test_a_place_may_be_given_back_in_the_middle_of_our_own_work(leap):
    # A finalizer can run anywhere, so also while the limit is taking a place for somebody else.
    orphans = []

    def clock():
        while orphans:
            orphans.pop().settle()
        return 0.0

    async def test():
        limit = RateLimit(max_concurrent=1, clock=clock)
        permit = await limit.acquire(0)
        orphans.append(permit)
        await asyncio.wait_for(limit.acquire(0), 1)

    leap(test())


def test_who_gives_up_leaves_no_timer_behind(leap):
    async def test():
        loop, timers = asyncio.get_running_loop(), []
        call_later = loop.call_later
        loop.call_later = lambda *given: timers.append(given) or call_later(*given)
        limit = limited(requests_per_day=1)
        await limit.acquire(0)
        for _ in range(10):
            assert not await is_free(limit)
        assert len(timers) == 1
        await limit.acquire(0)
        assert now() == pytest.approx(86_400)

    leap(test())


# A slot, around an attempt


class Tried:
    """An attempt that has ended."""

    def __init__(self, outcome, tokens=None, says=None):
        self.outcome = outcome
        self.limits_of_server = says
        usage = Usage(input_tokens=tokens, output_tokens=0)
        self.response = None if tokens is None else ModelResponse(usage=usage)


@pytest.mark.parametrize(
    ("attempt", "left"),
    [
        (Tried(Outcome.NOT_SENT), 100),
        (Tried(Outcome.REFUSED), 100),
        (Tried(Outcome.NO_ANSWER, tokens=20), 80),
        (Tried(Outcome.PARTIAL, tokens=30), 70),
        (Tried(Outcome.ANSWERED, tokens=40), 60),
        (
            Tried(Outcome.REFUSED, says=LimitState(tokens_remaining=10, tokens_reset=60)),
            10,
        ),
    ],
)
def test_a_slot_settles_itself_by_the_outcome(leap, attempt, left):
    async def test():
        limit = limited(tokens_per_minute=100, max_concurrent=2)
        async with limit.slot(attempt, 90):
            assert not await is_free(limit, 11)
            async with limit.slot(Tried(Outcome.NOT_SENT), 0):
                assert not await is_free(limit, 0)
        assert await is_free(limit, left)
        assert left == 100 or not await is_free(limit, left + 1)

    leap(test())


def test_an_attempt_that_was_sent_counts_as_a_request(leap):
    async def test():
        limit = limited(requests_per_minute=1)
        async with limit.slot(Tried(Outcome.NOT_SENT), 0):
            pass
        async with limit.slot(Tried(Outcome.REFUSED), 0):
            pass
        assert not await is_free(limit)

    leap(test())


# Event loops and threads


def test_one_limit_serves_one_event_loop_after_another():
    limit = RateLimit(requests_per_minute=10, max_concurrent=1)

    async def work():
        async def one():
            permit = await limit.acquire(0)
            await asyncio.sleep(0)
            permit.settle()

        await asyncio.gather(one(), one(), one())

    for _ in range(3):
        asyncio.run(work())
    assert limit._queue.counts.windows[0].used == 9


def test_threads_share_a_limit():
    limit, running, most, lock = RateLimit(max_concurrent=2), 0, 0, threading.Lock()

    async def work():
        nonlocal running, most
        permit = await limit.acquire(0)
        with lock:
            running += 1
            most = max(most, running)
        await asyncio.sleep(0)
        with lock:
            running -= 1
        permit.settle()

    async def many():
        await asyncio.gather(*(work() for _ in range(200)))

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert most == 2
    assert limit._queue.counts.free == 2


def test_threads_that_cancel_lose_nothing():
    limit = RateLimit(max_concurrent=2)

    async def work():
        permit = await limit.acquire(0)
        try:
            await asyncio.sleep(0)
        finally:
            permit.settle()

    async def many():
        tasks = [asyncio.create_task(work()) for _ in range(200)]
        for number, task in enumerate(tasks):
            await asyncio.sleep(0)
            if number % 2:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    threads = [threading.Thread(target=asyncio.run, args=(many(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert limit._queue.counts.free == 2
    assert not limit._queue._waiting


@pytest.mark.parametrize("before", [True, False])
def test_who_waits_in_a_closed_loop_does_not_hold_up_the_others(leap, before):
    dead, abandoned = asyncio.new_event_loop(), []

    async def test():
        limit = RateLimit(requests_per_minute=1, clock=asyncio.get_running_loop().time)
        await limit.acquire(0)

        def wait_elsewhere():
            abandoned.append(dead.create_task(limit.acquire(0)))
            abandoned[0]._log_destroy_pending = False
            dead.run_until_complete(turn())

        thread = threading.Thread(target=wait_elsewhere)
        thread.start()
        thread.join()
        if before:
            dead.close()
        mine = asyncio.create_task(limit.acquire(0))
        await turn()
        dead.close()
        await mine
        assert now() == pytest.approx(60, abs=0.1)
        abandoned.clear()
        gc.collect()
        assert limit._queue.counts.windows[0].used == 1

    leap(test())


def test_what_a_closed_loop_asked_for_is_not_waited_for(leap):
    dead = asyncio.new_event_loop()
    limit = RateLimit(tokens_per_minute=100, clock=lambda: 0.0)
    dead.run_until_complete(limit.acquire(60))
    large = dead.create_task(limit.acquire(100))
    large._log_destroy_pending = False
    dead.run_until_complete(turn())
    dead.close()

    async def test():
        small = asyncio.create_task(limit.acquire(40))
        await turn()
        assert small.done()

    leap(test())


def test_a_loop_that_is_closed_at_the_last_moment_loses_no_place(leap):
    class Hurried(asyncio.SelectorEventLoop):
        seems_open = False

        def is_closed(self):
            return not self.seems_open and super().is_closed()

    dead, limit = Hurried(), RateLimit(max_concurrent=1)
    permit = dead.run_until_complete(limit.acquire(0))
    late = dead.create_task(limit.acquire(0))
    late._log_destroy_pending = False
    dead.run_until_complete(turn())
    dead.close()
    dead.seems_open = True

    async def test():
        waiter = asyncio.create_task(limit.acquire(0))
        await turn()
        permit.settle()
        await turn()
        dead.seems_open = False
        assert waiter.done()

    leap(test())


def test_a_thread_without_an_event_loop_may_give_a_place_back():
    limit = RateLimit(max_concurrent=1)

    async def test():
        permit = await limit.acquire(0)
        waiter = asyncio.create_task(limit.acquire(0))
        await turn()
        thread = threading.Thread(target=permit.settle)
        thread.start()
        await waiter
        thread.join()

    asyncio.run(test())


# Servers' own limits


def test_what_the_server_has_counted_and_we_have_not_counts_until_its_reset(leap):
    async def test():
        limit = limited(requests_per_minute=10, tokens_per_minute=1000)
        await limit.acquire(100)
        limit.lower(LimitState(tokens_limit=1000, tokens_remaining=200, tokens_reset=30))
        assert await is_free(limit, 200)
        assert not await is_free(limit, 201)
        await asyncio.sleep(30.1)
        assert await is_free(limit, 900)
        assert not await is_free(limit, 901)

    leap(test())


def test_a_server_never_raises_a_limit(leap):
    async def test():
        limit = limited(requests_per_minute=2)
        await limit.acquire(0)
        limit.lower(LimitState(requests_limit=500, requests_remaining=499, requests_reset=1))
        await limit.acquire(0)
        assert not await is_free(limit)

    leap(test())


def test_a_server_that_allows_less_is_believed(leap):
    async def test():
        limit = limited(requests_per_minute=100)
        limit.lower(LimitState(requests_limit=2))
        times = []
        for _ in range(3):
            await limit.acquire(0)
            times.append(now())
        assert times == pytest.approx([0, 0, 60], abs=0.1)

    leap(test())


def test_a_server_that_says_the_same_twice_counts_once(leap):
    async def test():
        limit = limited(requests_per_minute=10)
        for _ in range(3):
            limit.lower(LimitState(requests_remaining=4, requests_reset=50))
        for _ in range(4):
            await limit.acquire(0)
        assert not await is_free(limit)

    leap(test())


def test_a_wrong_header_is_forgotten_after_a_minute(leap):
    async def test():
        limit = limited(requests_per_minute=10)
        limit.lower(LimitState(requests_remaining=0, requests_reset=10**9))
        await limit.acquire(0)
        assert now() == pytest.approx(60, abs=0.1)

    leap(test())


@pytest.mark.parametrize(
    "state",
    [
        None,
        LimitState(),
        LimitState(requests_remaining=0),
        LimitState(requests_remaining=0, requests_reset=0.0),
        LimitState(requests_limit=0),
        LimitState(tokens_limit=1, tokens_remaining=0, tokens_reset=60.0),
    ],
)
def test_what_says_nothing_about_our_limits_changes_nothing(leap, state):
    async def test():
        limit = limited(requests_per_minute=1)
        limit.lower(state)
        assert await is_free(limit, 10**9)

    leap(test())


def test_a_request_larger_than_a_servers_limit_gets_an_empty_window(leap):
    async def test():
        limit = limited(tokens_per_minute=1000)
        await limit.acquire(10)
        limit.lower(LimitState(tokens_limit=100))
        await limit.acquire(500)
        assert now() == pytest.approx(60, abs=0.1)

    leap(test())


def test_a_lowered_limit_reaches_those_who_wait(leap):
    async def test():
        limit = limited(requests_per_minute=10)
        for _ in range(10):
            await limit.acquire(0)
            await asyncio.sleep(1)
        line = [asyncio.create_task(limit.acquire(0)) for _ in range(2)]
        await turn()
        limit.lower(LimitState(requests_limit=1))
        await asyncio.gather(*line)
        assert now() == pytest.approx(129, abs=0.1)

    leap(test())


# What users see


def test_its_text_shows_the_settings():
    limit = RateLimit(requests_per_minute=5, max_wait=2.5)
    assert repr(limit) == "RateLimit(requests_per_minute=5, max_wait=2.5)"
    assert repr(RateLimit()) == "RateLimit()"


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy])
def test_a_copy_has_the_settings_and_counts_for_itself(copied):
    async def test():
        limit = RateLimit(requests_per_minute=1, requests_per_day=7, max_wait=0)
        await limit.acquire(0)
        other = copied(limit)
        assert repr(other) == repr(limit)
        await other.acquire(0)
        with pytest.raises(RateLimitError):
            await other.acquire(0)

    asyncio.run(test())


@pytest.mark.parametrize(
    "name", ["requests_per_minute", "tokens_per_minute", "requests_per_day", "max_concurrent"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "10"])
def test_limits_are_whole_numbers(name, value):
    with pytest.raises(ConfigurationError, match=f"RateLimit.{name} is {value!r}: give"):
        RateLimit(**{name: value})


@pytest.mark.parametrize("value", [-1, float("nan"), True, "1 s"])
def test_waits_are_seconds(value):
    with pytest.raises(ConfigurationError, match=r"RateLimit\.max_wait is .*: give seconds"):
        RateLimit(max_wait=value)


def test_without_limits_nothing_waits(leap):
    async def test():
        limit = limited()
        assert limit.tokens_per_minute is None
        for _ in range(1000):
            await limit.acquire(10**9)

    leap(test())
