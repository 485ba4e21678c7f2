"""What a provider can tell of its models, and whether it can be used at all."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from bruno_llm_base.attempt import Endpoint, Request
from bruno_llm_base.call import result_of
from bruno_llm_base.context.windows import Window
from bruno_llm_base.exceptions import (
    ContextLengthExceededError,
    LLMError,
    ModelNotFoundError,
)
from bruno_llm_base.options import closest
from bruno_llm_base.policies import Retry, Timeouts
from bruno_llm_base.provider.core import Core
from bruno_llm_base.types import Json

if TYPE_CHECKING:
    from bruno_llm_base.cost.price import Price

__all__ = ["Catalogue", "Diagnosis"]

_T = TypeVar("_T")
_CHECK_SECONDS = 5.0
_ADVICE_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Whether a provider can be used, and if not, why.

    Attributes:
        ok: Whether it answers, takes the key and, where that can be told, has the model.
        reason: What is wrong, for people; None if nothing is.
        error: The error behind it.
        models: The models on offer.
    """

    ok: bool
    reason: str | None = None
    error: LLMError | None = None
    models: tuple[str, ...] = ()


class Catalogue(Core):
    """A provider's models and their context windows."""

    async def check_connection(self) -> bool:
        """Say whether the provider can be used; `diagnose` says why not. Never raises."""
        return (await self.diagnose()).ok

    async def list_models(self) -> list[str]:
        """Return the names of the models on offer.

        Raises:
            LLMError: The API does not tell.
        """
        return await self._list_models(self._retry, self._timeouts)

    async def diagnose(self) -> Diagnosis:
        """Find out whether the provider can be used, within 5 seconds and without cost."""
        try:
            models = await self._list_models(Retry(attempts=1), Timeouts(total=_CHECK_SECONDS))
        except LLMError as error:
            return Diagnosis(ok=False, reason=str(error), error=error)
        reason = self._adapter.missing_model(self._model, models) or None
        return Diagnosis(ok=reason is None, reason=reason, models=tuple(models))

    async def context_window(self, model: str | None = None) -> Window | None:
        """Return what is known of the context window of *model*; nothing is asked for it.

        The user's word counts first, then the server's, as far as `list_models` or `diagnose` have
        heard it, then that of a list of prices; None if nobody knows.
        """
        model = model or self._model
        return self._windows.of(model) or await self._listed_window(model)

    async def price(self, model: str | None = None) -> "Price | None":
        """Return what *model* costs now, in USD per million tokens; None if nobody knows."""
        await self._prices.load()
        return self._prices.price(model or self._model)

    async def _list_models(self, retry: Retry, timeouts: Timeouts) -> list[str]:
        endpoint = replace(self._endpoint, retry=retry, timeouts=timeouts)
        request = self._listing("GET", self._adapter.models_path, None, self._parse_names)
        names = await result_of(endpoint, request)
        if not self._adapter.missing_model(self._model, names):
            await self._learn_windows(endpoint)
        return names

    def _listing(
        self, method: str, path: str, body: Json | None, parse: Callable[[Json], _T]
    ) -> Request[_T]:
        return Request(
            operation="models",
            method=method,
            path=path,
            body=body,
            model=self._model,
            parse=parse,
            advise=self._advise,
        )

    async def _learn_windows(self, endpoint: Endpoint) -> None:
        """Ask what else there is to know of the windows."""
        for method, path, body in self._adapter.window_requests(self._model):
            try:
                await result_of(endpoint, self._listing(method, path, body, self._parse_windows))
            except LLMError:
                continue  # it has been logged; the list of models is what was asked for

    async def _learn_window(self, model: str) -> None:
        """Ask for the window of *model*, unless it is known or has been asked for."""
        if self._windows.asks_for(model):
            with suppress(LLMError):  # it has been logged, and is not what was asked for
                await self._list_models(Retry(attempts=1), self._timeouts)

    async def _listed_window(self, model: str) -> Window | None:
        tokens = await self._prices.window(model)
        if tokens is None:
            return None
        # elsewhere, a model of that name may be any other
        vendors_own = self._access.address.rstrip("/") == self.default_base_url.rstrip("/")
        return Window(tokens=tokens, source="genai-prices", certain=vendors_own)

    def _parse_names(self, data: Json) -> list[str]:
        names = self._adapter.parse_models(data)
        if not all(isinstance(name, str) for name in names):
            raise TypeError("the name of a model")
        self._parse_windows(data)
        return names

    def _parse_windows(self, data: Json) -> None:
        self._windows.learn(self._adapter.parse_windows(data, self._model))

    async def _advise_on_model(self, error: LLMError) -> list[str]:
        """Name the models that are closest to an unknown one, and learn from a window that is too small."""
        if isinstance(error, ContextLengthExceededError) and error.status_code and error.limit:
            self._windows.learn({str(error.model): error.limit}, refused=True)
        if isinstance(error, ModelNotFoundError) and error.model is not None:
            limits = Timeouts(total=_ADVICE_SECONDS)
            ask = partial(self._list_models, Retry(attempts=1), limits)
            if offered := await self._offer.names(ask):
                names = ", ".join(closest(error.model, offered))
                return [f"closest on offer: {names}", *await self._advise(error)]
        return await self._advise(error)
