"""The options that say which model is asked, and how."""

import inspect
import json
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.options import PORTABLE
from bruno_llm_base.parts import Json
from bruno_llm_base.wrappers import FullLLM, in_full
from typer import BadParameter, Option

from bruno_llm_cli.choice import chosen
from bruno_llm_cli.completion import complete_model, complete_provider
from bruno_llm_cli.output import set_verbosity
from bruno_llm_cli.usage import above_zero, check_portable, model_name, some_text

_TABLE = PORTABLE.items()
Provider = Annotated[
    str | None,
    Option(
        "--provider",
        "-p",
        help="The provider, as ollama or ollama/llama3.2; see `providers`.",
        callback=model_name,
        autocompletion=complete_provider,
    ),
]
Model = Annotated[
    str | None,
    Option(
        "--model",
        "-m",
        help="The model; the provider's own if none. Alone: provider/model.",
        callback=model_name,
        autocompletion=complete_model,
    ),
]
Config = Annotated[
    Path | None, Option(help="A YAML, JSON or TOML file that names provider, model and more.")
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON document, for programs.")]
Verbose = Annotated[
    int,
    Option(
        "--verbose",
        "-v",
        count=True,
        show_default=False,
        help="Log requests on stderr; -vv logs more.",
    ),
]


Ledger = Annotated[
    str | None,
    Option(
        help="The file, or the postgresql:// URL, in which costs are booked; see `costs`.",
        callback=some_text,
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model is asked, and how: the options that `ask`, `chat` and `map` share.

    Attributes:
        portable: The options of bruno-llm-base's table, each of which has a flag.
    """

    provider: Provider = None
    model: Model = None
    config: Config = None
    system: Annotated[
        str | None, Option("--system", "-s", help="What the conversation begins with.")
    ] = None
    option: Annotated[
        list[str] | None,
        Option("--option", "-o", metavar="KEY=VALUE", help="A request field of the vendor's own."),
    ] = None
    ledger: Ledger = None
    budget: Annotated[
        float | None,
        Option(help="The most to spend, in USD; what --ledger holds counts.", callback=above_zero),
    ] = None
    timeout: Annotated[
        float | None,
        Option(
            help="The longest that a request may take, retries included, in seconds.",
            callback=above_zero,
        ),
    ] = None
    verbose: Verbose = 0
    portable: Json = field(default_factory=dict)

    def given(self) -> Json:
        """Return the options of a request that were given."""
        own = dict(map(_option, self.option or ()))
        return {name: value for name, value in self.portable.items() if value is not None} | own

    def llm(self, **more: Any) -> FullLLM:
        """Return the model, built with *more* keywords.

        Raises:
            ConfigurationError: Something is wrong or missing.
            BadParameter: An option is no `KEY=VALUE`.
        """
        keywords: Json = {
            **self.portable,
            "system_prompt": self.system,
            "timeout": self.timeout,
            **more,
        }
        if self.option:
            keywords["options"] = dict(map(_option, self.option))
        if self.ledger is not None:
            from bruno_llm_base.cost.tracker import CostTracker

            keywords["cost"] = CostTracker(self.ledger)
        if self.budget is not None:
            from bruno_llm_base.cost.budget import Budget

            keywords["budget"] = Budget(self.budget)
        return build_llm(self.provider, self.model, self.config, **keywords)


def taking_model_options(
    command: Callable[..., None], *, without: tuple[str, ...] = ()
) -> Callable[..., None]:
    """Let *command* take the options of `ModelOptions`, and give them as its first argument.

    Where it has a short flag of its own, such as -p, theirs is the long one only. It may do *without*
    some of them.
    """
    hints = get_type_hints(ModelOptions, include_extras=True)
    flags = {name: Annotated[kind | None, Option(help=row.help)] for name, (kind, row) in _TABLE}
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
        for name, default, hint in (
            *(
                (f.name, f.default, hints[f.name])
                for f in fields(ModelOptions)[:-1]
                if f.name not in without
            ),
            *((name, None, hint) for name, hint in flags.items()),
        )
    ]
    own = list(inspect.signature(command).parameters.values())[1:]
    taken_flags = {flag for parameter in own for flag in _flags(parameter)}
    for place, parameter in enumerate(shared):
        if taken_flags & set(flags_of := _flags(parameter)):
            info = copy(parameter.annotation.__metadata__[0])
            info.param_decls = tuple(flag for flag in flags_of if flag not in taken_flags)
            kind = parameter.annotation.__origin__
            shared[place] = parameter.replace(annotation=Annotated[kind, info])

    def called(**given: Any) -> None:
        taken = {parameter.name: given.pop(parameter.name) for parameter in shared}
        portable = {name: taken.pop(name) for name in flags}
        choice = ModelOptions(**taken, portable=portable)
        set_verbosity(choice.verbose)
        check_portable(portable)
        command(choice, **given)

    called.__name__, called.__doc__ = command.__name__, command.__doc__
    called.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *shared)}
    vars(called)["__signature__"] = inspect.Signature([*own, *shared])
    return called


def _flags(parameter: inspect.Parameter) -> tuple[str, ...]:
    info, *_ = parameter.annotation.__metadata__
    return tuple(getattr(info, "param_decls", None) or ())


def build_llm(
    provider: str | None, model: str | None, config: Path | None, **keywords: Any
) -> FullLLM:
    """Return a model: the file's, or the one that is chosen as `chosen` tells.

    Raises:
        ConfigurationError: Nothing tells which one, or it cannot be built.
        BadParameter: Both a file and a provider are given.
    """
    given = {name: value for name, value in keywords.items() if value is not None}
    if config is not None:
        if provider is not None:
            raise BadParameter("--config names a provider already: give one of the two")
        return in_full(LLMFactory.from_file(config, model, **given))
    return in_full(LLMFactory.from_env(*chosen(provider, model), **given))


def _option(text: str) -> tuple[str, Any]:
    """Return what KEY=VALUE means: a value is JSON where it can be, else text."""
    name, sign, value = text.partition("=")
    if not name or not sign:
        raise BadParameter(f"--option {text}: give KEY=VALUE, such as num_ctx=8192")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
