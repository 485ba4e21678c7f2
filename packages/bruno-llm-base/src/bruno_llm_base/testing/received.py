"""What a fake server remembers of a request."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from bruno_llm_base.types import Json

__all__ = ["Received"]


@dataclass(slots=True)
class Received:
    """A request that arrived.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        query: The query's parameters.
        headers: The headers, by lower-case name.
        body: The JSON that was sent; empty if there was none.
        arrived_at: When its headers arrived, by `time.monotonic()`.
        left: Set when the client leaves before the answer is complete.
        left_at: When that was, by `time.monotonic()`.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Json
    arrived_at: float = field(default_factory=time.monotonic)
    left: threading.Event = field(default_factory=threading.Event)
    left_at: float | None = None

    def leave(self) -> None:
        """Note that the client has left."""
        self.left_at = time.monotonic()
        self.left.set()
