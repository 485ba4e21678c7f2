"""Files of prompts: a text, with facts about it in YAML before it."""

import codecs
from collections.abc import Iterator
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.options import did_you_mean

_FACTS = ("name", "version", "system", "untrusted", "defaults", "options")
_WORDS = ("name", "version")
_PLAIN = [f"tag:yaml.org,2002:{kind}" for kind in ("bool", "float", "int", "str", "timestamp")]
"""What YAML may take a name or a version for, such as 1.10 for a number."""
_FENCE = "---"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class PromptFile(NamedTuple):
    """What a file says.

    Attributes:
        place: Its path, for errors.
        facts: What stands between the lines of three hyphens, by name.
        lines: In which line the value of each fact begins.
        text: The text.
        line: In which line that begins.
    """

    place: str
    facts: dict[str, Any]
    lines: dict[str, int]
    text: str
    line: int


def read_prompt_file(path: str | PathLike[str]) -> PromptFile:
    """Read the file at *path*.

    Raises:
        ConfigurationError: It cannot be read, is not text, or its facts are wrong.
    """
    place = str(path)
    text = read_text(Path(path))
    lines = text.split("\n")
    if lines[0].rstrip() != _FENCE:
        return PromptFile(place, {}, {}, text, 1)
    closing = next((at for at, line in enumerate(lines) if at and line.rstrip() == _FENCE), None)
    if closing is None:
        raise ConfigurationError(
            f"{place}, line 1: the line {_FENCE} begins what is known of the prompt, and no such line"
            " ends it: add one before the text"
        )
    facts, places = _facts("\n".join(lines[1:closing]), place)
    return PromptFile(place, facts, places, "\n".join(lines[closing + 1 :]), closing + 2)


def read_text(path: Path) -> str:
    """Return what is in a file, with the line ends of Python."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    try:  # editors of Windows write UTF-16, and mark it
        text = data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ConfigurationError(
            f"{path}, line {line}: not text in UTF-8: convert the file first"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _facts(text: str, place: str) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the facts of a prompt, and the line in which each value begins."""
    facts: dict[str, Any] = {}
    lines: dict[str, int] = {}
    line = 2
    try:
        loader = yaml.SafeLoader(text)
        for name, value in _entries(loader.get_single_node()):
            line = value.start_mark.line + 2
            is_word = name in _WORDS and value.tag in _PLAIN
            facts[name] = value.value if is_word else loader.construct_document(value)
            # the text of a block begins below its mark
            lines[name] = line + (getattr(value, "style", None) in ("|", ">"))
    except (yaml.YAMLError, ValueError) as error:
        if (mark := getattr(error, "problem_mark", None)) is not None:
            line = mark.line + 2
        elif isinstance(error, yaml.reader.ReaderError):
            line += text.count("\n", 0, error.position)
        problem = getattr(error, "problem", None) or getattr(error, "reason", error)
        raise ConfigurationError(f"{place}, line {line}: {problem}") from None
    return facts, lines


def _entries(node: yaml.Node | None) -> Iterator[tuple[str, yaml.Node]]:
    """Yield names and values, if there are no other ones than those that are known."""
    if not isinstance(node, yaml.MappingNode | None):
        problem = "give names with values, such as version: 3"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    seen = set()
    for key, value in [] if node is None else node.value:
        name = str(key.value)
        if name in seen or name not in _FACTS:
            known = "given twice" if name in seen else f"not known{did_you_mean(name, _FACTS)}"
            problem = f"{name} is {known}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
        seen.add(name)
        yield name, value
