"""A forbidden network: whoever tries to use it hears of it, and this machine stays open."""

import asyncio
import http.client
import socket
import threading

import pytest
from bruno_llm_base import FallbackLLM
from bruno_llm_testing import MockLLM, NetworkBlockedError, network_blocked

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 (RFC 5737): nobody is there


@pytest.fixture
def blocked():
    with network_blocked():
        yield


@pytest.mark.parametrize("host", ["api.example.com", ELSEWHERE])
async def test_every_provider_hears_of_it_at_once(blocked, kind, host):
    llm = kind(api_key="k", base_url=f"http://{host}:81/v1")
    for ask in (llm.generate, llm.stream):
        with pytest.raises(NetworkBlockedError, match=f"tried to reach {host}") as caught:
            await ask("hi")
        assert len(caught.value.attempts) == 1
    assert f"tried to reach {host}" in (await llm.diagnose()).reason
    await llm.aclose()


async def test_no_other_model_is_asked_instead(blocked, kind):
    llm = kind(api_key="k", base_url="http://api.example.com:81/v1")
    second = MockLLM("unasked")
    with pytest.raises(NetworkBlockedError):
        await FallbackLLM([llm, second]).generate("hi")
    assert second.calls == []
    await llm.aclose()


async def test_fakes_on_this_machine_are_reached(blocked, kind, server):
    async with kind(**server.connection()) as llm:
        assert await llm.generate("hi") == "Hello from the fake server."


def test_plain_sockets_are_stopped(blocked):
    with socket.socket() as sock, pytest.raises(NetworkBlockedError, match=ELSEWHERE):
        sock.connect((ELSEWHERE, 80))
    with socket.socket() as sock, pytest.raises(NetworkBlockedError):
        sock.connect_ex((ELSEWHERE, 80))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with datagrams as sock, pytest.raises(NetworkBlockedError):
        sock.sendto(b"x", (ELSEWHERE, 53))
    with pytest.raises(NetworkBlockedError, match=r"api\.example\.com"):
        http.client.HTTPConnection("api.example.com").request("GET", "/")


def test_names_are_not_looked_up(blocked):
    for look in (socket.gethostbyname, lambda name: socket.getaddrinfo(name, 80)):
        with pytest.raises(NetworkBlockedError, match=r"api\.example\.com"):
            look("api.example.com")
    with pytest.raises(NetworkBlockedError, match="example"):
        socket.getaddrinfo(b"example", 80)
    for look in (socket.gethostbyaddr, lambda host: socket.getnameinfo((host, 80), 0)):
        with pytest.raises(NetworkBlockedError, match=r"192\.0\.2\.7"):
            look("192.0.2.7")


def test_threads_are_stopped_too(blocked):
    caught = []

    def look():
        try:
            socket.create_connection(("api.example.com", 80))
        except NetworkBlockedError as error:
            caught.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_this_machine_is_open(blocked, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()
        socket.create_connection(("localhost", address[1])).close()
    assert socket.getaddrinfo(None, 80)
    assert socket.getaddrinfo("::1", 80)
    assert socket.getfqdn()  # as http.server asks when it starts
    with socket.socket(socket.AF_INET6) as client, pytest.raises(OSError, match="refused"):
        client.connect(("::ffff:127.0.0.1", 9))
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
    pair = socket.socketpair()
    for sock in pair:
        sock.close()


def test_it_ends():
    with network_blocked(), network_blocked():
        pass
    with network_blocked():
        with network_blocked():
            pass
        with pytest.raises(NetworkBlockedError):
            socket.gethostbyname("api.example.com")

    async def connect():
        async with asyncio.timeout(0.05):
            await asyncio.open_connection(ELSEWHERE, 81)

    with pytest.raises(OSError, match=r".*"):  # unreachable, or a TimeoutError
        asyncio.run(connect())
