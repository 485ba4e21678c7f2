"""What providers of chat and of embeddings have in common: how they are built, their models, their end."""

import asyncio
import gc
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from typing_extensions import Format, TypedDict, get_annotations

from bruno_llm_base.access import Access, Vendor, find_access
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.call import result_of
from bruno_llm_base.context import Window, Windows
from bruno_llm_base.cost.prices import Prices
from bruno_llm_base.events import Diagnosis, Observer
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    ContextLengthExceededError,
    InvalidRequestError,
    InvalidResponseError,
    LLMError,
    LLMTimeoutError,
    ModelNotFoundError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StreamError,
)
from bruno_llm_base.limits import RateLimit
from bruno_llm_base.log import Observers
from bruno_llm_base.options import SharedSettings, check, check_keywords, close_matches
from bruno_llm_base.parts import Json, is_json
from bruno_llm_base.policies import Retry, Timeouts, check_limit, check_whole, policy
from bruno_llm_base.request import Endpoint, Request, RetryThrottle
from bruno_llm_base.transport import PerLoop, Transport, proxy_for
from bruno_llm_base.values import shown

if TYPE_CHECKING:
    from bruno_llm_base.cost.budget import Budget
    from bruno_llm_base.cost.price import Price
    from bruno_llm_base.cost.tracker import CostTracker

_CHECK_SECONDS = 5.0
_ADVICE_SECONDS, _OFFER_SECONDS = 2.0, 60.0
_ONCE = Retry(attempts=1)

# What a proxy may be to blame for.
_ON_THE_WAY = (
    InvalidResponseError,
    LLMTimeoutError,
    PermissionDeniedError,
    ServiceUnavailableError,
    StreamError,
)
_PROXY_LOGIN, _NOT_THERE = 407, 404
_NO_ENDPOINT = "unexpected endpoint"  # LM Studio's 404, with the status 200
_VERSION = re.compile(r"/v\d+\b")
_MALFORMED = (400, 422)
_OF_AUTHORS = frozenset(
    (
        *("access", "adapter", "adapter_type", "default_model", "make_adapter"),
        *("open_transport", "prices_type", "settings_type"),
    )
)


class Policies(TypedDict, total=False):
    """How the requests of any provider are carried out.

    Attributes:
        client: A ready client of the vendor's SDK (Ollama: an httpx client), used as it is and never
            closed.
        retry: When to send a failed request again.
        rate_limit: How much may be sent in a while; providers that are given the same one share it.
        timeouts: How long the request, and each step of it, may take.
        cost: Where costs are booked; providers that are given the same one share it.
        budget: The most that may be spent, as `cost` has booked it; a list of budgets keeps to each
            of them.
        observers: Callables that hear of every request.
        timeout: Short for `timeouts=Timeouts(call=timeout)`: seconds for a request, with its retries
            and waits.
        max_retries: Short for `retry=Retry(attempts=max_retries + 1)`.
    """

    client: Any
    retry: Retry | None
    rate_limit: RateLimit | None
    timeouts: Timeouts | None
    cost: "CostTracker | None"
    budget: "Budget | Sequence[Budget] | None"
    observers: Sequence[Observer]
    timeout: float | None
    max_retries: int | None


