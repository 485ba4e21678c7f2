"""The picture of the README: a conversation with a fake server, as a terminal shows it.

`python3 run.py hatch run demo:python docs/chat_picture.py` writes docs/images/chat.svg; tmux is needed.
"""

import os
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

from bruno_llm_base import Usage
from bruno_llm_testing import FakeAnswer, FakeOpenAI
from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).parent / "images" / "chat.svg"
WIDTH, HEIGHT = 90, 30
COMMAND = f"{sys.executable} -W ignore -c 'from bruno_llm_cli import main; main()' chat"
TYPED = {
    "Name three rivers of France.": FakeAnswer(
        text="The Loire, the Seine and the Rhône.",
        usage=Usage(input_tokens=14, output_tokens=12),
    ),
    "Which of them is the longest?": FakeAnswer(
        text="The Loire: about 1,000 km, from the Massif Central to the Atlantic.",
        usage=Usage(input_tokens=43, output_tokens=19),
    ),
    "/cost": None,
}
# Rich's own, without the font that it would fetch
FORMAT = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-family: sans-serif; }}
{styles}
</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/></clipPath>{lines}</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


class Terminal:
    """A terminal of tmux with a command in it."""

    def __init__(self, command: str, environment: dict[str, str], folder: Path) -> None:
        self._tmux = ("tmux", "-S", str(folder / "tmux"), "-f", "/dev/null")
        size = ("-x", str(WIDTH), "-y", str(HEIGHT))
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, command],
            env=os.environ | environment,
            check=True,
        )

    def type(self, line: str) -> None:
        """Enter a line."""
        subprocess.run([*self._tmux, "send-keys", line, "Enter"], check=True)

    def seen(self) -> str:
        """Return what stands there, with its colours."""
        shown = subprocess.run(
            [*self._tmux, "capture-pane", "-e", "-p"], check=True, capture_output=True, text=True
        )
        return shown.stdout.rstrip()

    def wait(self, prompts: int) -> None:
        """Wait until so many prompts stand there."""
        for _ in range(600):
            lines = Text.from_ansi(self.seen()).plain.split("\n")
            if sum(line.startswith(">") for line in lines) >= prompts:
                return
            time.sleep(0.1)
        raise TimeoutError(self.seen())

    def close(self) -> None:
        """End it."""
        subprocess.run([*self._tmux, "kill-server"], check=True)


def main() -> None:
    """Take the picture."""
    with tempfile.TemporaryDirectory() as name, FakeOpenAI() as server:
        server.say(*filter(None, TYPED.values()))
        environment = {
            "BRUNO_LLM_HOME": name,
            "BRUNO_LLM_OPENAI_PRICE_NAME": "openai",
            "OPENAI_API_KEY": server.api_key,
            "OPENAI_BASE_URL": server.connection()["base_url"],
            "PYTHONPATH": os.pathsep.join(sys.path),
        }
        terminal = Terminal(COMMAND, environment, Path(name))
        try:
            for number, line in enumerate(TYPED, 1):
                terminal.wait(number)
                terminal.type(line)
            terminal.wait(len(TYPED) + 1)
            seen = f"$ bruno-llm chat\n{terminal.seen()}"
        finally:
            terminal.close()
    console = Console(width=WIDTH, record=True, file=StringIO())
    console.print(Text.from_ansi(seen))
    PICTURE.write_text(
        console.export_svg(title="bruno-llm chat", code_format=FORMAT, unique_id="chat")
    )


if __name__ == "__main__":
    main()
