"""What a shared limit does in one process, with a real server."""

import asyncio
import logging
import pickle
import ssl

import pytest
from bruno_llm_base import (
    ConfigurationError,
    RateLimitError,
    ServiceUnavailableError,
    discovery,
)
from bruno_llm_base.events import StoreUnreachable
from bruno_llm_base.limits import LimitState, RateLimit
from bruno_llm_openai import OpenAIProvider
from bruno_llm_redis import limit_store
from bruno_llm_testing import FakeError


def limit_at(server, **limits):
    return RateLimit(store=server.url, name="prod", on_outage="refuse", **limits)


async def take(store, limit):
    """Return a place at *store*, or how long to wait for one."""
    permits, wait = await store.take([0], limit)
    return permits[0] if permits else wait


def number(server, command):
    return int(server.ask(command).decode().strip().splitlines()[-1].lstrip(":"))


async def test_limits_of_one_name_are_one_and_others_are_others(server):
    one, other = (limit_at(server, requests_per_minute=2, max_wait=0) for _ in range(2))
    await one.acquire(0)
    await other.acquire(0)
    with pytest.raises(RateLimitError) as caught:
        await one.acquire(0)
    assert 1 < caught.value.retry_after <= 60.1
    await RateLimit(requests_per_minute=2, store=server.url, name="dev").acquire(0)


async def test_a_loop_that_ends_and_a_copy_take_up_where_it_was(server):
    limit = limit_at(server, requests_per_minute=2, max_wait=0)
    await asyncio.to_thread(asyncio.run, limit.acquire(0))
    copy = pickle.loads(pickle.dumps(limit))
    await copy.acquire(0)
    with pytest.raises(RateLimitError):
        await limit.acquire(0)


async def test_tokens_are_reserved_and_settled(server, eventually):
    limit = limit_at(server, tokens_per_minute=100, requests_per_day=10)
    permit = await limit.acquire(90)
    waiting = asyncio.create_task(limit_at(server, tokens_per_minute=100).acquire(50))
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:queue") == 1)
    permit.settle(40)
    second = await waiting
    second.settle(80)  # a debt
    permit.settle(7)  # twice is once
    await eventually(lambda: number(server, "HGET bruno-llm:{prod}:all used:tpm") == 120)
    assert number(server, "HGET bruno-llm:{prod}:all used:rpd") == 1


async def test_the_state_is_that_of_all_processes(server, eventually):
    limits = {"requests_per_minute": 9, "tokens_per_minute": 100, "max_concurrent": 2}
    one, other = limit_at(server, **limits), limit_at(server, **limits)
    empty = await one.state()
    assert empty.requests_per_minute == (9, 0, 0)
    assert (empty.in_flight, empty.waiting, empty.waiting_processes, empty.paused_for) == (0,) * 4
    permits = await one.acquire(30), await other.acquire(20)
    waiting = asyncio.create_task(other.acquire(1))
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:queue") == 1)
    state = await one.state()
    assert state.requests_per_minute[:2] == (9, 2)
    assert state.tokens_per_minute[:2] == (100, 50)
    assert 0 < state.tokens_per_minute.free_in <= 60.1
    assert state.requests_per_day is None
    assert (state.in_flight, state.waiting, state.waiting_processes) == (2, 0, 1)
    assert (await other.state()).waiting == 1
    one._shared.store.pause(30)
    await eventually(lambda: b"$-1" not in server.ask("HGET bruno-llm:{prod}:all gate"))
    assert 20 < (await other.state()).paused_for <= 30
    assert "tokens_per_minute: 50 of 100, some free in" in repr(state)
    waiting.cancel()
    await asyncio.wait([waiting])
    for permit in permits:
        permit.settle()
    server.stop()
    with pytest.raises(ServiceUnavailableError):
        await one.state()


async def test_what_never_reached_the_vendor_is_given_back(server, eventually):
    limit = limit_at(server, requests_per_minute=5, tokens_per_minute=100, max_concurrent=1)
    (await limit.acquire(9)).cancel()
    await eventually(lambda: number(server, "HGET bruno-llm:{prod}:all used:rpm") == 0)
    assert number(server, "HGET bruno-llm:{prod}:all used:tpm") == 0
    assert number(server, "ZCARD bruno-llm:{prod}:leases") == 0


async def test_a_cancelled_waiter_leaves_nothing(server, eventually):
    limit = limit_at(server, max_concurrent=1, requests_per_minute=100)
    permit = await limit.acquire(0)
    waiting = asyncio.create_task(limit.acquire(0))
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:queue") == 1)
    waiting.cancel()
    await asyncio.wait([waiting])
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:queue") == 0)
    permit.settle()
    for steps in range(6):  # wherever it is on its way
        taking = asyncio.create_task(limit.acquire(0))
        for _ in range(steps):
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.wait([taking])
        assert taking.cancelled()
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:leases") == 0)
    await eventually(lambda: number(server, "HGET bruno-llm:{prod}:all used:rpm") == 1)


