"""JSON that fits a schema, and media, for fakes that were told nothing."""

import json
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from bruno_llm_base.parts import Json, Media
from bruno_llm_base.schemas import inlined

__all__ = ["asked_schema", "sample_media", "sample_text"]

_PLACES = (
    ("response_format", "json_schema", "schema"),
    ("text", "format", "schema"),
    ("output_config", "format", "schema"),
    ("generationConfig", "responseJsonSchema"),
    ("generationConfig", "responseSchema"),
    ("format",),
)
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "time": "12:00:00Z",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
_DOT = (  # a PNG of one pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
)
_SIMPLE: dict[str, Any] = {"boolean": True, "null": None}


def asked_schema(body: Json) -> Json | None:
    """Return the schema that the answer to *body* is to fit; None if there is none."""
    for place in _PLACES:
        found: Any = body
        for step in place:
            found = found.get(step) if isinstance(found, dict) else None
        if isinstance(found, dict):
            return found
    return None


def sample_text(schema: Json) -> str:
    """Return JSON that fits *schema*: the first choice of each, a list of one, all properties."""
    try:
        whole = inlined(schema)
    except ValueError:  # it refers to itself
        return "{}"
    return json.dumps(_sample(whole))


def _sample(schema: Json) -> Any:  # noqa: PLR0911 - one for each kind
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for name in ("anyOf", "any_of", "oneOf", "allOf"):  # google-genai has a spelling of its own
        if name in schema:
            return _sample(schema[name][0])
    kind = schema.get("type")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()  # Google writes "STRING"
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "array":
        items = schema.get("items")
        return [_sample(items if isinstance(items, dict) else {})] * schema.get("minItems", 1)
    if kind == "object" or "properties" in schema:
        return {name: _sample(inner) for name, inner in schema.get("properties", {}).items()}
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    text: str = _FORMATS.get(schema.get("format", ""), "text")
    return text[: schema.get("maxLength", len(text))].ljust(schema.get("minLength", 0), "t")


def sample_media(modalities: Iterable[str]) -> tuple[Media, ...]:
    """Return a picture, and a sound, where they are among the *modalities* that were asked for."""
    known = {
        "IMAGE": Media(data=b64decode(_DOT), type="image/png"),
        "AUDIO": Media(data=b"\0\0" * 240, type="audio/L16;codec=pcm;rate=24000"),
    }
    return tuple([known[name] for name in modalities if name in known])
