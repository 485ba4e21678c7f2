"""What media an API takes."""

from dataclasses import dataclass

from bruno_llm_base.exceptions import MediaTooLargeError, MediaTypeError
from bruno_llm_base.parts import Media

_FAMILIES = {"image": "image/*", "audio": "audio/*", "video": "video/*"}

TEXTS = ("text/*", *(f"application/{name}" for name in ("json", "xml", "yaml", "javascript")))
"""The types of documents that are words, whose `Media.text` can be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaRules:
    """What media an API takes.

    Attributes:
        types: MIME types that the model reads, such as "image/png" or "text/*". A document of text
            that is not among them goes out as words.
        url_types: Those of which the vendor fetches addresses.
        ids: Whether it takes the ids of files that were uploaded there.
        in_results: Whether results of tools may hold media; else a user's turn behind them does.
        in_answers: Whether the assistant's turns may hold media; else the next user's turn does.
        own_answers: The API of which media that it made, by their state, stay there nevertheless.
        max_bytes: The most bytes of one of them, before they are encoded; None for any.
        max_total_bytes: The most bytes of all in one request.
    """

    types: tuple[str, ...] = ()
    url_types: tuple[str, ...] = ()
    ids: bool = False
    in_results: bool = False
    in_answers: bool = False
    own_answers: str = ""
    max_bytes: int | None = None
    max_total_bytes: int | None = None

    def reads(self, media: Media) -> bool:
        """Whether the model reads what is of the type of *media*."""
        return _is_among(media.type or _FAMILIES[media.kind], self.types)

    def check(self, media: Media, who: str) -> None:
        """Raise a `MediaError` unless *who*, a provider and its model, can be sent *media*."""
        if media.id is not None:
            if not self.ids:
                raise MediaTypeError(
                    f"{who} takes no ids of uploaded files: give path= or data= for {media.label}",
                    media=media.label,
                )
            return
        kind = media.type or _FAMILIES[media.kind]
        if not self.reads(media):
            reads = f"reads {', '.join(self.types)}" if self.types else "reads text only"
            raise MediaTypeError(
                f"{who} does not read {media.label}, which is {kind}: it {reads}; convert it, or use"
                " another model",
                media=media.label,
            )
        if media.url is not None and not _is_among(kind, self.url_types):
            raise MediaTypeError(
                f"{who} does not fetch {media.label}: download it, and give path= or data=",
                media=media.label,
            )
        if self.max_bytes is not None and media.size > self.max_bytes:
            raise MediaTooLargeError(
                f"{media.label} has {media.size:,} bytes, and {who} takes {self.max_bytes:,}: make it"
                " smaller",
                media=media.label,
            )


def _is_among(kind: str, types: tuple[str, ...]) -> bool:
    family = kind.partition("/")[0]
    if kind.endswith("/*"):  # all that is known of it
        return any(each.partition("/")[0] == family for each in types)
    return kind in types or f"{family}/*" in types
