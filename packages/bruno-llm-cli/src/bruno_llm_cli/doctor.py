"""Whether a provider works, and if not, why: found out without cost, within seconds."""

import asyncio
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from bruno_core.interfaces import LLMInterface
from bruno_llm_base.adapter import Adapter
from bruno_llm_base.discovery import (
    ProviderInfo,
    canonical,
    installed,
    kind_of,
    protocol_of,
    split_name,
)
from bruno_llm_base.events import Diagnosis
from bruno_llm_base.exceptions import (
    AuthenticationError,
    ConfigurationError,
    LLMError,
    LLMTimeoutError,
    ServiceUnavailableError,
)
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.options import close_matches
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.sources import from_config, from_file, provider_of
from bruno_llm_base.wrappers import FullLLM, in_full

from bruno_llm_cli.choice import (
    NO_MODEL,
    build_for_a_look,
    build_unasked,
    is_set_up,
    prefix_of,
    usable_providers,
)
from bruno_llm_cli.output import console, plain
from bruno_llm_cli.shell_words import in_shell_words

Status = Literal["ok", "failed", "not set up"]
_STYLES = {"ok": "green", "failed": "red", "not set up": "yellow"}
_NO_ANSWER = (ConfigurationError, LLMTimeoutError, ServiceUnavailableError)


@dataclass(slots=True, kw_only=True)
class Checkup:
    """What was found out about one provider; docs/cli.md explains the fields. None is unknown."""

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


async def check_providers(names: Sequence[str], config: Path | None) -> list[Checkup]:
    """Check the named providers and that of a file, or else all that talk to a model, all at once.

    Raises:
        ProviderNotFoundError: One of them is not installed.
        ConfigurationError: The file cannot be used.
    """
    named = bool(names or config)
    if named:
        asked = [(_installed(name), partial(build_for_a_look, name)) for name in names]
    else:
        asked = [(info, partial(build_unasked, info.name)) for info in usable_providers()]
    if config is not None:
        asked.insert(0, (_of_file(config), partial(LLMFactory.from_file, config)))
    return await asyncio.gather(*(_check(info, build, named=named) for info, build in asked))


def _installed(name: str) -> ProviderInfo:
    known = {info.name.lower(): info for info in installed()}
    provider = canonical(split_name(name)[0])
    if provider not in known:
        kind_of(provider)  # says what to install
    return known[provider]


def _of_file(config: Path) -> ProviderInfo:
    given = from_config(from_file(config))
    name = canonical(provider_of(given))
    own = given.get("vendors", {}).get(name)
    return _installed(name) if own is None else replace(_installed(protocol_of(own)), name=name)


def works(found: Iterable[Checkup]) -> bool:
    """Say whether all that are set up can be used, and at least one is."""
    states = {checkup.status for checkup in found}
    return "ok" in states and "failed" not in states


async def _check(info: ProviderInfo, build: Callable[[], LLMInterface], *, named: bool) -> Checkup:
    found = Checkup(
        provider=info.name, distribution=info.distribution, version=info.version, advice=[]
    )
    if info.error is not None:
        found.status, found.problem = "failed", info.error
        return found
    try:
        llm = in_full(build())
    except LLMError as error:
        found.problem = in_shell_words(error.description)
    except Exception as error:  # noqa: BLE001 - a third party's class may raise anything
        found.problem = f"it cannot be built: {type(error).__name__}"
    else:
        try:
            await _examine(found, llm)
        finally:
            await llm.aclose()
    if found.problem is not None:
        found.status = "failed" if named or is_set_up(info.name) else "not set up"
    return found


async def _examine(found: Checkup, llm: FullLLM) -> None:
    found.model = None if llm.model in ("", NO_MODEL) else llm.model
    if isinstance(llm, BaseProvider):
        found.address = llm.access.address
        found.key = _origin(found.provider, llm.access.key_source)
    diagnosis = await llm.diagnose()
    error = diagnosis.error
    if diagnosis.ok and diagnosis.reason:
        found.advice.append(f"{diagnosis.reason}: only a request can show that it works")
    else:  # a server that answers with an error answers
        found.reachable = not isinstance(error, _NO_ANSWER) or error.status_code is not None
    if not diagnosis.ok:
        found.problem = error.description if error else diagnosis.reason
    if isinstance(error, AuthenticationError):
        variables = " or ".join(getattr(llm, "api_key_env", ())) or "a key"
        found.advice.append(f"replace what is in {found.key}" if found.key else f"set {variables}")
    if error is None:
        _look_for_model(found, llm, diagnosis)
    if isinstance(llm, BaseProvider):
        await _look_up(found, llm)


