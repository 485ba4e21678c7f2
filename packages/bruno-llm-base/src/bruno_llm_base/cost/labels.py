"""What requests are for, in the application's own words."""

from dataclasses import dataclass

from bruno_llm_base.exceptions import InvalidRequestError
from bruno_llm_base.values import is_json, shown

__all__ = ["NO_LABELS", "Labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What a request is for.

    Attributes:
        tag: What it is for, such as "summaries".
        user: For whom it is.
    """

    tag: str | None = None
    user: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("tag", "user"):
            label = getattr(self, name)
            if label is not None and not (isinstance(label, str) and label and is_json(label)):
                raise InvalidRequestError(
                    f"{name} is {shown(label)}: give a text, not an empty one"
                )

    def changed(self, *, tag: str | None, user: str | None) -> "Labels":
        """Return these labels with those that are given instead."""
        return Labels(
            tag=self.tag if tag is None else tag, user=self.user if user is None else user
        )


NO_LABELS = Labels()
