"""Tools: what a model may call. Their schemas come from the types and docstrings of functions."""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter

from bruno_llm_base.abilities import describe, is_ability
from bruno_llm_base.exceptions import ConfigurationError, InvalidRequestError
from bruno_llm_base.options import TOOL_OPTIONS, did_you_mean
from bruno_llm_base.parts import Json, is_json
from bruno_llm_base.schemas import flaw_in
from bruno_llm_base.signatures import Signature, read_signature
from bruno_llm_base.values import is_seconds, shown

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")  # what every vendor takes
_CHOICES = ("auto", "none", "required")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A function that a model may call, and what is told of it.

    A plain function in a list of tools is a `Tool` of its own: this class is for what the function
    does not say itself.

    Attributes:
        function: What is called, with the arguments by their names; it may be async. Its parameters
            need annotations, and their descriptions come from `Annotated[..., Field(description=)]`
            or else the `Args:` of its docstring.
        name: Its name; the function's if "".
        description: What it does and when to call it; the function's docstring if "".
        parameters: A JSON schema of the parameters, in place of the function's own: arguments are
            then handed over as they come.
        strict: Whether the vendor is to hold the model to the schema. If None, it is where the
            vendor can and the schema allows it.
        timeout: How many seconds one call may take.
        sequential: Whether no other tool may run at the same time.
    """

    function: Callable[..., Any]
    name: str = ""
    description: str = ""
    _: KW_ONLY
    parameters: Json = field(default_factory=dict)
    strict: bool | None = None
    timeout: float | None = None
    sequential: bool = False
    arguments: TypeAdapter[Any] | None = field(default=None, init=False, repr=False)
    made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, ability: Any, *, user_id: str = "default", **settings: Any) -> "Tool":
        """Return an ability of bruno-core or bruno-abilities as a tool.

        In a list of tools an ability stands for itself: this is for what it does not know.

        Args:
            ability: The ability, initialized.
            user_id: For whom it acts.
            **settings: The other attributes.

        Raises:
            ConfigurationError: It is not an ability.
        """
        if not is_ability(ability):
            raise ConfigurationError(f"{shown(ability)} is not an ability")
        return cls(**describe(ability, user_id) | settings)

    def __post_init__(self) -> None:
        """Read the function.

        Raises:
            ConfigurationError: A value is wrong, or a parameter cannot be told to a model.
        """
        if not self.parameters:
            told = read_signature(self.function)
        elif callable(self.function):
            name = getattr(self.function, "__name__", "")
            text = inspect.getdoc(self.function) or ""
            told = Signature(name, text, self._own_schema(name), None, {})
        else:
            raise ConfigurationError(f"a tool is {shown(self.function)}: give a function")
        for name, value in told._asdict().items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        self._check()

    def _check(self) -> None:
        name = self.name
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"the tool's name is {shown(name)}: give letters, digits, _ and -, at most 64 and no"
                " digit first"
            )
        if not isinstance(self.description, str):
            raise ConfigurationError(f"the description of {name} is not a text: give one")
        if self.strict not in (None, True, False):
            raise ConfigurationError(
                f"strict of {name} is {shown(self.strict)}: give True or False"
            )
        if self.timeout is not None and not (is_seconds(self.timeout) and self.timeout > 0):
            raise ConfigurationError(
                f"the timeout of {name} is {shown(self.timeout)}: give seconds"
            )

    def _own_schema(self, name: str) -> Json:
        schema = self.parameters
        if not isinstance(schema, dict) or schema.get("type") != "object" or not is_json(schema):
            raise ConfigurationError(
                f"the parameters of {self.name or name} are {shown(schema)}: give a JSON schema of"
                " type object"
            )
        if flaw := flaw_in(schema):
            raise ConfigurationError(
                f"the parameters of {self.name or name} are not a JSON schema: {flaw}"
            )
        return schema


def read_tool(tool: object, where: str = "a tool") -> Tool | Json:
    """Return *tool* as a `Tool`, or as it is where it is written in a vendor's words.

    Raises:
        ConfigurationError: It is something else; *where* says which in the error.
    """
    if isinstance(tool, Tool):
        return tool
    if isinstance(tool, Mapping):
        return dict(tool)
    if is_ability(tool):
        return Tool.of(tool)
    if callable(tool):
        return Tool(tool)
    raise ConfigurationError(
        f"{where} is a {type(tool).__name__}: give a function, a Tool, an ability, or the vendor's"
        " own dict"
    )


def read_tool_options(given: Json) -> tuple[Sequence[Tool | Json], str | None, bool | None]:
    """Return the tools of a call, which of them is to be called, and whether several at once.

    Raises:
        ConfigurationError: One of the tools is none.
        InvalidRequestError: A value is wrong, two tools have one name, or the chosen one is unknown.
    """
    tools, choice, parallel = (given.get(name) for name in TOOL_OPTIONS)
    if tools is not None and (isinstance(tools, str | Mapping) or not isinstance(tools, Sequence)):
        raise InvalidRequestError(f"tools is {shown(tools)}: give a list")
    read = [read_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools or ())]
    names = [name for tool in read for name in _names(tool)]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequestError(f"two of the tools are called {name!r}: rename one")
    if parallel is not None and not isinstance(parallel, bool):
        raise InvalidRequestError(f"parallel_tool_calls is {shown(parallel)}: give True or False")
    if choice is None:
        return read, None, parallel
    if not isinstance(choice, str):
        raise InvalidRequestError(
            f"tool_choice is {shown(choice)}: give {', '.join(_CHOICES)}, or a name"
        )
    if tools is not None and choice not in (*_CHOICES, *names):
        known = did_you_mean(choice, (*_CHOICES, *names))
        raise InvalidRequestError(f"tool_choice is {choice!r}, which no tool is called{known}")
    return read, choice, parallel


def _names(tool: Tool | Json) -> list[str]:
    """Return what a model knows a tool by; of a vendor's dict, as far as that can be told."""
    if isinstance(tool, Tool):
        return [tool.name]
    function, declared = tool.get("function"), tool.get("functionDeclarations")
    rows = declared if isinstance(declared, list) else [function, tool]
    found = [
        row["name"] for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)
    ]
    return found if declared else found[:1]


def told_parameters(tool: Tool, make: Callable[[Json], _T]) -> _T:
    """Return what *make* makes of the parameters of *tool* for a vendor.

    Raises:
        InvalidRequestError: It cannot, which it says by a ValueError.
    """
    try:
        return _made(tool, make)
    except ValueError as error:
        raise InvalidRequestError(f"the tool {tool.name} cannot be told: {error}") from None


def strict_parameters(tool: Tool, make: Callable[[Json], _T]) -> _T | None:
    """Return what *make* makes of the parameters; None where *tool* is not to be strict, or cannot be.

    Raises:
        InvalidRequestError: It cannot, but insists on it.
    """
    try:
        return None if tool.strict is False else _made(tool, make)
    except ValueError as error:
        if tool.strict:
            raise InvalidRequestError(f"the tool {tool.name} cannot be strict: {error}") from None
        return None


def _made(tool: Tool, make: Callable[[Json], _T]) -> _T:
    if make not in tool.made:
        tool.made[make] = make(tool.parameters)
    return cast(_T, tool.made[make])
