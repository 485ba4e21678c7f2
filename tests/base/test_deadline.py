import asyncio

import pytest
from bruno_llm_base import LLMTimeoutError
from bruno_llm_base.deadline import Deadline


def test_a_wait_that_takes_too_long_is_named(leap):
    async def test():
        deadline = Deadline()
        deadline.arm(3, "first token")
        with pytest.raises(LLMTimeoutError, match="no first token within 3 s"), deadline:
            await asyncio.sleep(10)
        assert asyncio.get_running_loop().time() == pytest.approx(3)
        assert asyncio.current_task().cancelling() == 0

    leap(test())


def test_moving_on_gives_new_time(leap):
    async def test():
        deadline = Deadline()
        for _ in range(5):
            deadline.arm(3, "further token")
            with deadline:
                await asyncio.sleep(2)
        deadline.arm(1, "end")
        with pytest.raises(LLMTimeoutError, match="no end within 1 s"), deadline:
            await asyncio.sleep(2)
        deadline.close()

    leap(test())


def test_the_total_is_never_moved(leap):
    async def test():
        deadline = Deadline()
        deadline.begin(5)
        for _ in range(2):
            deadline.arm(3, "further token")
            with deadline:
                await asyncio.sleep(2)
        deadline.arm(3, "further token")
        with pytest.raises(LLMTimeoutError, match="no complete answer within 5 s"), deadline:
            await asyncio.sleep(2)
        assert asyncio.get_running_loop().time() == pytest.approx(5)

    leap(test())


def test_a_request_is_bounded_over_its_attempts(leap):
    async def test():
        deadline = Deadline(7)
        for _ in range(2):
            deadline.begin(30)
            deadline.arm(1, "first token")
            with pytest.raises(LLMTimeoutError, match="no first token within 1 s"), deadline:
                await asyncio.sleep(2)
            deadline.close()
            with deadline:  # as in a line, where only the request as a whole is bounded
                await asyncio.sleep(2)
        assert deadline.leaves(0.9)
        assert not deadline.leaves(1)
        with (
            pytest.raises(LLMTimeoutError, match=r"retries and waits included, within 7 s"),
            deadline,
        ):
            await asyncio.sleep(2)
        assert asyncio.get_running_loop().time() == pytest.approx(7)

    leap(test())


def test_a_slow_consumer_does_not_time_out(leap):
    async def test():
        deadline = Deadline()
        deadline.arm(3, "first token")
        with deadline:
            await asyncio.sleep(1)
        await asyncio.sleep(100)
        deadline.arm(3, "further token")
        with deadline:
            await asyncio.sleep(2)

    leap(test())


def test_cancelling_from_outside_stays_a_cancellation(leap):
    async def wait(deadline):
        deadline.arm(3, "first token")
        with deadline:
            await asyncio.sleep(10)

    async def test():
        for moment in (1, 3):
            task = asyncio.create_task(wait(Deadline()))
            loop = asyncio.get_running_loop()
            loop.call_at(loop.time() + moment, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task

    leap(test())


def test_the_users_own_timeout_stays_his(leap):
    async def test():
        async def wait():
            async with asyncio.timeout(2):
                with Deadline(60):
                    await asyncio.sleep(10)

        with pytest.raises(TimeoutError) as caught:
            await wait()
        assert type(caught.value) is TimeoutError

    leap(test())


def test_a_swallowed_cancellation_is_still_a_timeout(leap):
    async def stubborn():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError as error:
            raise OSError("closed") from error

    async def test():
        deadline = Deadline(1)
        with pytest.raises(LLMTimeoutError), deadline:
            await stubborn()
        assert asyncio.current_task().cancelling() == 0

    leap(test())


def test_without_a_limit_nothing_times_out(leap):
    async def test():
        deadline = Deadline()
        deadline.arm(None, "first token")
        with deadline:
            assert await asyncio.sleep(10_000, "late") == "late"

    leap(test())
