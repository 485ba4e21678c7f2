"""A canary key is found nowhere: not in errors, logs, events, pickles, descriptions or addresses."""

import asyncio
import json
import logging
import pickle
import traceback
from base64 import b64encode
from contextlib import ExitStack, suppress
from functools import cache
from typing import get_args
from urllib.parse import quote

import anthropic
import httpx
import openai
import pytest
from bruno_llm_base import (
    AllProvidersFailedError,
    ConfigurationError,
    FallbackLLM,
    InvalidRequestError,
    LLMError,
    LLMFactory,
    Retry,
    Timeouts,
)
from bruno_llm_claude import ClaudeProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeClaude, FakeError, FakeOllama, FakeOpenAI, Fault, RawReply
from bruno_llm_testing.script import ErrorKind

pytestmark = pytest.mark.usefixtures("unmeasured")

KEY = "sk-canary-7Hq2xW4v"
PASSWORD = "canary/pass:word@9Zk"
LOGIN = f"me:{quote(PASSWORD, safe='')}"
SECRETS = {
    KEY,
    quote(PASSWORD),
    quote(PASSWORD, safe=""),
    PASSWORD,
    b64encode(f"me:{PASSWORD}".encode()).decode(),
    b64encode(f"me:{KEY}".encode()).decode(),
}

FORMATTER = logging.Formatter()  # with tracebacks


def secrets_in(text):
    return sorted(secret for secret in SECRETS if secret in text)


@pytest.fixture(scope="module")
def servers():
    with ExitStack() as stack:
        yield cache(lambda fake: stack.enter_context(type("Guarded", (fake,), {"api_key": KEY})()))


@pytest.fixture
def server(servers, fake):
    server = servers(fake)
    server.__class__.api_key = KEY
    server.received.clear()
    say(server, None)
    return server


def say(server, step):
    """Answer with *step* from now on, or as if nothing was wrong."""
    for script in server._scripts.values():
        script.clear()
    if step is not None:
        server.say(step, times=20)
        if "stall" not in str(step):  # of which a diagnosis has had enough after 5 seconds only
            server.say(step, times=20, to="models")


class Audience:
    """Whoever may look: what a call raised, what was logged and printed, what observers heard."""

    def __init__(self, caplog, capfd):
        self.caplog, self.capfd = caplog, capfd
        self.shown = []
        self.errors = []

    def hear(self, event):
        self.shown.append(f"event {event!r}")

    def look_at(self, llm):
        self.shown += [f"provider {llm!r} {llm!s}", f"info {json.dumps(llm.get_model_info())}"]
        self.shown += [f"attributes {vars(llm)!r}"]
        with suppress(ConfigurationError):
            self.shown.append(f"pickle {pickle.dumps(llm)!r}")

    def catch(self, error):
        self.errors.append(error)
        copy = pickle.loads(pickle.dumps(error))
        chain = "".join(traceback.format_exception(error))
        self.shown += [f"error {error!r} {error!s} {error.details!r}", f"chain {chain}"]
        # a library's own error may hold the request, headers and all: it is no part of a copy of ours
        own = {
            name: value for name, value in vars(error).items() if name not in ("cause", "errors")
        }
        self.shown += [f"attributes {own!r}", f"copy {copy!r} {vars(copy)!r}"]
        self.shown += [f"pickle {pickle.dumps(error)!r}"]
        for inner in getattr(error, "errors", ()):
            self.catch(inner)

    def logged(self, *, by_us):
        records = [r for r in self.caplog.records if r.name.startswith("bruno_llm") is by_us]
        texts = [f"{record.name} {FORMATTER.format(record)}" for record in records]
        return texts + [repr(vars(record)) for record in records if by_us]

    def saw(self):
        """Return everything in which there is a secret."""
        texts = [*self.shown, *self.logged(by_us=True), *self.capfd.readouterr()]
        return [text for text in texts if secrets_in(text)]


