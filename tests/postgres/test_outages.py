"""What happens when the server cannot be used, or is away for a moment."""

import asyncio
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from uuid import uuid4

import psycopg
import pytest
from bruno_llm_base import Budget, ConfigurationError, CostTracker
from bruno_llm_base.cost.rows import Claim
from bruno_llm_postgres import ledger_store

NAMES = ("p", "m", "", "")
CLAIM = Claim((), "", 10)


def record(tracker, cost=1):
    tracker.record(provider="p", model="m", cost=Decimal(cost))


class Proxy:
    """Passes on what it is sent, and cuts the connection so many times when COMMIT was sent."""

    def __init__(self, port):
        self._port = port
        self._sockets = [socket.create_server(("127.0.0.1", 0))]
        self.port = self._sockets[0].getsockname()[1]
        self.cuts, self.before = 0, False
        self._threads = []
        self._start(self._accept)

    def _start(self, target, *words):
        self._threads.append(threading.Thread(target=target, args=words))
        self._threads[-1].start()

    def _accept(self):
        while True:
            try:
                client, _ = self._sockets[0].accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            self._sockets += client, server
            self._start(self._pass, client, server, client)
            self._start(self._pass, server, client, client)

    def _pass(self, source, sink, client):
        with suppress(OSError):
            while data := source.recv(65536):
                is_last = source is client and self.cuts and b"COMMIT" in data
                self.cuts -= bool(is_last)
                if is_last and not self.before:
                    source.shutdown(socket.SHUT_RDWR)  # the answer does not arrive
                if not (is_last and self.before):
                    sink.sendall(data)
                if is_last:
                    break
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self):
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()


@pytest.fixture
def proxy(server):
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("before", [True, False])
def test_an_answer_to_commit_that_is_lost_books_nothing_twice(url, proxy, server, before):
    tracker = CostTracker(url.replace(f":{server.port}/", f":{proxy.port}/"))
    record(tracker)
    proxy.before = before
    for _ in range(3):
        proxy.cuts = 1
        record(tracker)
    proxy.cuts = 2
    record(tracker)
    assert proxy.cuts == 0
    assert CostTracker(url).total().cost == 5
    assert tracker.total().requests == 5
    tracker.close()


@pytest.mark.parametrize("before", [True, False])
def test_entries_whose_commit_is_in_doubt_are_kept_and_booked_once(
    url, proxy, server, before, impatient, monkeypatch
):
    tracker = CostTracker(url.replace(f":{server.port}/", f":{proxy.port}/"))
    tracker.total()
    proxy.before, proxy.cuts = before, 1
    monkeypatch.setattr("bruno_llm_postgres.store._is_passing", lambda _: False)
    record(tracker, 1)
    proxy.cuts = 1
    record(tracker, 2)
    record(tracker, 4)
    assert CostTracker(url).total().cost == 7
    assert CostTracker(url).total().requests == 3
    tracker.close()


def test_a_hold_whose_commit_is_in_doubt_holds_once(url, proxy, server):
    ledger = CostTracker(url.replace(f":{server.port}/", f":{proxy.port}/")).ledger
    ledger.balance(CLAIM)
    proxy.cuts = 1
    held, _ = asyncio.run(ledger.hold(NAMES, 6, [CLAIM]))
    assert CostTracker(url).ledger.balance(CLAIM) == (0, 6)
    ledger.note(held)
    assert ledger.balance(CLAIM) == (0, 0)
    ledger.close()


def test_a_server_that_is_killed_loses_nothing_and_is_asked_again(server, url, monkeypatch):
    monkeypatch.setattr("bruno_llm_postgres.store._PATIENCE", 600.0)
    tracker = CostTracker(url)
    for _ in range(5):
        record(tracker)
    server.kill()
    starting = threading.Thread(target=server.start)
    starting.start()
    for _ in range(5):
        record(tracker)
    starting.join()
    assert CostTracker(url).total().cost == 10


def test_what_cannot_be_booked_is_kept_and_a_hold_is_refused(server, url, impatient, caplog):
    tracker = CostTracker(url)
    record(tracker)
    server.kill()
    try:
        with caplog.at_level(logging.ERROR, "bruno_llm"):
            record(tracker)
        assert "not written yet, but kept: the ledger at postgresql://postgres@" in caplog.text
        assert "see that the server runs" in caplog.text
        with pytest.raises(ConfigurationError, match="see that the server runs"):
            asyncio.run(tracker.ledger.hold(NAMES, 1, [CLAIM]))
        assert "secret" not in caplog.text
    finally:
        server.start()
    assert tracker.total().cost == 2


@contextmanager
def locked(url):
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE bruno_held, bruno_entries")
        yield
        connection.rollback()


async def test_a_table_that_is_locked_stops_no_event_loop(url):
    tracker = CostTracker(url)
    await asyncio.to_thread(tracker.total)
    ticks = 0
    with locked(url):
        holding = asyncio.create_task(tracker.ledger.hold(NAMES, 1, [CLAIM]))
        while ticks < 100:
            await asyncio.sleep(0.001)
            ticks += 1
        assert not holding.done()
    assert (await holding)[0] is not None
    await asyncio.to_thread(tracker.close)


