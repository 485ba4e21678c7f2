"""How many tokens a text takes."""

from pathlib import Path

from bruno_llm_base.provider import BaseProvider
from bruno_llm_base.tokens import TokenCount
from bruno_llm_base.wrappers import FullLLM

from bruno_llm_cli.choice import chosen
from bruno_llm_cli.output import show_document, write

__all__ = ["by_vendor", "here", "offline", "show_count"]

_ANY = 0.5  # nobody knows what somebody else's class counts by


def offline(provider: str | None, model: str | None, config: Path | None) -> FullLLM:
    """Return a model for counting alone: nothing is sent, so it needs no key."""
    return chosen(provider, model, config, api_key="none")


def here(llm: FullLLM, text: str) -> TokenCount:
    """Count *text* without asking anyone."""
    if isinstance(llm, BaseProvider):
        return llm.count_text(text)
    return TokenCount(
        tokens=llm.get_token_count(text),
        exact=False,
        source=f"{llm.name}, get_token_count",
        error=_ANY,
    )


async def by_vendor(llm: FullLLM, text: str) -> TokenCount:
    """Count a request that consists of *text*, where the vendor counts; else estimate it."""
    try:
        return await llm.count_tokens(prompt=text)
    finally:
        await llm.aclose()


def show_count(llm: FullLLM, count: TokenCount, *, as_json: bool) -> None:
    """Print *count*."""
    if as_json:
        document = {
            "tokens": count.tokens,
            "exact": count.exact,
            "error": count.error,
            "source": count.source,
            "provider": llm.name,
            "model": llm.model,
        }
        show_document(document)
        return
    doubt = "exact" if count.exact else f"estimated, to within {count.error:.0%}"
    write(f"{count.tokens} tokens ({doubt}; {count.source})\n")
