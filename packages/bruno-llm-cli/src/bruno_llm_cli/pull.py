"""Models fetched by a server that can, with a bar that shows how far it is."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, runtime_checkable

from bruno_llm_base.discovery import canonical, installed, split_name
from bruno_llm_base.exceptions import ConfigurationError
from bruno_llm_base.factory import LLMFactory
from bruno_llm_base.response import Progress

from bruno_llm_cli import settings
from bruno_llm_cli.choice import of_environment
from bruno_llm_cli.output import plain, say, show_document


@runtime_checkable
class Puller(Protocol):
    """A provider that can fetch models; it says so by the capability "pull"."""

    name: str

    def pull(self, model: str) -> AsyncGenerator[Progress, None]:
        """Fetch *model*, and yield how far that is."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


def puller(provider: str | None) -> Puller:
    """Return the provider that fetches: the named one, the environment's or the settings', or the only one that can.

    Raises:
        ConfigurationError: It cannot, or there is none.
    """
    able = [info.name for info in installed() if "pull" in info.capabilities]
    named = provider or of_environment() or settings.read().model
    name = canonical(split_name(named)[0]) if named else able[0] if len(able) == 1 else None
    if not provider and name not in able and len(able) == 1:
        name = able[0]  # the environment's cannot, but there is one that can
    if name is None:
        raise ConfigurationError(f"give --provider: {', '.join(able) or 'none'} can pull models")
    llm = LLMFactory.from_env(name)
    if name not in able or not isinstance(llm, Puller):
        raise ConfigurationError(f"{name} cannot pull models: {', '.join(able) or 'none'} can")
    return llm


async def pull(llm: Puller, model: str, *, as_json: bool) -> None:
    """Fetch *model*, showing on stderr how far that is."""
    from rich.console import Console  # slow to load

    console = Console(stderr=True)
    show = _on_terminal if console.is_terminal else _in_lines
    try:
        async with aclosing(llm.pull(model)) as reports:
            await show(reports)
    finally:
        await llm.aclose()
    say(f"{model} is there")
    if as_json:
        show_document({"provider": llm.name, "model": model})


async def _in_lines(reports: AsyncGenerator[Progress, None]) -> None:
    """Name each step once."""
    last = None
    async for report in reports:
        if report.step != last:
            say(report.step)
        last = report.step


async def _on_terminal(reports: AsyncGenerator[Progress, None]) -> None:
    """Name each step once, and draw a bar for what is counted in bytes."""
    from rich import progress
    from rich.console import Console
    from rich.text import Text

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, progress.TaskID] = {}
        async for report in reports:
            if report.total is None:
                bars.console.print(Text(plain(report.step)))
                continue
            name = report.part or report.step
            if name not in tasks:
                tasks[name] = bars.add_task(plain(report.step), total=report.total)
            bars.update(tasks[name], completed=report.done or 0)
