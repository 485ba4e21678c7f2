"""What OpenAI's models take: which reason, and through which of the two APIs they are asked."""

import re
from typing import Any

from bruno_llm_base import Json
from bruno_llm_base.parts import object_in
from bruno_llm_base.reasoning import LEVELS, snapped
from bruno_llm_base.values import is_whole

# Reasoning models take sampling options only while they do not reason; the older ones always do.
_ALWAYS_REASONS = re.compile(r"o\d|gpt-5(?!\.|-chat)|gpt-[\d.]+-pro|gpt-6-astra|gpt-6\.1-sol")
_REASONS_BY_DEFAULT = re.compile(r"gpt-5\.[5-9]|gpt-[6-9]")
_REASONS_ON_DEMAND = re.compile(r"gpt-5\.[1-4]")

# The efforts that models take; the first that fits is the model's. Newer ones take what the last do.
_FROM_LOW = ("low", "medium", "high", "xhigh", "max")
_EFFORTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"o\d", ("low", "medium", "high")),
    (r"gpt-5-pro", ("high",)),
    (r"gpt-[\d.]+-chat", ("medium",)),
    (r"gpt-[\d.]+(-\w+)?-pro", ("medium", "high", "xhigh")),
    (r"gpt-5(?!\.)", ("minimal", "low", "medium", "high")),
    (r"gpt-5\.1(?!\d)(?!-codex-max)", ("none", "low", "medium", "high")),
    (r"gpt-5\.[1-5](?!\d)", ("none", "low", "medium", "high", "xhigh")),
    (r"gpt-6-astra|gpt-6\.1-sol", _FROM_LOW),
    (r"gpt-5\.|gpt-[6-9]|gpt-\d\d", ("none", *_FROM_LOW)),
)

# `ResponsesModel` in openai.types.shared, and the models of sound and search, which Responses lacks.
_ONLY_RESPONSES = re.compile(
    r"o\d-pro|o\d(-mini)?-deep-research|computer-use|gpt-5-codex|gpt-5\.1-codex-max|gpt-5-pro"
    r"|gpt-5\.[5-9]-pro|gpt-daybreak|gpt-[\d.]+-cyber|gpt-([\d.]+-)?rosalind|gpt-6\.2-astra-law"
)
_ONLY_CHAT = re.compile(r"gpt-(4o-)?(mini-)?(audio|search)")

# Models that are told to read texts alone, and those that are known and hear nothing.
_BLIND = re.compile(
    r"(ft:)?(gpt-3\.5|gpt-4(-32k)?(-\d{4})?(-preview)?$|gpt-4-turbo-preview|o[13]-mini|o1-preview"
    r"|gpt-oss|gpt-(4o-)?(mini-)?audio|davinci|babbage)"
)
_DEAF = re.compile(r"(ft:)?(gpt-[3-6](?!.*audio)|o\d)")

CACHE_BREAKPOINT: Json = {"prompt_cache_breakpoint": {"mode": "explicit"}}
"""In a piece of a message: all up to its end is to be kept."""

_TAKES_MARKS = re.compile(r"gpt-5\.([6-9]|\d\d)|gpt-[6-9]|gpt-\d\d")

CHAT_FIELDS = frozenset(
    (
        *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("modalities", "n", "prediction", "presence_penalty", "seed", "stop"),
        "web_search_options",
    )
)
"""What only Chat Completions has, and Responses has no other word for."""

RESPONSES_FIELDS = frozenset(
    (
        *("access_programs", "background", "background_options", "context_management"),
        *("conversation", "image", "include", "instructions", "max_output_tokens"),
        *("max_tool_calls", "previous_response_id", "prompt", "reasoning", "text", "truncation"),
    )
)
"""What only Responses has."""


def can_reason(model: str) -> bool:
    """Whether *model* reasons, always or on demand."""
    return any(p.match(model) for p in (_ALWAYS_REASONS, _REASONS_BY_DEFAULT, _REASONS_ON_DEMAND))


def sees(model: str) -> bool:
    """Whether *model* may read pictures; one that is not known may."""
    return _BLIND.match(model) is None


def hears(model: str) -> bool:
    """Whether *model* may hear; one that is not known may."""
    return _DEAF.match(model) is None


def takes_marks(model: str) -> bool:
    """Whether *model* can be told what of a request to keep, and how long."""
    return _TAKES_MARKS.match(model) is not None


def efforts(model: str) -> tuple[str, ...]:
    """Return how much *model* can be told to reason, from little to much; nothing if it cannot be."""
    return next((found for pattern, found in _EFFORTS if re.match(pattern, model)), ())


def reasons(model: str, options: Json) -> bool:
    """Whether *model* reasons with these *options*, of either API."""
    asked: Any = options.get("reasoning")
    nested = object_in(asked).get("effort")
    is_ours = asked in LEVELS or is_whole(asked, least=1)  # else it is the server's to refuse
    if is_ours and efforts(model):
        nested = snapped(asked, efforts(model))
    effort = options.get("reasoning_effort", options.get("reasoning.effort", nested))
    return bool(
        _ALWAYS_REASONS.match(model)
        or (_REASONS_BY_DEFAULT.match(model) and effort != "none")
        or (_REASONS_ON_DEMAND.match(model) and effort not in (None, "none"))
    )


def only_responses(model: str) -> bool:
    """Whether *model* can be asked through Responses only."""
    return _ONLY_RESPONSES.match(model) is not None


def needs_chat(model: str, options: Json) -> bool:
    """Whether a request can, and must, go through Chat Completions.

    There, tools are refused to a model that reasons, and so is what only Responses has.
    """
    if _ONLY_CHAT.match(model):
        return True
    names = {name.partition(".")[0] for name, value in options.items() if value is not None}
    if not isinstance(options.get("reasoning"), dict):
        names.discard("reasoning")  # the portable option
    return (
        not names.isdisjoint(CHAT_FIELDS)
        and names.isdisjoint(RESPONSES_FIELDS)
        and not only_responses(model)
        and not (options.get("tools") and reasons(model, options))
    )