class Client(Vendor, ABC):
    """A provider of any kind.

    Attributes:
        adapter_type: How the API spells things.
        default_model: The model where none is named.
        capabilities: What it can do, for the factories' `providers()`.
        settings_type: What it can be set to.
        prices_type: What its answers cost.
        model: The model that is asked.
        access: Where the API is, and the key.
        adapter: How the API at that address spells things.
        timeouts: How long each step of an attempt may take.
    """

    adapter_type: ClassVar[type[Adapter]]
    default_model: ClassVar[str]
    capabilities: ClassVar[frozenset[str]] = frozenset()
    settings_type: ClassVar[Any] = SharedSettings
    prices_type: ClassVar[type[Prices]] = Prices
    adapter: Adapter

    @staticmethod
    @abstractmethod
    def open_transport(access: Access, timeouts: Timeouts) -> Transport:
        """Return a transport for the running event loop; the SDK is imported here."""

    def __init__(self, model: str | None, keywords: Mapping[str, Any], window: int | None) -> None:
        """Set up what all kinds of providers have; *window* is what the user says of context windows."""
        check_keywords(type(self), keywords)
        settings = self._settings = _Settings(keywords)
        settings |= deepcopy(check(self.settings_type, keywords, ConfigurationError))
        self.model = self._named(self.default_model if model is None else model, ConfigurationError)
        self.access = find_access(type(self), cast(Any, settings), settings.get("client"))
        self.adapter = self.make_adapter()
        check_limit("timeout", settings.get("timeout"))
        self.timeouts = policy(
            Timeouts, "timeouts", settings.get("timeouts"), call=settings.get("timeout")
        )
        self._own_window = (
            None if window is None else Window(tokens=window, source="ContextPolicy.window")
        )
        self._windows = Windows(certain=self.fixed_windows)
        self._offer: tuple[float, Sequence[str]] = -inf, ()  # when it was asked for, and what it is
        self._asking = WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]()
        self._transports = PerLoop(needs=self.sdk)
        self._endpoint = self._make_endpoint()

    def make_adapter(self) -> Any:
        """Return how the API at the provider's address spells things."""
        return self.adapter_type.at(self.access)

    def _make_endpoint(self) -> Endpoint:
        settings = self._settings
        observers = Observers(settings.get("observers", ()))
        settings["observers"] = observers.given
        rate_limit, most = settings.get("rate_limit"), settings.get("max_retries")
        if rate_limit is not None:
            RateLimit.checked("rate_limit", rate_limit)
        if most is not None:
            check_whole("max_retries", most, least=0)
        spending = None
        prices_by = partial(self._prices_by, observers)
        if settings.get("cost") is not None or settings.get("budget") is not None:
            from bruno_llm_base.cost.spending import Spending  # most providers do without

            spending = Spending(settings.get("cost"), settings.get("budget"), prices_by)
        return Endpoint(
            provider=self.name,
            telemetry_name=self.access.cloud or self.telemetry_name or self.name,
            address=self.access.address,
            transports=self._transports,
            open_transport=partial(self.open_transport, self.access, self.timeouts),
            secrets=self.access.secrets,
            timeouts=self.timeouts,
            retry=policy(
                Retry, "retry", settings.get("retry"), attempts=None if most is None else most + 1
            ),
            throttle=RetryThrottle(),
            rate_limit=rate_limit,
            spending=spending,
            prices=prices_by(None) if spending is None else spending.prices,
            observers=observers,
        )

    def _prices_by(self, observers: Observers, cost: "CostTracker | None") -> Prices:
        """Return what answers cost, by the user's own prices in *cost* first."""
        given = self._settings.get("price_name")
        return self.prices_type(
            self.name,
            given or self.price_name or self.name,
            "declared free of charge" if self._settings.get("free") else self.free,
            None if cost is None else cost.prices,
            address="" if given or self._is_vendors_own() else self.access.address,
            tell=observers.tell,
        )

    def _is_vendors_own(self) -> bool:
        return self.access.address.rstrip("/") == self.default_base_url.rstrip("/")

    def _named(self, model: Any, kind: type[LLMError] = InvalidRequestError) -> str:
        """Return the one name of *model*, or the provider's own if None."""
        if model is None:
            return self.model
        if not isinstance(model, str) or not model.strip() or not is_json(model):
            raise kind(f"model is {shown(model)}: give its name")
        return self.plain_name(model)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Those who hear of every request, and of the tools that `run_tools` runs for it."""
        return self._endpoint.observers.given

    # -- what users ask of it -------------------------------------------------------------------------

    async def check_connection(self) -> bool:
        """Say whether the provider can be used; `diagnose` says why not. Never raises."""
        return (await self.diagnose()).ok

    async def diagnose(self) -> Diagnosis:
        """Find out whether the provider can be used, within 5 seconds and without cost."""
        limits: dict[str, Any] = {"retry": _ONCE, "timeouts": Timeouts(total=_CHECK_SECONDS)}
        models: list[str] = []
        try:
            if (probe := self.adapter.build_probe(self.model)) is None:
                models = await self._list_models(**limits)
            else:
                await self._send_probe(*probe, **limits)
        except LLMError as error:
            return Diagnosis(ok=False, reason=str(error), error=error)
        reason = self.adapter.missing_model(self.model, models) or None
        return Diagnosis(ok=reason is None, reason=reason, models=tuple(models))

    async def warm_up(self) -> None:
        """Load the SDK and open a connection, so that the first request waits for neither.

        For servers, before they take requests. The SDK is loaded in a thread, and the event loop goes
        on. Meanwhile Python's garbage collector is paused, which would stop the loop for a tenth of a
        second, and what has been loaded is left out of its later collections (`gc.freeze`). Then the
        list of models is asked for, which costs nothing.

        Raises:
            ConfigurationError: The SDK cannot be loaded. An error of the server's is not raised: see
                `diagnose`.
        """
        collects = gc.isenabled()
        gc.disable()
        try:
            await self._transports.get(self._endpoint.open_transport)
        finally:
            gc.freeze()
            if collects:
                gc.enable()
        await self.diagnose()

    async def list_models(self) -> list[str]:
        """Return the names of the models on offer.

        Raises:
            LLMError: The API does not tell.
        """
        return await self._list_models()

    async def context_window(self, model: str | None = None) -> Window | None:
        """Return what is known of the context window of *model*; nothing is asked for it.

        The user's word counts first, then the server's, as far as `list_models` or `diagnose` have
        heard it, then that of a list of prices.
        """
        model = model or self.model
        if window := self._own_window or self._windows.get(model):
            return window
        tokens = await self._endpoint.prices.window(model)
        if tokens is None:
            return None
        # elsewhere, a model of that name may be any other
        return Window(tokens=tokens, source="genai-prices", certain=self._is_vendors_own())

    async def price(self, model: str | None = None) -> "Price | None":
        """Return what *model* costs now, in USD per million tokens; None if it is not known."""
        await self._endpoint.prices.load()
        return self._endpoint.prices.price(model or self.model)

    async def aclose(self) -> None:
        """Close the running loop's connections; they are opened again when needed."""
        await self._transports.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        own = self.access.base_url or self.access.client_address
        where = f", base_url={self.access.address!r}" if own else ""
        return f"{type(self).__name__}(model={self.model!r}{where})"

    def __dir__(self) -> list[str]:
        """Return what users call, and not what the authors of providers fill in."""
        kinds = [kind for kind in type(self).__mro__ if issubclass(kind, Vendor)]
        vendors = [kind for kind in kinds if not issubclass(kind, Client)]
        # as forward references: what an author names for type checkers only need not be there
        declared = (get_annotations(kind, format=Format.FORWARDREF) for kind in vendors)
        filled_in = _OF_AUTHORS.union(*map(vars, vendors), *declared)
        return [n for n in super().__dir__() if n == "name" or n[0] == "_" or n not in filled_in]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings and where the key is, never a key or a client."""
        settings = self._settings
        login = "@" in (settings.get("base_url") or "")
        if login or settings.get("api_key") is not None or settings.get("client") is not None:
            raise ConfigurationError(
                f"a {type(self).__name__} with a literal api_key, a login or a client cannot be"
                f" pickled: set {' or '.join(self.api_key_env)} in the worker's environment"
            )
        return partial(type(self), **settings, model=self.model), ()

    # -- lists of models ------------------------------------------------------------------------------

    async def _list_models(self, **limits: Any) -> list[str]:
        """Return the names of the models on offer, within other *limits* of `Endpoint` than usual."""
        endpoint, adapter = replace(self._endpoint, **limits), self.adapter
        if adapter.models_path is None:
            where = self.access.address
            raise InvalidRequestError(f"{self.name} has no list of models at {where}")
        listing = partial(
            Request, operation="models", adapter=adapter, model=self.model, advise=self._advise
        )
        names: list[str] = await result_of(
            endpoint, listing(method="GET", path=adapter.models_path, parse=self._parse_names)
        )
        if not adapter.missing_model(self.model, names):
            for method, path, body in adapter.window_requests(self.model):
                with suppress(LLMError):  # it has been logged, and is not what was asked for
                    windows = listing(
                        method=method, path=path, body=body, parse=self._parse_windows
                    )
                    await result_of(endpoint, windows)
        return names

    async def _send_probe(self, path: str, body: Json, **limits: Any) -> None:
        probe: Request[Json] = Request(
            operation="models",
            adapter=self.adapter,
            path=path,
            body=body,
            model=self.model,
            parse=lambda data: data,
            advise=self._advise,
        )
        try:
            await result_of(replace(self._endpoint, **limits), probe)
        except InvalidRequestError as error:
            if type(error) is not InvalidRequestError or error.status_code not in _MALFORMED:
                raise

    def _parse_names(self, data: Json) -> list[str]:
        names = self.adapter.parse_models(data)
        if not all(isinstance(name, str) for name in names):
            raise TypeError("the name of a model")
        self._parse_windows(data)
        return names

    def _parse_windows(self, data: Json) -> None:
        self._windows.learn(self.adapter.parse_windows(data, self.model))

    # -- errors ---------------------------------------------------------------------------------------

    async def _advise_on_model(self, error: LLMError) -> list[str]:
        """Name the models that are closest to an unknown one, and learn from a window that is too small."""
        if isinstance(error, ContextLengthExceededError) and error.status_code and error.limit:
            self._windows.learn({str(error.model): error.limit}, refused=True)
        advice = await self._advise(error)
        unknown = error.model if isinstance(error, ModelNotFoundError) else None
        if unknown is not None and (offered := await self._offered()):
            advice.insert(
                0, f"closest on offer: {', '.join(close_matches(unknown, offered, 5, 0.0))}"
            )
        return advice

    async def _offered(self) -> Sequence[str]:
        """Return the models on offer, asked for at most once a minute, by one for all."""
        loop = asyncio.get_running_loop()
        async with self._asking.setdefault(loop, asyncio.Lock()):
            asked, names = self._offer
            if loop.time() - asked >= _OFFER_SECONDS:
                limits, names = Timeouts(total=_ADVICE_SECONDS), ()
                with suppress(LLMError):  # the error that is to be explained is what matters
                    names = await self._list_models(retry=_ONCE, timeouts=limits)
                self._offer = loop.time(), names
        return names

    async def _advise(self, error: LLMError) -> list[str]:
        """Return what a user may want to know about an error that a request ended with."""
        advice = []
        if isinstance(error, AuthenticationError) and self.access.key_source:
            advice.append(f"the key came from {self.access.key_source}")
        elif isinstance(error, ServiceUnavailableError) and error.status_code is None:
            advice.append(f"the address is {self.access.address}")
        elif longer := self._longer_address(error):
            advice.append(f"base_url is {self.access.address}: try {longer}")
        on_the_way = isinstance(error, _ON_THE_WAY) or error.status_code == _PROXY_LOGIN
        ours = on_the_way and self.access.client is None
        if ours and (proxy := proxy_for(self.access.address)):
            advice.append(f"requests go through the proxy {proxy}")
        return [*advice, self.adapter.advice(error)]

    def _longer_address(self, error: LLMError) -> str:
        """Return the address with the version that it may lack, where *error* says that nothing is there; else ""."""
        is_nowhere = error.status_code == _NOT_THERE or _NO_ENDPOINT in error.message.lower()
        version = _VERSION.search(self.default_base_url)
        address = self.access.address.rstrip("/")
        if not (is_nowhere and version) or urlsplit(address).path:  # with a path it is meant so
            return ""
        # a server that knows no such model is there, and clouds have addresses of their own
        if isinstance(error, ModelNotFoundError) or self.access.cloud:
            return ""
        return address + version[0]


class _Settings(dict[str, Any]):
    """What the user has set; it does not show values, some of which are secret."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self)})"
