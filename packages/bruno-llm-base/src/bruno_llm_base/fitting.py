"""Options, made to fit a model: spelled as its vendor does, without what it refuses."""

from collections.abc import Callable, Mapping
from typing import Any

from bruno_llm_base.config import PORTABLE, Settings, check_options
from bruno_llm_base.dialect import Dialect
from bruno_llm_base.exceptions import InvalidRequestError, LLMError
from bruno_llm_base.exchange import Request
from bruno_llm_base.options import merged, spelled
from bruno_llm_base.types import Json

__all__ = ["Fitting"]


class Fitting:
    """What one provider knows of the options that its models take."""

    def __init__(
        self, dialect: Dialect, settings: Settings, warn: Callable[[str, str], None]
    ) -> None:
        """Remember how to fit.

        Args:
            dialect: How the vendor spells options, and which it refuses.
            settings: The options of every request.
            warn: Hears of a model and an option that it does without; once for each pair.
        """
        self._dialect = dialect
        self._settings = settings
        self._warn = warn
        self._warned: set[tuple[str, str]] = set()
        self._learned: dict[str, list[LLMError]] = {}

    @property
    def defaults(self) -> Json:
        """The portable options of every request, in bruno-core's words."""
        given = ((name, getattr(self._settings, name)) for name in PORTABLE)
        return {name: value for name, value in given if value is not None}

    def options(self, model: str, call: Mapping[str, Any]) -> Json:
        """Return the body's options: those of every request, overruled by those of this call.

        Args:
            model: The model that is asked.
            call: Options of one call, in bruno-core's words or the vendor's.

        Raises:
            InvalidRequestError: A value is wrong, or `model` refuses an option of a strict user.
        """
        portable = self.defaults | check_options(call)
        own = {name: value for name, value in call.items() if name not in PORTABLE}
        always = self._settings.options
        refused = self._dialect.refused_options(model, portable | always | own)
        for name in sorted(refused & portable.keys()):
            self._do_without(model, name)
            del portable[name]
        spell = self._dialect.option_names
        return merged(
            {"model": model}, spelled(portable, spell), spelled(always, spell), spelled(own, spell)
        )

    def amend(self, request: Request, error: LLMError) -> Json | None:
        """Return the body without what the API has just refused, or None if it names nothing."""
        if request.body is None or request.model is None:
            return None
        body = self._dialect.respell(request.body, error)
        if body is not None:
            self._do_without(request.model, str(error.param))
            self._learned.setdefault(request.model, []).append(error)
        return body

    def recall(self, model: str, body: Json) -> Json:
        """Return *body* without what the API has refused before."""
        for error in self._learned.get(model, ()):
            body = self._dialect.respell(body, error) or body
        return body

    def _do_without(self, model: str, option: str) -> None:
        if self._settings.strict:
            raise InvalidRequestError(
                f"{model} does not accept {option}: leave it out, or set strict=False", param=option
            )
        if (model, option) not in self._warned:
            self._warned.add((model, option))
            self._warn(model, option)
