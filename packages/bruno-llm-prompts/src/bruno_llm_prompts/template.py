"""One text with variables in it: Jinja2 in its sandbox, and errors that tell the line."""

import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from jinja2 import StrictUndefined, TemplateSyntaxError, Undefined, meta, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.sandbox import ImmutableSandboxedEnvironment

_OTHER_FILES = (nodes.Extends, nodes.FromImport, nodes.Import, nodes.Include)
_GLOBALS = ("namespace", "range")  # of Jinja2's own; its other ones are for web pages


class Template:
    """A text with variables in it.

    Attributes:
        text: The text.
        place: Where it stands, for errors.
        variables: The names of what it wants to know.
    """

    def __init__(self, text: str, place: str, line: int = 1) -> None:
        """Read *text*, which begins in *line* of *place*.

        Raises:
            ConfigurationError: It is not a text, or not a template of Jinja2.
        """
        if not isinstance(text, str):
            raise ConfigurationError(f"{place} is a {type(text).__name__}: give a text")
        self.text, self.place, self._line = text, place, line
        try:
            tree = _ENVIRONMENT.parse(text)
            code = _ENVIRONMENT.compile(text, filename=place)
        except TemplateSyntaxError as error:
            raise ConfigurationError(f"{self._at(error.lineno)}: {error.message}") from None
        for node in tree.find_all(_OTHER_FILES):
            raise ConfigurationError(
                f"{self._at(node.lineno)}: a template cannot take in others: join the texts in Python"
            )
        self.variables = frozenset(meta.find_undeclared_variables(tree))
        self._template = JinjaTemplate.from_code(_ENVIRONMENT, code, _ENVIRONMENT.globals)

    def __reduce__(self) -> tuple[Any, ...]:
        return Template, (self.text, self.place, self._line)

    def render(self, values: Mapping[str, Any]) -> str:
        """Return the text with *values* in the places of its variables.

        Raises:
            InvalidRequestError: A value has no such attribute, cannot be written, or is used in a way
                that the sandbox forbids.
        """
        try:
            return self._template.render(values)
        except Exception as error:
            line = _line_of(error.__traceback__, self.place)
            raise InvalidRequestError(f"{self._at(line)}: {error}") from error

    def _at(self, line: int) -> str:
        return f"{self.place}, line {line + self._line - 1}"


def _line_of(traceback: TracebackType | None, place: str) -> int:
    """Return the line of the template that was the last to run."""
    line = 1
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == place:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _written(value: Any) -> Any:
    """Return what stands in the text for *value*, if it is worth writing."""
    if value is None or (callable(value) and not isinstance(value, Undefined)):
        what = "None" if value is None else "a function"
        raise ValueError(
            f"the value is {what}: give a text, or write what stands for it, as {{{{ x or '-' }}}}"
        )
    return value


def _json(value: Any, indent: int | None = None) -> str:
    """Return *value* as JSON for models, which Jinja2 writes for web pages."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _make_environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_written
    )
    known: dict[str, Callable[..., Any]] = made.globals  # type: ignore[assignment]
    for name in known.keys() - set(_GLOBALS):
        del known[name]
    made.filters["tojson"] = _json
    return made


_ENVIRONMENT = _make_environment()