def _look_for_model(found: Checkup, llm: FullLLM, diagnosis: Diagnosis) -> None:
    """Note whether the model is on offer, if that can be told."""
    if not diagnosis.ok:
        found.model_offered = False
    elif found.model is None and diagnosis.models:
        found.advice.append(f"name a model, such as {found.provider}/{diagnosis.models[0]}")
    elif (
        isinstance(llm, BaseProvider)
        and type(llm.adapter).missing_model is not Adapter.missing_model
    ):
        found.model_offered = True  # the provider has looked itself, and knows its names better
    elif diagnosis.models:
        found.model_offered = any(_is(llm.model, name) for name in diagnosis.models)
        if not found.model_offered:
            found.problem = f"the server does not offer the model {llm.model!r}"
            names = ", ".join(close_matches(llm.model, diagnosis.models, 5, 0.0))
            found.advice.append(f"closest on offer: {names}")


def _is(model: str, name: str) -> bool:
    """Say whether *name* is *model*, or a dated version of it."""
    return name == model or (name.startswith(f"{model}-") and name[len(model) + 1 :][:1].isdigit())


async def _look_up(found: Checkup, llm: BaseProvider) -> None:
    window, price = await llm.context_window(), await llm.price()
    if found.model is None and price is None:
        return
    if window is not None:
        found.window, found.window_source = window.tokens, window.source
    elif found.reachable and found.model:
        found.advice.append("context window unknown: only the server says when a text is too long")
    if price is not None:
        found.input_price, found.output_price = f"{price.input:f}", f"{price.output:f}"
        found.price_source = price.source
    else:
        own = prefix_of(found.provider)
        found.advice.append(
            f"price unknown: {own}PRICE_NAME may name the vendor whose prices hold, and {own}FREE=true"
            " says that it costs nothing"
        )


def _origin(provider: str, source: str | None) -> str | None:
    """Return where a key is from; the factory passes those on that it finds itself."""
    if source != "api_key":
        return source
    for variable in (f"{prefix_of(provider)}API_KEY", "BRUNO_LLM_API_KEY"):
        if os.environ.get(variable, "").strip():
            return variable
    return "config"


def show(found: Sequence[Checkup]) -> None:
    """Print what was *found*: a small table for each provider that is set up, with what may be done."""
    from rich.table import Table  # slow to load
    from rich.text import Text

    out = console()
    others = [checkup.provider for checkup in found if checkup.status == "not set up"]
    for place, checkup in enumerate(c for c in found if c.status != "not set up"):
        if place:
            out.print()
        name, brought_by = plain(checkup.provider), f"{checkup.distribution} {checkup.version}"
        status = (checkup.status, _STYLES[checkup.status])
        out.print(Text.assemble((name, "bold"), ": ", status, f" ({plain(brought_by)})"))
        table = Table.grid(padding=(0, 1))
        table.add_column(min_width=9)
        table.add_column(overflow="fold")
        for title, fact in _facts(checkup):
            table.add_row(f"  {title}", Text(plain(fact)))
        out.print(table)
    if others:
        if len(others) < len(found):
            out.print()
        out.print(Text(plain(f"not set up: {', '.join(others)}")))
        out.print(Text("bruno-llm doctor NAME says what one of them needs"))


def _facts(found: Checkup) -> Iterator[tuple[str, str]]:
    """Yield what is known, and then what is wrong."""
    if found.reachable is not None or found.address is not None:
        yield "key", found.key or "none"
        answers = {True: " answers", False: " does not answer", None: ", not asked"}
        yield "server", f"{found.address or 'it'}{answers[found.reachable]}"
        offered = {True: ", on offer", False: ", not on offer", None: ""}
        yield "model", f"{found.model or 'none named'}{offered[found.model_offered]}"
    if found.window is not None:
        yield "window", f"{found.window:,} tokens (says {found.window_source})"
    if found.input_price == found.output_price == "0":
        yield "price", f"none: {found.price_source}"
    elif found.input_price is not None:
        prices = f"${found.input_price} in, ${found.output_price} out per million tokens"
        yield "price", f"{prices} (says {found.price_source})"
    if found.problem is not None:
        yield "problem", found.problem
    for advice in found.advice:
        yield "advice", advice
