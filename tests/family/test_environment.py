"""What the environment says of proxies, certificates and addresses is understood, or refused by name."""

import asyncio
import sys

import pytest
from bruno_llm_base import LLMError, LLMFactory, Retry
from bruno_llm_base.transport import proxy_for
from bruno_llm_testing import FakeAnswer

ADDRESSES = {
    "openai": "OPENAI_BASE_URL",
    "claude": "ANTHROPIC_BASE_URL",
    "gemini": "GOOGLE_GEMINI_BASE_URL",
    "ollama": "OLLAMA_HOST",
}


class ProxyServer:
    """A proxy that lets nothing through."""

    def __init__(self, status):
        self.lines = []
        self._status = status

    async def answer(self, reader, writer):
        self.lines.append((await reader.readline()).decode())
        page = b"<html>forbidden</html>"
        head = f"HTTP/1.1 {self._status} No\r\ncontent-length: {len(page)}\r\n\r\n".encode()
        writer.write(head + page)
        await writer.drain()
        writer.close()


@pytest.fixture(params=[407, 502])
async def proxy(request):
    proxy = ProxyServer(request.param)
    server = await asyncio.start_server(proxy.answer, "127.0.0.1", 0)
    proxy.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield proxy


async def failure(name, **keywords):
    async with LLMFactory.create(
        name, api_key="a-test-key", retry=Retry(attempts=1), **keywords
    ) as llm:
        with pytest.raises(LLMError) as caught:
            await llm.generate("hi")
    return str(caught.value)


@pytest.mark.parametrize("url", ["http://models.example:8000", "https://models.example"])
async def test_behind_a_proxy_the_error_names_it_without_its_login(monkeypatch, name, proxy, url):
    variable = f"{url.partition(':')[0]}_proxy"
    monkeypatch.setenv(variable, f"' http://me:pass-canary@{proxy.address}\n'")
    message = await failure(name, base_url=url)
    assert f"through the proxy http://{proxy.address} ({variable})" in message
    assert "canary" not in message
    assert "models.example" in proxy.lines[0]


async def test_a_proxy_that_is_not_there_is_named(monkeypatch, name):
    monkeypatch.setenv("ALL_PROXY", "127.0.0.1:9")
    message = await failure(name, base_url="https://models.example")
    assert "through the proxy http://127.0.0.1:9 (ALL_PROXY)" in message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", ["HTTP_PROXY", "all_proxy"])
async def test_this_machine_is_never_asked_through_a_proxy(
    monkeypatch, name, server, host, variable
):
    monkeypatch.setenv(variable, "socks5://127.0.0.1:9" if "all" in variable else "127.0.0.1:9")
    where = server.connection()
    where["base_url"] = where["base_url"].replace("127.0.0.1", host)
    async with LLMFactory.create(name, **where) as llm:
        assert await llm.generate("hi") == FakeAnswer().text


EXCEPTED = [
    ("http://10.1.2.3", "10.1.2.3"),
    ("http://10.1.2.3", "10.0.0.0/8"),
    ("http://10.1.2.3:8080", "example.org, 10.1.2.3:8080"),
    ("http://[fd07:b51a:cc66:f0::1]", "fd07:b51a:cc66:f0::/64"),
    ("http://[fd07:b51a:cc66:f0::1]", "[fd07:b51a:cc66:f0::]/64"),
    ("http://[fd07::1]", "[fd07::1]"),
    ("http://[fd07::1]", "fd07:0:0::1"),
    ("http://[fd07::1]:8080", "[fd07::1]:8080"),
    ("https://api.example.org", "example.org"),
    ("https://api.example.org", ".example.org"),
    ("https://api.example.org.", "*.EXAMPLE.org"),
    ("https://api.example.org", "localhost api.example.org:443"),
    ("https://api.example.org", "'api.example.org'"),
    ("https://api.example.org", "https://api.example.org"),
    ("https://api.example.org", "a.b, *"),
]
NOT_EXCEPTED = [
    ("http://10.1.2.3", ""),
    ("http://10.1.2.3", "::1, [::1], fd07::/64, 11.0.0.0/8, , :, [, [::1"),
    ("http://10.1.2.3:8080", "10.1.2.3:80"),
    ("http://[fd07::1]:8080", "[fd07::1]:80"),
    ("https://api.example.org", "ample.org, other.org:443, api.example.org:80"),
]