async def test_inside_a_process_first_come_first_served(server):
    limit, order = limit_at(server, max_concurrent=2), []

    async def one(number):
        permit = await limit.acquire(0)
        order.append(number)
        permit.settle()

    await asyncio.gather(*map(one, range(20)))
    assert order == [*range(20)]


@pytest.mark.parametrize("loses", ["all", "some", "time"])
async def test_a_server_that_lost_its_data_overruns_no_window(server, loses):
    store = limit_store(server.url, "prod", "refuse")
    limit = RateLimit(requests_per_minute=5, store=store)
    for _ in range(2):
        await take(store, limit)
    if loses == "some":  # as a replica that takes over
        server.ask("SAVE")
    await take(store, limit)
    if loses == "time":
        server.ask("HSET bruno-llm:{prod}:all now 9000000000000000")
    else:
        server.stop()
        server.start()
    assert 50 < await take(store, limit) < 60.1
    other = limit_store(server.url, "prod", "refuse")
    assert 50 < await take(other, limit) < 60.1


async def test_requests_that_run_while_a_server_restarts_keep_their_places(server):
    store = limit_store(server.url, "prod", "refuse", lease=2.0)
    limit = RateLimit(max_concurrent=2, store=store)
    held = [await take(store, limit) for _ in range(2)]
    server.stop()
    server.start()
    found = await take(store, limit)
    assert isinstance(found, float)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(limit.acquire(0), 3)
    held[0].settle()
    await limit.acquire(0)


async def test_a_vendor_that_allows_less_is_believed_by_all(server, eventually):
    one, other = (limit_store(server.url, "prod", "refuse") for _ in range(2))
    limit = RateLimit(requests_per_minute=100, store=one)
    permit = await take(one, limit)
    one.lower(LimitState(requests_limit=3, requests_remaining=1, requests_reset=30.0))
    permit.settle()
    await eventually(lambda: number(server, "HGET bruno-llm:{prod}:all used:rpm") == 2)
    await take(other, limit)
    assert 20 < await take(other, limit) <= 30.1


async def test_one_process_that_is_to_wait_pauses_all(server, fake_openai, eventually):
    fake_openai.say(FakeError(kind="rate_limit", retry_after=40))
    other = limit_store(server.url, "prod", "refuse")
    limit = limit_at(server, requests_per_minute=100)
    async with OpenAIProvider(rate_limit=limit, max_retries=0, **fake_openai.connection()) as llm:
        with pytest.raises(RateLimitError):
            await llm.generate("hi")
        await eventually(lambda: b"$-1" not in server.ask("HGET bruno-llm:{prod}:all gate"))
    assert 20 < await take(other, limit) <= 40


async def test_an_outage_leaves_each_process_its_share(server, fake_openai, caplog):
    told, caplog_level = [], logging.WARNING
    caplog.set_level(caplog_level, "bruno_llm")
    limits = [
        RateLimit(requests_per_minute=8, store=server.url, name="prod", max_wait=0)
        for _ in range(2)
    ]
    for limit in (*limits, *limits):
        await limit.acquire(0)
    server.stop()
    keywords = {"rate_limit": limits[1], "observers": [told.append], **fake_openai.connection()}
    async with OpenAIProvider(max_retries=0, **keywords) as llm:
        await llm.generate("hi")  # 8 for two, of which 4 are gone
        await llm.generate("hi")
        with pytest.raises(RateLimitError):
            await llm.generate("hi")
    (event,) = [event for event in told if isinstance(event, StoreUnreachable)]
    assert event.store == server.url
    assert event.processes == 2
    assert caplog.text.count("store unreachable") == 1


async def test_what_was_taken_in_an_outage_counts_afterwards(start_server, eventually):
    server = start_server("--appendonly", "yes", "--appendfsync", "always")  # it keeps its data
    stores = [limit_store(server.url, "prod", "local", lease=3.0, again=0.1) for _ in range(3)]
    limit = RateLimit(requests_per_minute=12, max_concurrent=12, store=stores[0])
    held = [await take(store, limit) for store in (*stores, *stores)]
    server.stop()
    for store in stores[:2]:
        held += [await take(store, limit) for _ in range(2)]  # of its share of 4
        assert isinstance(await take(store, limit), float)
    held.pop().settle()
    server.start()
    assert isinstance(await take(stores[2], limit), float)  # not before all have told
    await eventually(lambda: number(server, "HGET bruno-llm:{prod}:all used:rpm") == 10)
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:leases") == 9)
    for permit in held:
        permit.settle()
    await eventually(lambda: number(server, "ZCARD bruno-llm:{prod}:leases") == 0)
    shared = RateLimit(requests_per_minute=12, max_concurrent=12, store=stores[2])
    for _ in range(2):
        await asyncio.wait_for(shared.acquire(0), 60)
    assert 30 < await take(stores[0], limit) < 60.1


async def test_an_outage_may_refuse(server):
    limit = limit_at(server, requests_per_minute=5)
    await limit.acquire(0)
    server.stop()
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match=f"127.0.0.1:{server.port}"):
            await limit.acquire(0)