@pytest.fixture
def audience(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    return Audience(caplog, capfd)


async def use(llm, audience):
    """Do with *llm* all that there is to do."""

    async def read():
        async with llm.stream("hi") as stream:
            return [piece async for piece in stream]

    async with llm:
        for call in (lambda: llm.generate("hi"), lambda: llm.request("hi"), read, llm.list_models):
            try:
                audience.shown.append(f"answer {await call()!r}")
            except LLMError as error:
                audience.catch(error)
        diagnosis = await llm.diagnose()
        audience.shown.append(f"diagnosis {diagnosis!r}")
        if diagnosis.error is not None:
            audience.catch(diagnosis.error)
        assert isinstance(await llm.check_connection(), bool)
        audience.look_at(llm)


def build(kind, server, audience, **keywords):
    given = server.connection() | {
        "api_key": KEY,
        "retry": Retry(attempts=2, wait_initial=0),
        "observers": [audience.hear],
    }
    return kind(**(given | keywords))


def urls(server):
    return " ".join(f"{request.path} {dict(request.query)}" for request in server.received)


MISHAPS = {
    **{kind: FakeError(kind=kind) for kind in get_args(ErrorKind)},
    **{f"{kind} inside": FakeError(kind=kind, in_stream=True) for kind in get_args(ErrorKind)},
    **{f"{then} at once": Fault(then=then) for then in ("stall", "reset", "close", "garble")},
    **{
        f"{then} later": Fault(after=2, then=then)
        for then in ("stall", "reset", "close", "end", "garble")
    },
    "moved": RawReply(status=307, headers={"location": "http://localhost:9/elsewhere"}),
}


@pytest.mark.parametrize("mishap", [None, *MISHAPS])
async def test_whatever_happens_no_key_is_shown(kind, server, audience, mishap, jump):
    say(server, MISHAPS.get(mishap))
    stalls = "stall" in str(mishap)
    limits = Timeouts(total=100) if stalls else Timeouts()
    silent = [lambda n=n: len(server.bodies) == n for n in range(1, 21)] if stalls else ()
    async with jump(100, *silent):
        await use(build(kind, server, audience, timeouts=limits), audience)
    assert any(KEY in str(dict(request.headers)) for request in server.received)
    assert audience.saw() == []
    assert not secrets_in(urls(server))
    # nor do the SDKs and HTTP libraries say it, at any level
    assert not [text for text in audience.logged(by_us=False) if secrets_in(text)]


ECHO = {
    "message": f"you sent Authorization: Bearer {KEY}",
    "code": f"bad_{KEY}",
    "type": KEY,
    "status": KEY,
    "param": KEY,
    "n_ctx": KEY,
    "details": [
        {"reason": KEY, "retryDelay": KEY, "violations": [{"quotaId": KEY}]},
        {"fieldViolations": [{"field": KEY, "description": KEY}]},
    ],
    KEY: KEY,
}
ECHOES = {
    "message alone": {"error": {"message": ECHO["message"]}},
    "many times": {"error": {"message": f"{KEY} " * 100}},
    "everywhere": {"error": ECHO, "message": KEY, "request_id": KEY},
    "details as an object": {"error": {"details": {"error_code": KEY}}, "request_id": KEY},
    "a sentence": {"error": f"{KEY} is no key", "message": KEY},
    "an odd shape": {"error": [KEY, {KEY: [KEY]}]},
    "no document": f"<h1>{KEY}</h1>",
}
IN_HEADERS = dict.fromkeys(
    ("x-request-id", "request-id", "retry-after", "retry-after-ms", "x-echo"), KEY
) | {"x-ratelimit-limit-requests": KEY, "anthropic-ratelimit-requests-limit": KEY}


@pytest.mark.parametrize("shape", ECHOES)
async def test_a_server_that_repeats_the_key_is_not_passed_on(kind, server, audience, shape):
    html = isinstance(ECHOES[shape], str)
    label = {"content-type": "text/html" if html else "application/json"}
    body = ECHOES[shape] if html else json.dumps(ECHOES[shape])
    for status in (200, 307, 400, 401, 403, 404, 429, 500):
        echo = RawReply(status=status, headers=label | IN_HEADERS, body=body.encode())
        say(server, echo)
        await use(build(kind, server, audience, retry=Retry(attempts=1)), audience)
        assert len(audience.errors) >= 4
        assert audience.saw() == []


async def test_a_key_that_is_refused_is_not_shown(kind, server, audience):
    server.__class__.api_key = "another"
    await use(build(kind, server, audience), audience)
    assert audience.errors
    assert audience.saw() == []


async def test_a_dead_server_is_no_reason_to_show_it(kind, server, audience):
    llm = build(kind, server, audience, base_url="http://127.0.0.1:9")
    await use(llm, audience)
    assert len(audience.errors) == 5
    assert audience.saw() == []
    assert not [text for text in audience.logged(by_us=False) if secrets_in(text)]


async def test_what_is_asked_goes_nowhere_else(kind, fake, server, audience):
    with type("Elsewhere", (fake,), {"api_key": KEY})() as other:
        target = other.address.replace("127.0.0.1", "localhost")
        for status in (301, 302, 303, 307, 308):
            moved = RawReply(status=status, headers={"location": f"{target}/v1/chat/completions"})
            say(server, moved)
            await use(build(kind, server, audience), audience)
            assert other.received == []
    assert {error.status_code for error in audience.errors} == {301, 302, 303, 307, 308}


async def test_a_proxy_with_a_login(kind, server, audience, monkeypatch):
    for address in ("http://127.0.0.1:9", server.address):
        for variable in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(variable, address.replace("://", f"://{LOGIN}@"))
        llm = build(kind, server, audience, base_url="http://example.invalid/v1")
        await use(llm, audience)
    assert audience.errors
    assert audience.saw() == []


# -- a login in the address -----------------------------------------------------------------------


@pytest.fixture
def ollama():
    class Ollama(FakeOllama):
        def refuse(self, request):
            return None

    with Ollama() as server:
        yield server


def with_login(server, login=LOGIN):
    return server.address.replace("://", f"://{login}@")


def sent(server):
    return {request.headers.get("authorization", "") for request in server.received}


@pytest.mark.parametrize("mishap", [None, "server_error", "close at once", "end later"])
async def test_a_login_in_the_address_is_for_the_server_alone(ollama, audience, mishap):
    say(ollama, MISHAPS.get(mishap))
    keywords = {"observers": [audience.hear], "retry": Retry(attempts=2, wait_initial=0)}
    await use(OllamaProvider(base_url=with_login(ollama), **keywords), audience)
    async with httpx.AsyncClient(base_url=with_login(ollama)) as client:
        await use(OllamaProvider(client=client, **keywords), audience)
    login = b64encode(f"me:{PASSWORD}".encode()).decode()
    assert sent(ollama) == {f"Basic {login}"}
    assert audience.saw() == []
    assert not secrets_in(urls(ollama))
    assert not [text for text in audience.logged(by_us=False) if secrets_in(text)]


async def test_a_clients_own_login_is_its_own_affair(ollama, audience):
    for keywords in ({"auth": ("me", KEY)}, {"headers": {"authorization": f"Bearer {KEY}"}}):
        async with httpx.AsyncClient(base_url=ollama.address, **keywords) as client:
            await use(OllamaProvider(client=client, observers=[audience.hear]), audience)
    assert len(sent(ollama)) == 2
    assert all(secrets_in(header) for header in sent(ollama))
    assert audience.saw() == []


@pytest.mark.parametrize("kind", [OpenAIProvider, ClaudeProvider])
async def test_a_login_that_cannot_be_sent_is_not_shown_either(kind, audience):
    await use(kind(api_key=KEY, base_url=f"http://{LOGIN}@127.0.0.1:9"), audience)
    assert audience.errors
    assert all(isinstance(error, ConfigurationError) for error in audience.errors)
    assert audience.saw() == []


# -- a client of the user's own -------------------------------------------------------------------


CLIENTS = {OpenAIProvider: openai.AsyncOpenAI, ClaudeProvider: anthropic.AsyncAnthropic}


@pytest.mark.parametrize(
    ("kind", "fake"), [(OpenAIProvider, FakeOpenAI), (ClaudeProvider, FakeClaude)]
)
@pytest.mark.parametrize("mishap", [None, *get_args(ErrorKind), "close at once", "end later"])
async def test_a_clients_key_and_headers_are_not_shown(kind, fake, server, audience, mishap):
    say(server, MISHAPS.get(mishap))
    address = server.connection()["base_url"]
    headers = {"x-gateway-key": PASSWORD}
    async with CLIENTS[kind](api_key=KEY, base_url=address, default_headers=headers) as client:
        await use(kind(client=client, observers=[audience.hear], max_retries=0), audience)
    assert {request.headers["x-gateway-key"] for request in server.received} == {PASSWORD}
    assert audience.saw() == []
    assert not [text for text in audience.logged(by_us=False) if secrets_in(text)]


# -- options, files, the environment --------------------------------------------------------------


async def test_a_secret_among_the_options_reaches_the_server_alone(kind, server, audience):
    options = {"extra_headers": {"authorization": KEY}, "mcp": [{"authorization_token": KEY}]}
    llm = build(kind, server, audience, options=options, max_retries=0, retry=None)
    server.say(*(step for step in MISHAPS.values() if "stall" not in str(step)))
    for _ in MISHAPS:
        with suppress(LLMError):
            await llm.generate("hi")
    await use(llm, audience)
    assert KEY in json.dumps(server.bodies[0])
    assert audience.saw() == []


async def test_a_key_is_no_option_of_a_call(kind, server, audience):
    llm = build(kind, server, audience)
    for name in ("api_key", "base_url", "client"):
        with pytest.raises(
            InvalidRequestError, match=f"'{name}' is not an option of a call"
        ) as caught:
            await llm.generate("hi", **{name: KEY})
        audience.catch(caught.value)
    assert server.received == []
    assert audience.saw() == []


@pytest.mark.parametrize(
    "keywords",
    [
        {"api_key": [KEY]},
        {"api_key": f"{KEY}…"},
        {"api_key": f"{KEY}\n{KEY}"},
        {"api_key": KEY.encode() + b"\xff"},
        {"base_url": KEY},
        {"base_url": [KEY]},
        {"base_url": f"http://me:{KEY}"},
        {"base_url": f"http://me:{KEY}@"},
        {"base_url": f"http://me:{KEY}/v1"},
        {"base_url": f"me:{KEY}@host:80"},
        {"base_url": f"http://me:12/{KEY}@host/v1"},
        {"base_url": f"http://me:12?{KEY}@host/v1"},
        {"base_url": f"http://me:12#{KEY}@host/v1"},
        {"base_url": f"http://me:{KEY}@ho st/v1"},
        {"base_url": f"http://host/v1?key={KEY}"},
        {"base_url": f"http://host/v1#{KEY}"},
        {"options": [KEY]},
        {"options": {("a",): KEY}},
        {"options": {"messages": KEY, "contents": KEY}},
        {"options": {"tools": [KEY, object()]}},
        {KEY + "=": 1} | {"api_kye": KEY},
        {"temperature": 9},
        {"client": object()},
    ],
)
def test_a_wrong_setting_is_named_without_what_may_be_secret(kind, audience, keywords, monkeypatch):
    wrong = {name: value for name, value in keywords.items() if KEY not in name}
    with pytest.raises(ConfigurationError) as caught:
        kind(**({"api_key": KEY} | wrong))
    audience.catch(caught.value)
    for build in (LLMFactory.from_config, lambda given: LLMFactory.fallback([given])):
        with pytest.raises(ConfigurationError) as caught:
            build({"provider": kind.name, "api_key": KEY} | wrong)
        audience.catch(caught.value)
    assert audience.saw() == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("a.yaml", "provider: {name}\napi_key: {key}\ntemperature: 9"),
        ("a.yaml", "provider: {name}\napi_key: {key}\n  base_url: x"),
        ("a.yaml", "provider: {name}\nbase_url: {key}"),
        ("a.yaml", "provider: {name}\napi_key:\n  {key}: 1"),
        ("a.json", '{{"provider": "{name}", "api_key": "{key}"'),
        ("a.json", '{{"provider": "{name}", "base_url": "http://a:{key}@ b"}}'),
        ("a.toml", 'provider = "{name}"\napi_key = {key}'),
        ("a.toml", 'provider = "{name}"\napi_key = "{key}"\ntimeout = -1'),
    ],
)
def test_a_wrong_file_is_not_quoted(kind, audience, tmp_path, file, text):
    path = tmp_path / file
    path.write_text(text.format(name=kind.name, key=KEY))
    with pytest.raises(ConfigurationError) as caught:
        LLMFactory.from_file(path)
    audience.catch(caught.value)
    inner = caught.value.__context__
    assert inner is None or not secrets_in(str(inner))
    assert audience.saw() == []


