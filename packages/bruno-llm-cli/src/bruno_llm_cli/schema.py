"""What `--schema` says: fields in a few words, or a JSON schema."""

import json
from pathlib import Path
from typing import Annotated, Any

from bruno_llm_base.exceptions import InvalidRequestError
from pydantic import Field
from typer import BadParameter
from typing_extensions import TypedDict

from bruno_llm_cli.input import read_file

_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool}


def read_schema(one: str | None, several: str | None) -> Any:
    """Return the type of the answer that `--schema` says, or the list that `--schema-multi` does.

    Either is fields, as "name, age int, bio: in a sentence": a name each, perhaps a type and, after a
    colon, a description, between commas or on lines of their own; or a JSON schema; or the path of a
    file that holds one.

    Raises:
        BadParameter: It is none of these, or both are given.
        InvalidRequestError: The file cannot be read, or holds something else.
    """
    if one is not None and several is not None:
        raise BadParameter("give --schema or --schema-multi, not both")
    kind = _kind(str(several if one is None else one).strip())
    if several is None:
        return kind
    if not isinstance(kind, dict):
        return list[kind]  # type: ignore[valid-type]
    shared = {name: kind.pop(name) for name in ("$defs", "definitions") if name in kind}
    return {"type": "array", "items": kind, **shared}


def _kind(text: str) -> Any:
    if text.startswith("{"):
        return _parsed(text, "--schema", BadParameter)
    if Path(text).suffix == ".json":
        return _parsed(read_file(Path(text)), text)
    lines = map(str.strip, text.split("\n" if "\n" in text else ","))
    fields = [_field(line) for line in lines if line]
    if not fields or len(dict(fields)) < len(fields):
        wrong = "names a field twice" if fields else "has no field"
        raise BadParameter(f"--schema {wrong}: give fields such as 'name, age int'")
    return TypedDict("Answer", dict(fields))  # type: ignore[operator]


def _parsed(text: str, origin: str, wrong: type[Exception] = InvalidRequestError) -> Any:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise wrong(f"{origin} is not JSON: {error}") from None
    if not isinstance(schema, dict):
        raise wrong(f"{origin} is not a JSON schema: give an object with a type")
    return schema


def _field(line: str) -> tuple[str, Any]:
    words, _, description = map(str.strip, line.partition(":"))
    name, *kinds = words.split() or [""]
    kind = _TYPES.get(kinds[0]) if kinds else str
    if not name or kind is None or len(kinds) > 1:
        raise BadParameter(
            f"--schema has the field {line!r}: give a name, perhaps a type ({', '.join(_TYPES)}), and"
            " after a colon a description; or the path of a .json file"
        )
    return name, Annotated[kind, Field(description=description or None)]
