"""Whether a provider works, and if not, why: found out without cost, within seconds."""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bruno_core.interfaces import LLMInterface
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.client import Diagnosis
from bruno_llm_base.discovery import ProviderInfo, canonical, installed, kind_of
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    LLMError,
    LLMTimeoutError,
    ProviderNotFoundError,
    ServiceUnavailableError,
)
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.options import closest
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.sources import from_config, from_file, provider_of
from bruno_llm_base.wrappers import FullLLM, in_full

from bruno_llm_cli.choice import real

__all__ = ["Checkup", "Patient", "Status", "checkups", "patients", "works"]

Status = Literal["ok", "failed", "not set up"]


@dataclass(slots=True, kw_only=True)
class Checkup:
    """What was found out about one provider; None is what nobody knows.

    Attributes:
        provider: Its name.
        distribution: The distribution that brings it.
        version: That distribution's version.
        status: "ok": it can be used. "failed": it cannot, though it is set up. "not set up": it
            cannot, and nothing shows that it is meant to be.
        problem: Why it cannot be used.
        advice: What may be done about that, and about what is unknown.
        key: Where the key was found: a variable of the environment, or "config".
        address: Where requests go.
        reachable: Whether a server answers there.
        model: The model.
        model_offered: Whether the server offers it.
        window: The model's context window, in tokens.
        window_source: Who says so.
        input_price: What a million tokens of input cost, in USD.
        output_price: What a million tokens of output cost, in USD.
        price_source: Whose prices these are.
    """

    provider: str
    distribution: str
    version: str
    status: Status = "ok"
    problem: str | None = None
    advice: list[str]
    key: str | None = None
    address: str | None = None
    reachable: bool | None = None
    model: str | None = None
    model_offered: bool | None = None
    window: int | None = None
    window_source: str | None = None
    input_price: str | None = None
    output_price: str | None = None
    price_source: str | None = None

    def document(self) -> dict[str, Any]:
        """Return it as plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A provider that is to be examined.

    Attributes:
        info: What is installed.
        build: Returns the provider.
        meant: Whether the user has named it, so that it has to work.
    """

    info: ProviderInfo
    build: Callable[[], LLMInterface]
    meant: bool


def patients(names: Sequence[str], config: Path | None) -> list[Patient]:
    """Return the named providers and that of a file, or else all that talk to a model.

    Raises:
        ProviderNotFoundError: One of them is not.
        ConfigurationError: The file cannot be used.
    """
    known = {info.name.lower(): info for info in installed()}
    found = []
    if config is not None:
        owner = provider_of(from_config(from_file(config)))
        build = partial(LLMFactory.from_file, config)
        found.append(Patient(info=_known(owner, known), build=build, meant=True))
    infos = [_known(name, known) for name in names]
    for info in infos or ([] if config else real()):
        build = partial(LLMFactory.from_env, info.name)
        found.append(Patient(info=info, build=build, meant=bool(names)))
    return found


def _known(name: str, known: Mapping[str, ProviderInfo]) -> ProviderInfo:
    info = known.get(canonical(name))
    if info is None:
        kind_of(name)  # says what to install
        raise ProviderNotFoundError(f"the provider {name!r} is not installed")
    return info


async def checkups(patients: Iterable[Patient]) -> list[Checkup]:
    """Examine providers, all at once."""
    return await asyncio.gather(*map(_checkup, patients))


def works(found: Iterable[Checkup]) -> bool:
    """Say whether all that are set up can be used, and at least one is."""
    states = {checkup.status for checkup in found}
    return "ok" in states and "failed" not in states


async def _checkup(patient: Patient) -> Checkup:
    info = patient.info
    found = Checkup(
        provider=info.name, distribution=info.distribution, version=info.version, advice=[]
    )
    if info.error is not None:
        found.status, found.problem = "failed", info.error
        return found
    try:
        llm = in_full(patient.build())
    except LLMError as error:
        found.problem = error.description
    except Exception as error:  # noqa: BLE001 - somebody else's class may raise anything
        found.problem = f"it cannot be built: {type(error).__name__}"
    else:
        try:
            await _examine(found, llm)
        finally:
            await llm.aclose()
    if found.problem is not None:
        found.status = "failed" if patient.meant or _is_set_up(info.name) else "not set up"
    return found


