"""What calls take by name, for type checkers: they refuse what is misspelt, and complete the rest.

A field of the vendor's own is taken under its own name too; in `options`, as when a provider is built,
type checkers let it pass.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from typing_extensions import TypedDict

from bruno_llm_base.messages import Attachments

ReasoningLevel = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | int


class OptionKeywords(TypedDict, total=False):
    """The options of every call, beside its temperature and `max_tokens`.

    Attributes:
        model: The model, if not the provider's.
        top_p: Nucleus sampling, above 0 to 1.
        stop: A text that ends the answer; a list of texts for several.
        seed: A number that makes sampling repeatable, where the vendor can.
        reasoning: How much the model thinks, or a number of tokens.
        cache: Whether, or how long, the server keeps what requests have in common.
        tool_choice: "auto", "none", "required", the name of the tool to call, or the vendor's own; of
            a loop of tools, for its first request alone.
        parallel_tool_calls: Whether several tools may be called at once.
        refresh: Whether a `CachedLLM` asks again for what it has an answer to, which is replaced.
        options: The vendor's own request fields, sent as they are.
    """

    model: str | None
    top_p: float | None
    stop: str | Sequence[str] | None
    seed: int | None
    reasoning: ReasoningLevel | None
    cache: bool | Literal["5m", "30m", "1h", "12h"] | None
    tool_choice: str | Mapping[str, Any] | None
    parallel_tool_calls: bool | None
    refresh: bool
    options: Mapping[str, Any] | None


class CallKeywords(OptionKeywords, total=False):
    """What one call takes.

    Attributes:
        prompt: One question, instead of messages.
        attachments: Pictures, sounds and documents that go with the last question: paths, addresses,
            `Media`.
        tools: Functions, `Tool`s, abilities, the vendor's own dicts.
    """

    prompt: str | None
    attachments: Attachments
    tools: Sequence[Any] | None


class RequestKeywords(CallKeywords, total=False):
    """What one call takes that takes no option by its place.

    Attributes:
        temperature: Sampling temperature, 0 to 2.
        max_tokens: The most tokens of an answer, reasoning included.
    """

    temperature: float | None
    max_tokens: int | None


class LoopKeywords(OptionKeywords, total=False):
    """What each request takes of those that run tools.

    Attributes:
        temperature: Sampling temperature, 0 to 2.
        max_tokens: The most tokens of an answer, reasoning included.
        output: The type that the last answer is to fit.
    """

    temperature: float | None
    max_tokens: int | None
    output: Any


class RowKeywords(LoopKeywords, total=False):
    """What the requests of many rows take.

    Attributes:
        tools: Functions, `Tool`s, abilities, the vendor's own dicts.
    """

    tools: Sequence[Any] | None


class MapKeywords(RowKeywords, total=False):
    """What the requests of a map take.

    Attributes:
        attachments: Returns what goes with a row.
    """

    attachments: Callable[[Any], Attachments]
