"""Who is asked from now on, and what is settled."""

from dataclasses import asdict
from pathlib import Path

from bruno_llm_base.discovery import canonical, kind_of, split_name
from bruno_llm_base.exceptions import ConfigurationError

from bruno_llm_cli import settings
from bruno_llm_cli.choice import build_for_a_look, chosen, of_environment
from bruno_llm_cli.output import say, show_document, write
from bruno_llm_cli.shell_words import in_shell_words


def use(name: str | None, *, as_json: bool) -> None:
    """Let *name*, a provider perhaps with its model, be asked from now on; forget the choice if None.

    Raises:
        ConfigurationError: It is not installed, or the settings cannot be written.
    """
    choice = None if name is None else _installed(name)
    settings.change(model=choice)
    problem = None
    try:
        if choice is None:
            chosen()
        else:
            build_for_a_look(choice)
    except ConfigurationError as error:
        problem = in_shell_words(error.description)
    if as_json:
        show_document({"path": str(settings.path()), "model": choice, "problem": problem})
        return
    say("no provider is chosen now" if choice is None else f"{choice} is asked from now on")
    if problem:
        say(problem if choice is None else f"it cannot be asked yet: {problem}")
    if of_environment():
        say(f"but BRUNO_LLM_PROVIDER is {of_environment()!r}, which wins over it")


def _installed(name: str) -> str:
    provider, model = split_name(name)
    provider = canonical(provider)
    kind_of(provider)  # says what to install
    return f"{provider}/{model}" if model else provider


def show(*, as_json: bool) -> None:
    """Print the file of the settings, what is in it, and who is asked."""
    settled, file = settings.read(), settings.path()
    try:
        provider, model = chosen()
        provider = provider or of_environment()
        asked, problem = "/".join(filter(None, (provider, model))), None
    except ConfigurationError as error:
        asked, problem = None, in_shell_words(error.description)
    if as_json:
        show_document({"path": str(file), **asdict(settled), "asked": asked, "problem": problem})
        return
    write(f"file   {file}{'' if _may_be_there(file) else ' (not there yet)'}\n")
    write(f"model  {settled.model or 'none'}\n")
    write(f"log    {'on' if settled.log else 'off'}\n")
    write(f"asked  {asked or 'none'}\n")
    if problem:
        say(problem)


def _may_be_there(file: Path) -> bool:
    try:
        return settings.is_there(file)
    except ConfigurationError:  # that it cannot be read has been said
        return True