@pytest.mark.parametrize("variable", ["NO_PROXY", "no_proxy"])
def test_every_form_of_no_proxy(monkeypatch, variable):
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    for url, excepted in EXCEPTED:
        monkeypatch.setenv(variable, excepted)
        assert proxy_for(url) is None, (url, excepted)
    for url, excepted in NOT_EXCEPTED:
        monkeypatch.setenv(variable, excepted)
        assert str(proxy_for(url)) == "http://127.0.0.1:9 (ALL_PROXY)", (url, excepted)


@pytest.mark.parametrize(
    "excepted", ["localhost,127.0.0.1,[::1]", "fd07:b51a:cc66:f0::/64", "127.0.0.1", "::1,*"]
)
async def test_no_form_of_no_proxy_breaks_a_client(monkeypatch, name, server, excepted):
    for variable in ("HTTPS_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", excepted)
    async with LLMFactory.create(name, **server.connection()) as llm:
        assert await llm.generate("hi") == FakeAnswer().text


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
async def test_a_socks_proxy_without_its_package_is_refused_with_the_cure(
    monkeypatch, name, variable
):
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if not installed
    monkeypatch.setenv(variable, "socks5://me:pass-canary@127.0.0.1:9")
    message = await failure(name, base_url="https://models.example")
    assert f"{variable} names a SOCKS proxy" in message
    assert "pip install 'httpx[socks]'" in message
    assert "canary" not in message


@pytest.mark.parametrize("value", ["http://127.0.0.1:port", "ftp://proxy", "me:canary@proxy:x"])
async def test_a_proxy_that_is_no_address_is_refused_by_name(monkeypatch, name, value):
    monkeypatch.setenv("HTTPS_PROXY", value)
    message = await failure(name, base_url="https://models.example")
    assert message.startswith("HTTPS_PROXY is ")
    assert "canary" not in message


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_certificates_that_are_missing_are_refused_by_name(
    monkeypatch, tmp_path, name, variable
):
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv(variable, str(tmp_path / "missing"))
    message = await failure(name, base_url="https://models.example")
    assert variable in message
    assert "unset it" in message


async def test_certificates_that_are_none_are_refused_by_name(monkeypatch, tmp_path, name):
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "empty.pem", tmp_path):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert "SSL_CERT_FILE is " in await failure(name, base_url="https://models.example")


@pytest.mark.parametrize("value", ["", "  ", '""', "' '"])
async def test_an_address_that_is_empty_is_not_set(monkeypatch, name, value):
    monkeypatch.setenv(ADDRESSES[name], value)
    own = LLMFactory.create(name, api_key="a-test-key")
    monkeypatch.delenv(ADDRESSES[name])
    assert repr(own) == repr(LLMFactory.create(name, api_key="a-test-key"))


@pytest.mark.parametrize("value", ["", "  "])
async def test_an_empty_address_is_not_the_sdks_either(monkeypatch, name, proxy, value):
    if name == "ollama":
        return  # at home on this machine
    monkeypatch.setenv("HTTPS_PROXY", proxy.address)
    monkeypatch.setenv(ADDRESSES[name], value)
    await failure(name)
    hosts = ("api.openai.com", "api.anthropic.com", "generativelanguage.googleapis.com")
    assert any(host in proxy.lines[0] for host in hosts)


async def test_the_log_names_no_key_that_is_not_used(monkeypatch, caplog, name, server):
    where = server.connection()
    for variable in ("GEMINI_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(variable, where.pop("api_key", "") or "a-test-key")
    monkeypatch.setenv("GOOGLE_API_KEY", "another-test-key")
    if name != "gemini":
        return
    async with LLMFactory.create(name, **where) as llm:
        await llm.list_models()
    assert "GOOGLE_API_KEY" not in caplog.text
