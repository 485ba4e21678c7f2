"""The pictures of docs/costs.md and of the README: a page about a month of made-up requests.

`python3 run.py hatch run demo:python docs/costs_page.py` writes docs/images/costs*.png; Chromium is
needed.
"""

import asyncio
import random
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from browser import browser
from bruno_llm_base.cost.tracker import CostTracker
from bruno_llm_base.response import Usage
from bruno_llm_cli.report import write_html

IMAGES = Path(__file__).parent / "images"
FIRST = datetime(2026, 10, 26, 12, tzinfo=UTC)
# requests on a weekday, tokens in and out, part read from a cache, USD per million in and out
MODELS = {
    ("claude", "claude-opus-5"): (52, 9_000, 900, 0.6, "5", "25"),
    ("claude", "claude-haiku-5"): (210, 2_400, 350, 0.3, "1", "5"),
    ("openai", "gpt-6-sol"): (95, 6_500, 1_100, 0.4, "1.75", "14"),
    ("openai", "gpt-6-mini"): (320, 1_800, 260, 0.2, "0.25", "2"),
    ("gemini", "gemini-4-flash"): (260, 5_200, 420, 0.0, "0.5", "3"),
    ("gemini", "gemini-4-pro"): (24, 14_000, 1_500, 0.3, "2", "12"),
    ("ollama", "llama4:8b"): (180, 1_200, 300, 0.0, "0", "0"),
}
PICTURES = {  # width, height, dark
    "costs": (1280, 1500, False),
    "costs-phone-dark": (390, 1500, True),
    "costs-light": (1000, 710, False),
    "costs-dark": (1000, 710, True),
}
TAGS = (("chat", "ana"), ("chat", "ben"), ("summaries", None), ("search", None), ("nightly", None))


def made_up() -> CostTracker:
    """Return what an application might have recorded in 30 days."""
    dice, now = random.Random(5), FIRST  # noqa: S311 - nothing secret
    tracker = CostTracker(clock=lambda: now)
    for day in range(30):
        now = FIRST + timedelta(days=day)
        busy = (0.25 if now.weekday() > 4 else 1.0) * (1 + day / 40)
        for (provider, model), (often, took, gave, cached, price_in, price_out) in MODELS.items():
            for _ in range(round(often * busy * dice.uniform(0.6, 1.3)) // 6):
                tokens = round(took * dice.lognormvariate(0, 0.4)) * 6
                answer = round(gave * dice.lognormvariate(0, 0.4)) * 6
                read = round(tokens * cached)
                paid = Decimal(price_in) * (tokens - read) + Decimal(price_in) / 10 * read
                tag, user = dice.choice(TAGS)
                tracker.record(
                    provider=provider,
                    model=model,
                    usage=Usage(input_tokens=tokens, output_tokens=answer, cache_read_tokens=read),
                    cost=(paid + Decimal(price_out) * answer) / 10**6,
                    tag=tag,
                    user=user,
                    estimated=dice.random() < 0.004,
                )
    tracker.record(provider="openai", model="gpt-6.2-preview", usage=Usage(input_tokens=900))
    return tracker


async def picture(path: Path, width: int, height: int, *, dark: bool) -> bytes:
    """Return what the page at *path* looks like."""
    async with browser() as page:
        await page.open(path, width, height, dark=dark)
        return await page.picture()


def main() -> None:
    """Take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "costs.html")
        write_html(made_up().report(), path)
        for name, (width, height, dark) in PICTURES.items():
            shot = asyncio.run(picture(path, width, height, dark=dark))
            (IMAGES / f"{name}.png").write_bytes(shot)


if __name__ == "__main__":
    main()