async def test_keys_from_files_and_the_environment_stay_there(
    kind, server, audience, tmp_path, monkeypatch
):
    address = server.connection()["base_url"]
    path = tmp_path / "llm.json"
    path.write_text(json.dumps({"provider": kind.name, "api_key": KEY, "base_url": address}))
    monkeypatch.setenv("BRUNO_LLM_PROVIDER", kind.name)
    monkeypatch.setenv("BRUNO_LLM_API_KEY", KEY)
    monkeypatch.setenv("BRUNO_LLM_BASE_URL", address)
    monkeypatch.setenv(kind.api_key_env[0], KEY)
    keywords = {"retry": Retry(attempts=1), "observers": []}
    for llm in (
        LLMFactory.from_file(path, **keywords),
        LLMFactory.from_env(**keywords),
        LLMFactory.create(kind.name, base_url=address, **keywords),
    ):
        server.say(FakeError(kind="authentication"), FakeError(kind="rate_limit"))
        await use(llm, audience)
    assert audience.errors
    assert audience.saw() == []
    monkeypatch.setenv("BRUNO_LLM_BASE_URL", f"http://me:{KEY}")
    monkeypatch.setenv("BRUNO_LLM_TEMPERATURE", "9")
    with pytest.raises(ConfigurationError) as caught:
        LLMFactory.from_env()
    audience.catch(caught.value)
    assert audience.saw() == []