async def _examine(found: Checkup, llm: FullLLM) -> None:
    found.model = llm.model or None
    if isinstance(llm, BaseProvider):
        found.address = llm.access.address
        found.key = _origin(found.provider, llm.access.key_source)
    diagnosis = await llm.diagnose()
    found.reachable = _was_answered(diagnosis.error)
    if not diagnosis.ok:
        found.problem = diagnosis.error.description if diagnosis.error else diagnosis.reason
        if isinstance(diagnosis.error, AuthenticationError):
            found.advice.append(_cure(found.key, llm))
    if diagnosis.error is None:
        _look_for_model(found, llm, diagnosis)
    if isinstance(llm, BaseProvider):
        await _look_up(found, llm)


def _cure(key: str | None, llm: FullLLM) -> str:
    """Return what to do about a key that was refused, or is missing."""
    if key is not None:
        return f"replace what is in {key}"
    return f"set {' or '.join(getattr(llm, 'api_key_env', ())) or 'a key'}"


def _was_answered(error: LLMError | None) -> bool:
    """Say whether a server answered, if only with an error."""
    if isinstance(error, ConfigurationError | LLMTimeoutError | ServiceUnavailableError):
        return error.status_code is not None
    return True


def _look_for_model(found: Checkup, llm: FullLLM, diagnosis: Diagnosis) -> None:
    """Note whether the model is on offer, if that can be told."""
    if not diagnosis.ok:
        found.model_offered = False
    elif (
        isinstance(llm, BaseProvider)
        and type(llm.adapter).missing_model is not Adapter.missing_model
    ):
        found.model_offered = True  # the provider has looked itself, and knows its names better
    elif diagnosis.models:
        found.model_offered = any(_is(llm.model, name) for name in diagnosis.models)
        if not found.model_offered:
            found.problem = f"the server does not offer the model {llm.model!r}"
            names = ", ".join(closest(llm.model, diagnosis.models))
            found.advice.append(f"closest on offer: {names}")


def _is(model: str, name: str) -> bool:
    """Say whether *name* is *model*, or a dated version of it."""
    return name == model or (name.startswith(f"{model}-") and name[len(model) + 1 :][:1].isdigit())


async def _look_up(found: Checkup, llm: BaseProvider) -> None:
    window, price = await llm.context_window(), await llm.price()
    if window is not None:
        found.window, found.window_source = window.tokens, window.source
    elif found.reachable:
        found.advice.append("context window unknown: give ContextPolicy(window=...)")
    if price is not None:
        found.input_price, found.output_price = f"{price.input:f}", f"{price.output:f}"
        found.price_source = price.source
    else:
        cures = "CostTracker(prices={...}), price_name= or free=True"
        found.advice.append(f"price unknown: give it by {cures}")


def _origin(provider: str, source: str | None) -> str | None:
    """Return where a key is from; the factory passes those on that it finds itself."""
    if source != "api_key":
        return source
    for variable in (f"{_prefix(provider)}API_KEY", "BRUNO_LLM_API_KEY"):
        if os.environ.get(variable, "").strip():
            return variable
    return "config"


def _is_set_up(provider: str) -> bool:
    """Say whether the environment has anything to say of *provider*."""
    chosen = os.environ.get("BRUNO_LLM_PROVIDER", "").strip()
    if chosen and canonical(chosen) == canonical(provider):
        return True
    kind = kind_of(provider)
    own = {*getattr(kind, "api_key_env", ()), getattr(kind, "base_url_env", None)}
    return any(
        value.strip() and (name in own or name.startswith(_prefix(provider)))
        for name, value in os.environ.items()
    )


def _prefix(provider: str) -> str:
    return f"BRUNO_LLM_{provider.upper().replace('-', '_')}_"
