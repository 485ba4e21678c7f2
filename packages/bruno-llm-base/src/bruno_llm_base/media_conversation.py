"""A conversation with its media read, and where the API lets them stand."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from bruno_llm_base.exceptions import (
    MediaError,
    MediaTooLargeError,
    MediaTypeError,
    MediaUnavailableError,
)
from bruno_llm_base.file_formats import sniff
from bruno_llm_base.media_rules import MediaRules
from bruno_llm_base.messages import Conversation, Turn
from bruno_llm_base.parts import Media, Part, Text, ToolResult, state_for


def with_media_ready(
    conversation: Conversation, rules: MediaRules, who: str, read: Callable[[Media], Media]
) -> Conversation:
    """Return *conversation* with its media as *read* returns them, where *rules* let them stand.

    Of what a tool or a model has made, and *who* does not take, it is told in words what it is.

    Raises:
        MediaError: One of them cannot be read, or *who* does not take one of the user's.
    """
    total = 0

    def ready(media: Media) -> Media:
        nonlocal total
        found = read(media)
        if not (_is_own(found, rules) or _is_words(found, rules)):
            rules.check(found, who)
        if rules.max_total_bytes is not None and total + found.size > rules.max_total_bytes:
            raise MediaTooLargeError(
                f"the files of the request have more than the {rules.max_total_bytes:,} bytes that"
                f" {who} takes in one, with {found.label}: send fewer, or smaller ones",
                media=found.label,
            )
        total += found.size
        return found

    def ready_part(part: Part) -> Part:
        return ready(part) if isinstance(part, Media) else part

    def ready_or_told(part: Part) -> Part:
        if isinstance(part, Media):
            try:
                return ready(part)
            except (MediaTooLargeError, MediaTypeError):
                return Text(part.told)
        if isinstance(part, ToolResult) and part.media:
            told = replace(part, parts=cast(Any, tuple(map(ready_or_told, part.parts))))
            return told if told.media else replace(part, parts=())  # its content tells the same
        return part

    turns = [
        Turn(role, tuple(map(ready_part if role == "user" else ready_or_told, parts)))
        for role, parts in conversation.turns
    ]
    moved = [
        Turn(role, tuple([_worded(part, rules) for part in parts]))
        for role, parts in _moved(turns, rules)
    ]
    return Conversation(conversation.system, tuple(moved))


def _is_own(media: Media, rules: MediaRules) -> bool:
    return bool(rules.own_answers and state_for(media, rules.own_answers))


def _is_words(media: Media, rules: MediaRules) -> bool:
    """Whether *media* is a text that the API takes as words alone."""
    if media.kind != "document" or media.data is None or rules.reads(media):
        return False
    return sniff(media.data) == "text/plain"


def _worded(part: Part, rules: MediaRules) -> Part:
    """Return *part* with documents as words where the API takes these alone."""
    if isinstance(part, ToolResult):
        return replace(part, parts=tuple([_words_of(each, rules) for each in part.parts]))
    return _words_of(part, rules) if isinstance(part, Media) else part


def _words_of(part: Text | Media, rules: MediaRules) -> Text | Media:
    if isinstance(part, Text) or not _is_words(part, rules):
        return part
    name = part.label.replace('"', "'")
    return Text(f'<document name="{name}">\n{part.text}\n</document>\n\n')


def _moved(turns: list[Turn], rules: MediaRules) -> list[Turn]:
    """Return *turns* with the media, where they may not stand, at the beginning of the next user's turn."""
    moved: list[Turn] = []
    waiting: list[Part] = []
    for turn in turns:
        role, parts = turn
        if waiting and role != "tool":  # results stand right behind their calls
            if role == "user":
                parts = (*waiting, *parts)
            else:
                moved.append(Turn("user", tuple(waiting)))
            waiting = []
        if role == "assistant" and not rules.in_answers:
            taken = [p for p in parts if isinstance(p, Media) and not _is_own(p, rules)]
            parts = tuple([part for part in parts if part not in taken])
            waiting += [Text("What the assistant made:"), *taken] if taken else []
        elif role == "tool" and not rules.in_results:
            results = [part for part in parts if isinstance(part, ToolResult) and part.media]
            waiting += chain.from_iterable(map(_shown_by_user, results))
            parts = tuple([replace(p, parts=()) if p in results else p for p in parts])
        if parts and moved and moved[-1].role == role:  # nothing is left of what stood between them
            parts = (*moved.pop().parts, *parts)
        if parts:
            moved.append(Turn(role, parts))
    return [*moved, Turn("user", tuple(waiting))] if waiting else moved


def _shown_by_user(result: ToolResult) -> list[Part]:
    return [Text(f"What the tool {result.name} returned:"), *result.media]


_CURES: dict[type[MediaError], str] = {
    MediaTooLargeError: "make it smaller, or split it",
    MediaTypeError: "convert it, or use a model that reads it",
    MediaUnavailableError: "check that it is there for anyone, or give the bytes",
}


def advice_on_media(error: MediaError, conversation: Conversation | None, body: Any) -> str:
    """Return which media a server means, and what may be done; *error* gets their names.

    Those are the ones in the part of *body* that the server complains about, or else all.
    """
    place = body
    for name in re.findall(r"\w+", error.param or ""):
        if isinstance(place, dict) and name in place:
            place = place[name]
        elif isinstance(place, list) and name.isdecimal() and int(name) < len(place):
            place = place[int(name)]
    media = [] if conversation is None else conversation.media
    meant = [each for each in media if _holds(place, each.encoded or each.url or str(each.id))]
    names = list(dict.fromkeys([each.label for each in meant or media]))
    error.media = ", ".join(names[:5]) or None
    cure = next(cure for kind, cure in _CURES.items() if isinstance(error, kind))
    return f"this is about {error.media}: {cure}" if names else cure


def _holds(value: Any, content: str) -> bool:
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return any(_holds(each, content) for each in inner)
    return isinstance(value, str) and content in value