# -- several providers ----------------------------------------------------------------------------


async def test_a_fallback_keeps_the_secrets_of_all(kind, server, ollama, audience):
    members = [
        build(kind, server, audience),
        {"provider": "ollama", "base_url": with_login(ollama), "retry": Retry(attempts=1)},
        build(kind, server, audience, base_url="http://127.0.0.1:9"),
    ]
    llm = LLMFactory.fallback(members, observers=[audience.hear])
    assert isinstance(llm, FallbackLLM)
    for mishap in ("authentication", "server_error", "reset at once"):
        say(server, MISHAPS[mishap])
        say(ollama, MISHAPS[mishap])
        await use(llm, audience)
    assert any(isinstance(error, AllProvidersFailedError) for error in audience.errors)
    assert audience.saw() == []


async def test_a_selection_says_why_without_the_keys(kind, server, audience):
    server.say(FakeError(kind="authentication"), to="models")
    wrong = server.connection() | {"provider": kind.name, "api_key": KEY}
    dead = wrong | {"base_url": "http://127.0.0.1:9"}
    with pytest.raises(AllProvidersFailedError) as caught:
        await LLMFactory.select([wrong, dead, wrong | {"temperature": 9}])
    audience.catch(caught.value)
    assert audience.saw() == []


# -- what is kept and passed on -------------------------------------------------------------------


