"""The built documentation (`python3 run.py docs`), in a real browser and by itself."""

import re
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from browser import browser

SITE = Path(__file__).resolve().parents[2] / "site"
PAGES = ("", "quickstart/", "providers/claude/", "errors/", "costs/", "architecture/", "api/")
SCHEME = "document.body.getAttribute('data-md-color-scheme')"
GROUND = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
FIRST = {  # the page that is found first, by what users type
    "retry": "/errors/",
    "timeout": "/errors/",
    "OutputLimitError": "/api/errors/",
    "azure": "/cloud/",
    "bedrock": "/cloud/",
    "price": "/costs/",
    "budget": "/costs/",
    "stream": "/streaming/",
    "rate limit": "/rate-limits/",
    "tool calling": "/tools/",
    "structured output": "/typed-output/",
    "json": "/typed-output/",
    "pdf": "/media/",
    "image": "/media/",
    "api key": "/configuration/",
    "openrouter": "/vendors/",
    "ollama": "/providers/ollama/",
    "mock": "/testing/",
    "cache": "/caching-answers/",
    "batch": "/batches/",
    "fallback": "/fallback/",
    "opentelemetry": "/tracing/",
    "embeddings": "/embeddings/",
    "jupyter": "/notebooks/",
    "fastapi": "/fastapi/",
    "langchain": "/migrating-langchain/",
    "prompt template": "/prompts/",
    "litellm": "/migrating-litellm/",
    "pydantic ai": "/migrating-pydantic-ai/",
}
SEARCH = """new Promise(done => {
    const field = document.querySelector("input.md-search__input");
    document.querySelector("#__search").checked = true;
    field.focus();
    field.value = "%s";
    for (const kind of ["input", "keyup"]) field.dispatchEvent(new Event(kind, {bubbles: true}));
    let before = null;
    const look = setInterval(() => {
        const links = [...document.querySelectorAll("a.md-search-result__link")];
        const found = links.map(link => link.href);
        if (found.length && found.join() === before) { clearInterval(look); done(found); }
        before = found.join();
    }, 200);
})"""


TORN_DATES = """[...document.querySelectorAll(".date")].filter(date => date.getClientRects().length > 1).length"""
CUT_CELLS = """[...document.querySelectorAll(".md-content table :is(td, th)")]
    .filter(cell => cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.innerText)"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site():
    assert (SITE / "index.html").is_file(), "build the site with `python3 run.py docs`"
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_whole_at_a_desk_and_on_a_phone(site, path, width, dark):
    async with browser() as page:
        await page.open(site + path, width, 900, dark=dark)
        assert await page.ask("document.querySelectorAll('h1').length") == 1
        assert await page.ask("document.documentElement.scrollWidth") == width  # nothing sticks out
        ground = await page.ask(GROUND)
        assert max(ground) < 64 if dark else min(ground) > 192
        strangers = [url for url in page.asked if not url.startswith((site, "data:"))]
        assert strangers == []
        assert page.complaints == []


async def test_every_page_fits_a_phone(site):
    async with browser() as page:
        for path in sorted(SITE.rglob("index.html")):
            place = path.parent.relative_to(SITE).as_posix()
            await page.open(f"{site}{place}/", 390, 800)
            assert await page.ask("document.documentElement.scrollWidth") == 390, place
            assert await page.ask(TORN_DATES) == 0, place
            assert await page.ask(CUT_CELLS) == [], place
        assert page.complaints == []


async def test_the_reader_may_choose_the_scheme(site):
    async with browser() as page:
        await page.open(site, 1280, 900)
        assert await page.ask(SCHEME) == "default"
        await page.ask("document.querySelector('label[title=\"Switch to dark mode\"]').click()")
        assert await page.ask(SCHEME) == "slate"


async def test_what_is_looked_for_is_found_first(site):
    async with browser() as page:
        await page.open(site, 1280, 900)
        firsts = {words: await page.ask(SEARCH % words) for words in FIRST}
        assert {words: urlsplit(found[0]).path for words, found in firsts.items()} == FIRST
        assert page.complaints == []


def test_what_all_models_have_is_described_once():
    found = [path.read_text() for path in SITE.rglob("*.html")]
    ids = re.findall(r'id="(bruno_llm[\w.]+)"', "".join(found))
    assert len(ids) == len(set(ids))
    for method in ("generate", "stream", "request", "map", "list_models", "get_model_info"):
        models = [name for name in ids if name.endswith(f"LLM.{method}")]
        assert models == []  # these have what a BaseProvider has
        assert f"bruno_llm_base.BaseProvider.{method}" in ids


class _Links(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.ids.add(facts.get("id"))
        self.links |= {facts[name] for name in ("href", "src") if facts.get(name)}


def test_every_link_within_the_site_leads_somewhere():
    pages = {path: _Links(path) for path in SITE.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 20
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            anchor = unquote(parts.fragment)
            if not target.exists() or (anchor and anchor not in pages[Path(target)].ids):
                broken.append((str(path.relative_to(SITE)), link))
    assert broken == []