def test_a_table_that_stays_locked_is_said(url, impatient):
    tracker = CostTracker(url)
    tracker.total()
    with locked(url), pytest.raises(ConfigurationError, match="another transaction has it locked"):
        asyncio.run(tracker.ledger.hold(NAMES, 1, [CLAIM]))
    asyncio.run(tracker.ledger.hold(NAMES, 1, [CLAIM]))


# Not to be used


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:secret@host/costs?colour=secret",
        "postgresql://ann:secret@host:port/costs",
        "postgres://ann:secret@[host",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url):
    try:
        tracker = CostTracker(url)
    except ConfigurationError as error:
        said = str(error)
    else:
        with pytest.raises(ConfigurationError) as caught:
            tracker.total()
        said = str(caught.value)
    assert "secret" not in said
    assert "postgresql://" in said


def test_a_url_of_another_store_is_refused():
    with pytest.raises(ConfigurationError, match="redis:// keeps no costs"):
        CostTracker("redis://:secret@localhost/0")
    with pytest.raises(ConfigurationError, match="no store is installed for 'mysql'") as caught:
        CostTracker("mysql://ann:secret@localhost/0")
    assert "secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_named_with_the_cure(impatient):
    with pytest.raises(
        ConfigurationError, match=r"ann@127\.0\.0\.1:1/costs cannot be used"
    ) as caught:
        CostTracker("postgresql://ann:secret@127.0.0.1:1/costs").total()
    assert "secret" not in str(caught.value)


def test_a_newer_ledger_is_refused(url, ask):
    record(CostTracker(url))
    ask("UPDATE bruno_version SET version = 99")
    with pytest.raises(
        ConfigurationError, match="is of version 99, and this bruno-llm-postgres reads"
    ):
        CostTracker(url).total()


def test_an_older_ledger_is_brought_up_to_date_once(url, ask, monkeypatch):
    record(CostTracker(url))
    from bruno_llm_postgres import store

    step = (psycopg.sql.SQL("ALTER TABLE bruno_entries ADD colour text"),)
    monkeypatch.setattr(store, "STEPS", (*store.STEPS, step))
    threads = [threading.Thread(target=CostTracker(url).total) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert CostTracker(url).total().requests == 1
    assert ask("SELECT version FROM bruno_version") == [(2,)]


def test_clients_that_come_to_an_empty_database_at_once_make_one_ledger(server):
    for _ in range(5):
        name = f"costs_{uuid4().hex}"
        server.ask(f"CREATE DATABASE {name} TEMPLATE template0")
        together = threading.Barrier(8)

        def come(url, together):
            with closing(CostTracker(url)) as costs:
                together.wait()
                return costs.total().requests

        with ThreadPoolExecutor(8) as threads:
            tasks = [threads.submit(come, server.url(name), together) for _ in range(8)]
        assert [task.result() for task in tasks] == [0] * 8


def test_a_role_without_rights_is_told_what_to_grant(server, url, ask, caplog):
    role = f"r_{time.monotonic_ns()}"
    ask(f"CREATE ROLE {role} LOGIN")
    theirs = url.replace("postgres:secret", f"{role}:secret")
    with pytest.raises(ConfigurationError, match="GRANT USAGE, CREATE ON SCHEMA public"):
        CostTracker(theirs).total()
    record(CostTracker(url))
    ask(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    reader = CostTracker(theirs)
    assert reader.total().requests == 1
    budget = Budget(1)
    budget.use(reader)
    with pytest.raises(ConfigurationError, match="GRANT SELECT, INSERT, UPDATE, DELETE"):
        asyncio.run(reader.ledger.hold(NAMES, 1, [budget.claim(NAMES)]))
    ask(f"GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    record(reader)
    assert reader.total().requests == 2


def test_a_server_that_is_only_read_is_said(url):
    record(CostTracker(url))
    reader = CostTracker(f"{url}?options=-cdefault_transaction_read_only%3Don")
    assert reader.total().requests == 1
    with pytest.raises(ConfigurationError, match="give the address of the primary server"):
        asyncio.run(reader.ledger.hold(NAMES, 1, [CLAIM]))


def test_a_database_in_another_encoding_is_refused(server):
    server.ask("DROP DATABASE IF EXISTS latin")
    server.ask("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(ConfigurationError, match="is encoded in LATIN1"):
        ledger_store(server.url("latin")).read(lambda _: None)


@pytest.mark.parametrize("wrong", [{"database": "absent"}, {"user": "absent"}])
def test_a_wrong_name_is_told_without_another_try(server, monkeypatch, wrong):
    monkeypatch.setattr("bruno_llm_postgres.store._RANDOM", None)  # of the pause before another try
    tracker = CostTracker(server.url(**wrong))
    with pytest.raises(ConfigurationError, match='"absent" does not exist'):
        tracker.total()
    tracker.close()