def test_no_pickle_holds_a_key(kind, monkeypatch):
    monkeypatch.setenv(kind.api_key_env[0], KEY)
    assert not secrets_in(repr(pickle.dumps(kind())))
    assert pickle.loads(pickle.dumps(kind())).access.key == KEY
    for keywords in ({"api_key": KEY}, {"base_url": f"http://{LOGIN}@host"}):
        with pytest.raises(ConfigurationError) as caught:
            pickle.dumps(kind(**keywords))
        assert not secrets_in(f"{caught.value} {pickle.dumps(caught.value)!r}")
    assert not secrets_in(repr(pickle.dumps(FallbackLLM([kind()]))))


async def test_a_timeout_of_ones_own_shows_none_either(kind, server, audience, jump):
    server.say(Fault(then="stall"), Fault(after=1, then="stall"))
    llm = build(kind, server, audience)

    async def read():
        async for piece in llm.stream("hi"):
            audience.shown.append(piece)

    for number, call in enumerate((llm.generate("hi"), read()), 1):
        with pytest.raises(TimeoutError) as caught:
            async with (
                jump(1000, lambda number=number: len(server.received) == number),
                asyncio.timeout(1000),
            ):
                await call
        audience.shown.append("".join(traceback.format_exception(caught.value)))
    await llm.aclose()
    assert audience.saw() == []
