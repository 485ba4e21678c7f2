"""The vendors' APIs on a loopback socket: one module each, which is named as its provider."""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bruno_llm_testing.server import FakeServer

__all__ = ["FAKES", "fake_of"]

FAKES = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
"""The providers whose API has a fake."""


def fake_of(name: str) -> "type[FakeServer]":
    """Return the class of the fake server of the provider *name*."""
    module = import_module(f"{__name__}.{name}")
    (fake,) = module.__all__
    kind: type[FakeServer] = getattr(module, fake)
    return kind
