"""A server loads the SDK and opens a connection before it takes requests."""

import gc
import threading

import pytest


@pytest.fixture(autouse=True)
def collected():
    yield
    gc.unfreeze()


async def test_it_opens_the_connection_that_is_used_and_not_in_the_loops_thread(kind, server):
    threads = []

    class Watched(kind):
        @staticmethod
        def open_transport(access, timeouts):
            threads.append(threading.current_thread())
            return kind.open_transport(access, timeouts)

    async with Watched(**server.connection()) as llm:
        await llm.warm_up()
        assert server.open_connections == 1
        assert await llm.generate("hi")
        assert server.open_connections == 1
    assert len(threads) == 1
    assert threads != [threading.main_thread()]
    assert gc.isenabled()
    assert gc.get_freeze_count()


async def test_a_server_that_is_not_there_is_no_error(kind):
    async with kind(base_url="http://127.0.0.1:9", api_key="k") as llm:
        await llm.warm_up()