async def test_a_server_that_is_full_is_told_from_one_that_is_away(start_server):
    limit = limit_at(start_server("--maxmemory", "1mb"), requests_per_minute=5)
    for _ in range(2):
        with pytest.raises(ServiceUnavailableError, match=r"\(OutOfMemoryError\).*not full"):
            await limit.acquire(0)


async def test_a_connection_that_the_server_closed_and_lost_scripts_are_no_outage(server):
    limit = limit_at(server, requests_per_minute=5)
    await limit.acquire(0)
    server.ask("CLIENT KILL TYPE normal")
    await limit.acquire(0)
    server.ask("SCRIPT FLUSH")
    await limit.acquire(0)
    assert number(server, "HGET bruno-llm:{prod}:all used:rpm") == 3


async def test_a_server_that_hangs_is_an_outage_and_its_late_answers_are_not_taken_for_others(
    server, eventually
):
    store = limit_store(server.url, "prod", "refuse", again=0.1)
    limit = RateLimit(requests_per_minute=5, store=store)
    await take(store, limit)
    server.hang(hangs=True)
    with pytest.raises(ServiceUnavailableError):
        await take(store, limit)
    server.hang(hangs=False)
    await eventually(lambda: store._outage is None)
    for _ in range(3):  # one place is lost with the answer
        await take(store, limit)
    assert 50 < await take(store, limit) < 60.1


async def test_tls(server, certificate):
    async def forward(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(copy(reader, there[1]), copy(there[0], writer))

    async def copy(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    door = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
    url = f"rediss://127.0.0.1:{door.sockets[0].getsockname()[1]}/0"
    async with door:
        limit = RateLimit(
            requests_per_minute=1,
            store=f"{url}?ssl_ca_certs={certificate}",
            name="prod",
            max_wait=0,
        )
        await limit.acquire(0)
        assert number(server, "HGET bruno-llm:{prod}:all used:rpm") == 1
        strange = RateLimit(requests_per_minute=1, store=url, name="prod", on_outage="refuse")
        with pytest.raises(ServiceUnavailableError):
            await strange.acquire(0)


async def test_a_login_that_is_refused_is_told_and_never_shown(server):
    server.ask("ACL SETUSER reader on >hush ~* +@read +@connection")
    for login in ("reader:hush", "reader:wrong1", "nobody:wrong1"):
        url = server.url.replace("//", f"//{login}@")
        limit = RateLimit(requests_per_minute=5, store=url, name="prod")
        assert login not in repr(limit)
        with pytest.raises(ConfigurationError, match="refuses us") as caught:
            await limit.acquire(0)
        assert "hush" not in str(caught.value)
        assert "wrong1" not in str(caught.value)


@pytest.mark.parametrize("name", ["a", "b", "c", "d"])  # in the slots of both nodes
async def test_a_cluster_has_each_limit_in_one_slot(start_server, free_port, name, eventually):
    options = "--cluster-enabled", "yes", "--cluster-port"
    buses = [free_port(), free_port()]
    nodes = [
        start_server(*options, str(bus), "--cluster-config-file", f"{bus}.conf") for bus in buses
    ]
    for node, slots in zip(nodes, ("0 8191", "8192 16383"), strict=True):
        node.ask(f"CLUSTER ADDSLOTSRANGE {slots}")
    nodes[0].ask(f"CLUSTER MEET 127.0.0.1 {nodes[1].port} {buses[1]}")
    for node in nodes:
        await eventually(lambda node=node: b"cluster_state:ok" in node.ask("CLUSTER INFO"))
    limit = RateLimit(requests_per_minute=2, store=nodes[0].url, name=name, max_wait=0)
    (await limit.acquire(5)).settle(3)
    await limit.acquire(5)
    with pytest.raises(RateLimitError):
        await limit.acquire(5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"store": "redis://:secret@host:port/0", "name": "x"}, "is not the URL of a server"),
        ({"store": "redis://:secret@host/prod", "name": "x"}, "is not the URL of a server"),
        (
            {"store": "redis://:secret@host/0?colour=red", "name": "x"},
            "options that redis-py knows",
        ),
        ({"store": "redis://:secret@host/0?socket_timeout=x", "name": "x"}, "options that redis"),
        ({"store": "memcached://host", "name": "x"}, "no store is installed for 'memcached' URLs"),
        (
            {"store": "postgresql://:secret@h/db", "name": "x"},
            "postgresql:// keeps no limits: give a redis:// URL",
        ),
        ({"store": "secret", "name": "x"}, "has no scheme"),
        ({"store": "redis://host"}, "RateLimit.name is None"),
        ({"store": "redis://host", "name": ""}, "RateLimit.name is ''"),
        ({"store": "redis://host", "name": "a}b"}, "leave out"),
        ({"name": "x"}, "nothing else takes one"),
        ({"store": "redis://host", "name": "x", "on_outage": "hope"}, "give 'local' or 'refuse'"),
    ],
)
def test_bad_input_is_named_with_its_cure(settings, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        RateLimit(requests_per_minute=5, **settings)
    assert "secret" not in str(caught.value)


def test_a_store_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(ConfigurationError, match="pip install bruno-llm-redis"):
        discovery.store_of("rediss://host", "limit_store")
