"""What a function tells a model of itself, by its types and its docstring."""

import inspect
import re
from collections.abc import Callable
from typing import Any, NamedTuple, get_type_hints
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError

from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.parts import Json
from bruno_llm_base.schemas import without_titles
from bruno_llm_base.values import reason_of, shown


class Signature(NamedTuple):
    """What a function says about itself.

    Attributes:
        name: Its name.
        description: What it does.
        parameters: What it takes, as a JSON schema.
        arguments: Reads arguments for it, and returns them as `(args, kwargs)`.
        made: What vendors' adapters have made of the parameters, by what makes it.
    """

    name: str
    description: str
    parameters: Json
    arguments: TypeAdapter[Any] | None
    made: dict[Any, Any]


# by whether it is a bound method, whose function has one parameter more
_SIGNATURES: dict[bool, WeakKeyDictionary[Any, Signature]] = {
    True: WeakKeyDictionary(),
    False: WeakKeyDictionary(),
}


def read_signature(function: Callable[..., Any]) -> Signature:
    """Return what *function* says about itself; it is read once.

    Raises:
        ConfigurationError: It is not a function, or one of its parameters cannot be told to a model.
    """
    key = getattr(function, "__func__", function)  # a bound method is a new object each time
    if not inspect.isfunction(key) or key.__name__ == "<lambda>":
        raise ConfigurationError(f"a tool is {shown(function)}: give a function with a name")
    read_before = _SIGNATURES[key is not function]
    if (known := read_before.get(key)) is not None:
        return known
    name = function.__name__
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        _check_parameter(name, parameter)
    description, told = read_docstring(inspect.getdoc(function) or "")
    try:
        arguments = _arguments(name, signature, get_type_hints(function, include_extras=True))
        schema = arguments.json_schema()
    except (PydanticUserError, NameError, TypeError) as error:
        culprit = _culprit(name, signature, function)
        raise ConfigurationError(
            f"{culprit} cannot be told to a model: {reason_of(error)}"
        ) from error
    parameters = without_titles(schema)
    for name_of_one, text in told.items():
        if (one := parameters["properties"].get(name_of_one)) is not None:
            one.setdefault("description", text)
    read = read_before[key] = Signature(name, description, parameters, arguments, {})
    return read


def _check_parameter(tool: str, parameter: inspect.Parameter) -> None:
    kinds: dict[Any, str] = {
        parameter.VAR_POSITIONAL: "takes any number of values",
        parameter.VAR_KEYWORD: "takes any names",
        parameter.POSITIONAL_ONLY: "has no name for callers",
    }
    if (why := kinds.get(parameter.kind)) is None and parameter.annotation is parameter.empty:
        why = "has no annotation"
    if why:
        raise ConfigurationError(
            f"the parameter {parameter.name!r} of the tool {tool} {why}: give each one a name and a"
            " type, as in `city: str`"
        )


def _arguments(name: str, signature: inspect.Signature, hints: Json) -> TypeAdapter[Any]:
    """Return what reads arguments: pydantic calls a stand-in, since the function runs elsewhere."""

    def take(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    stand_in: Any = take
    stand_in.__name__, stand_in.__signature__ = name, signature
    stand_in.__annotations__ = {n: kind for n, kind in hints.items() if n != "return"}
    return TypeAdapter(stand_in)


def _culprit(name: str, signature: inspect.Signature, function: Callable[..., Any]) -> str:
    """Return which parameter has no schema, in words."""
    for parameter in signature.parameters.values():
        try:
            alone = signature.replace(parameters=[parameter])
            hints = get_type_hints(function, include_extras=True)
            _arguments(name, alone, {parameter.name: hints[parameter.name]}).json_schema()
        except (PydanticUserError, TypeError):
            return f"the parameter {parameter.name!r} of the tool {name}"
        except NameError:
            break
    return f"the tool {name}"


_ARGS = re.compile(r"(Args|Arguments|Parameters):\s*")
_ENTRY = re.compile(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)")


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """Return what a docstring says of the whole, and what its `Args:` say of each parameter."""
    rest: list[str] = []
    told: dict[str, str] = {}
    inside, indent, name = False, 0, ""
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        if line.strip() and not depth:
            inside = bool(_ARGS.fullmatch(line))
            indent, name = 0, ""
            if inside:
                continue
        if not inside:
            rest.append(line)
            continue
        entry = _ENTRY.fullmatch(line) if depth and depth <= (indent or depth) else None
        if entry is not None:
            indent, name = depth, entry[1]
            told[name] = entry[2].strip()
        elif name and line.strip():
            told[name] = f"{told[name]} {line.strip()}".strip()
    return re.sub(r"\n{3,}", "\n\n", "\n".join(rest)).strip(), told
