"""The README's first programs, as a user with a key starts them; what they print is compared."""

import asyncio
import html
import json
import os
import re
import shlex
import ssl
import sys
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import chat_picture
import pytest
from bruno_llm_base import LLMFactory, ToolCall, Usage
from bruno_llm_testing import FakeAnswer, FakeOpenAI

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
READMES = [
    ROOT / "README.md",
    *ROOT.glob("packages/*/README.md"),
    *ROOT.glob("examples/*/README.md"),
]
SITE = "https://meggy-ai.github.io/bruno-llm/"
INCLUDED = re.compile(r'^ *--8<-- "|^<!-- the table of |^::: ', re.MULTILINE)  # by the site alone
CERTIFICATE = Path(__file__).with_name("api.openai.com.pem")
SECTIONS = dict(
    re.findall(r"<!-- --8<-- \[start:(\w+)\] -->\n(.*?)<!-- --8<-- \[end:\1\]", README, re.DOTALL)
)
BLOCK = re.compile(r"^```(python|text|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLUE = "Air scatters blue light more than red."
CITIES = [{"name": "Oslo", "people": 717710}, {"name": "Bergen", "people": 291940}]
CALL = ToolCall(id="call_1", name="weather", arguments='{"city": "Oslo"}')
ANSWERS = {
    "stream": [FakeAnswer(text=BLUE)],
    "tool": [
        FakeAnswer(text="", finish_reason="tool_call", tool_calls=(CALL,)),
        FakeAnswer(text="Yes: it rains in Oslo."),
    ],
    "typed": [FakeAnswer(text=json.dumps({"result": CITIES}))],
    "cost": [FakeAnswer(text="2, 3 and 5.", usage=Usage(input_tokens=10, output_tokens=9))],
    "await": [FakeAnswer(text="2, 3 and 5."), FakeAnswer(text="7, 11 and 13.")],
    "command": [FakeAnswer(text=BLUE), FakeAnswer(text='{"name": "Oslo", "people": 717710}')],
}


async def copy(source, target):
    with suppress(OSError, ssl.SSLError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


@asynccontextmanager
async def proxy_to(port):
    """Bring what is sent to https://api.openai.com to a server on this machine.

    So the programs run with the vendor's own address, protocol and prices.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(CERTIFICATE)

    async def connect(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        assert asked.startswith(b"CONNECT api.openai.com:443 ")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await writer.start_tls(tls)
        answers, questions = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, questions), copy(answers, writer))

    async with await asyncio.start_server(connect, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def run(folder, answers, *command):
    """Return what *command* prints, and says beside it."""
    with FakeOpenAI() as server:
        server.say(*answers)
        port = int(server.connection()["base_url"].partition("127.0.0.1:")[2].partition("/")[0])
        async with proxy_to(port) as proxy:
            process = await asyncio.create_subprocess_exec(
                *command,
                cwd=folder,
                env={
                    "BRUNO_LLM_HOME": str(folder),
                    "HTTPS_PROXY": proxy,
                    "OPENAI_API_KEY": server.api_key,
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": os.pathsep.join(sys.path),
                    "SSL_CERT_FILE": str(CERTIFICATE),
                },
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            said, complaints = await process.communicate()
    assert process.returncode == 0, complaints.decode()
    return said.decode(), complaints.decode()


@pytest.mark.parametrize("name", [name for name in ANSWERS if name != "command"])
async def test_a_program_prints_what_is_shown(name, tmp_path):
    (_, program), (_, shown) = BLOCK.findall(SECTIONS[name])
    said, complaints = await run(tmp_path, ANSWERS[name], sys.executable, "-c", program)
    assert (said.rstrip("\n"), complaints) == (shown.rstrip("\n"), "")


async def test_the_command_prints_what_is_shown(tmp_path):
    ((_, shown),) = BLOCK.findall(SECTIONS["command"])
    blocks = re.findall(r"^\$ (.+)\n((?:[^$].*\n)+)", shown, re.MULTILINE)
    for (line, printed), answer in zip(blocks, ANSWERS["command"], strict=True):
        words = shlex.split(line)
        assert words[0] == "bruno-llm"
        start = "from bruno_llm_cli import main; main()"
        said = await run(tmp_path, [answer], sys.executable, "-c", start, *words[1:])
        assert said == (printed, "")


async def test_the_picture_of_chat_is_what_it_prints(tmp_path):
    (tmp_path / "typed").write_text("\n".join(chat_picture.TYPED))
    start = "import os, sys; os.dup2(os.open('typed', os.O_RDONLY), 0);"
    start += "from bruno_llm_cli import main; main()"
    answers = filter(None, chat_picture.TYPED.values())
    said = "".join(await run(tmp_path, answers, sys.executable, "-c", start, "chat"))
    shown = html.unescape(chat_picture.PICTURE.read_text()).replace("\xa0", " ")
    for line in (*chat_picture.TYPED, *said.splitlines()):
        assert f"{line}<" in shown


def test_what_the_readme_names_is_there():
    for path in re.findall(r"(?:\(|src(?:set)?=\")((?:docs|examples)/[^)#\"]+)", README):
        assert (ROOT / path).is_file(), path
        assert (ROOT / path).suffix == ".md" or (ROOT / path).stat().st_size < 100_000, path


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: str(readme.relative_to(ROOT)))
def test_a_readme_leads_to_whole_pages(readme):
    """GitHub does not show what the site includes in a page, so links to such a page go to the site."""
    for link in re.findall(r"\]\(([^)#\s]+)", readme.read_text(encoding="utf-8")):
        if link.startswith(SITE):
            page = ROOT / "docs" / link.removeprefix(SITE)
            assert page.with_suffix(".md").is_file() or (page / "index.md").is_file(), link
        elif "://" not in link and link.endswith(".md"):
            assert not INCLUDED.search((readme.parent / link).read_text(encoding="utf-8")), link


def test_every_program_has_an_answer():
    programs = {name for name, text in SECTIONS.items() if "```python" in text}
    assert programs == ANSWERS.keys() - {"command"}


def test_the_number_of_vendors_is_so():
    (shown,) = re.findall(r"(\d+) more", SECTIONS["sentence"])
    names = {provider.name for provider in LLMFactory.providers()} - {"mock"}
    assert int(shown) == len(names - {"openai", "claude", "gemini", "ollama"})
    assert f"\n| Vendors by name | {len(names)} |" in SECTIONS["comparison"]
