"""What is installed, and what its servers offer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from bruno_core.interfaces import LLMInterface
from bruno_llm_base.discovery import ProviderInfo, split_name
from bruno_llm_base.exceptions import LLMError
from bruno_llm_base.parts import Json
from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.wrappers import FullLLM, in_full

from bruno_llm_cli.choice import build_for_a_look, build_unasked, is_set_up, usable_providers
from bruno_llm_cli.output import say, show_document, show_table
from bruno_llm_cli.shell_words import in_shell_words


def show_providers(infos: Sequence[ProviderInfo], *, as_json: bool) -> None:
    """Print what is installed."""
    if as_json:
        show_document({"providers": list(map(_described, infos))})
        return
    alike: dict[tuple[str, str], list[str]] = {}  # of one distribution, which may bring many
    for info in infos:
        facts = info.error or ", ".join(_able(info)), f"{info.distribution} {info.version}"
        alike.setdefault(facts, []).append(info.name)
    rows = [(", ".join(names), *facts) for facts, names in alike.items()]
    show_table(("providers", "capabilities", "distribution"), rows)
    if not infos:
        say("no provider is installed: pip install bruno-llm")


def _described(info: ProviderInfo) -> Json:
    return {
        "provider": info.name,
        "distribution": info.distribution,
        "version": info.version,
        "capabilities": _able(info),
        "error": info.error,
    }


def _able(info: ProviderInfo) -> list[str]:
    return sorted(info.capabilities)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The models of one provider.

    Attributes:
        provider: Its name.
        models: Their names and context windows in tokens, None where they are unknown.
        error: Why there are none.
        set_up: Whether the user has named it, or the environment has.
    """

    provider: str
    models: Sequence[tuple[str, int | None]] = ()
    error: str | None = None
    set_up: bool = True


async def offers(named: str | None) -> list[Offer]:
    """Ask the *named* provider for its models, or all that talk to a model, all at once."""
    if named is not None:
        name, _ = split_name(named)
        return [await _offer(name, partial(build_for_a_look, named))]
    return await asyncio.gather(
        *(
            _offer(
                info.name,
                partial(build_unasked, info.name),
                set_up=info.error is not None or is_set_up(info.name),
            )
            for info in usable_providers()
        )
    )


async def _offer(name: str, build: Callable[[], LLMInterface], *, set_up: bool = True) -> Offer:
    no_offer = partial(Offer, provider=name, set_up=set_up)
    try:
        llm = in_full(build())
    except LLMError as error:
        return no_offer(error=in_shell_words(error.description))
    except Exception as error:  # noqa: BLE001 - a third party's class may raise anything
        return no_offer(error=f"it cannot be built: {type(error).__name__}")
    try:
        # once and in silence, where perhaps no server runs
        if not set_up and (silent := (await llm.diagnose()).error):
            return no_offer(error=str(silent))
        models = [(model, await _window(llm, model)) for model in await llm.list_models()]
        return Offer(provider=name, models=sorted(models))
    except LLMError as error:
        return no_offer(error=str(error))
    except Exception as error:  # noqa: BLE001 - as above
        return no_offer(error=f"its models cannot be listed: {type(error).__name__}")
    finally:
        await llm.aclose()


async def _window(llm: FullLLM, model: str) -> int | None:
    window = await llm.context_window(model) if isinstance(llm, BaseProvider) else None
    return None if window is None else window.tokens


def show_offers(found: Sequence[Offer], *, as_json: bool) -> None:
    """Print the models, and say on stderr who has told none."""
    rows = [(offer.provider, *model) for offer in found for model in offer.models]
    if as_json:
        models: list[dict[str, Any]] = [
            {"provider": provider, "model": model, "context_window": window}
            for provider, model, window in rows
        ]
        errors = [{"provider": o.provider, "error": o.error} for o in found if o.error is not None]
        show_document({"models": models, "errors": errors})
        return
    cells = [(p, model, "-" if window is None else f"{window:,}") for p, model, window in rows]
    show_table(("provider", "model", "window"), cells, right=("window",))
    for offer in found:
        if offer.error is not None and offer.set_up:
            say(f"{offer.provider}: {offer.error}")
    if others := [offer.provider for offer in found if not offer.set_up]:
        say(f"not set up: {', '.join(others)}; `bruno-llm models NAME` says what one of them needs")
