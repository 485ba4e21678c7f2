"""How far the estimates of tokens are from two tokenizers, as the table of counting.md.

`python docs/counting.py` prints it; it needs what the real model needs.
"""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from statistics import mean

from bruno_llm_base.calibration import Calibration
from bruno_llm_base.messages import Conversation
from bruno_llm_base.tokens import estimate_tokens
from bruno_llm_openai import OpenAIProvider
from real_model import MODEL, RealModel

_TESTS = Path(__file__).parent.parent / "tests"
Errors = dict[str, list[float]]


def o200k_base(text: str) -> int:
    """What OpenAI's tokenizer of today says."""
    return OpenAIProvider("gpt-6.1-terra", api_key="none").get_token_count(text)


@cache
def corpus() -> dict[str, list[str]]:
    """The texts that the weights were not fitted to, by class."""
    folders = sorted((_TESTS / "base" / "corpus").iterdir())
    return {folder.name: _texts(folder) for folder in folders}


def _texts(folder: Path) -> list[str]:
    return [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.txt"))]


def errors(count: Callable[[str], int], truth: Callable[[str], int]) -> Errors:
    """How far each count is off, as a fraction of the truth, by class."""
    return {
        name: [abs(count(text) / truth(text) - 1) for text in texts]
        for name, texts in corpus().items()
    }


def overall(found: Errors) -> float:
    """The mean error of all texts."""
    return mean(error for each in found.values() for error in each)


async def calibrated(model: RealModel, api_key: str) -> Calibration:
    """A calibration that has seen ten answers, to questions that are not in the corpus.

    The server counts a question's tokens and those of the template around it. One real answer tells
    how many the template has; the others' counts are put together, which saves minutes.
    """
    calibration, tokens = Calibration(), tokenized(model, api_key)
    async with OpenAIProvider(model=MODEL, base_url=f"{model.url}/v1", api_key=api_key) as llm:
        answer = await llm.request("Hi", max_tokens=1)
    template = (answer.usage.input_tokens or 0) - tokens("Hi")
    for text in _texts(_TESTS / "family" / "calibrating"):
        calibration = calibration.learned(Conversation.of(text), tokens(text) + template)
    return calibration


def tokenized(model: RealModel, api_key: str) -> Callable[[str], int]:
    """What the model's own tokenizer says."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def count(text: str) -> int:
        request = urllib.request.Request(  # noqa: S310 - the model's own address
            f"{model.url}/tokenize",
            json.dumps({"content": text}).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"},
        )
        with opener.open(request) as reply:
            return len(json.load(reply)["tokens"])

    return cache(count)


def _bytes(text: str) -> int:
    return -(-len(text.encode()) // 4)


def _main() -> None:
    with RealModel(api_key="local") as model:
        calibration = asyncio.run(calibrated(model, "local"))
        tokens = tokenized(model, "local")
        columns = [
            errors(_bytes, o200k_base),
            errors(estimate_tokens, o200k_base),
            errors(estimate_tokens, tokens),
            errors(lambda text: calibration.count_text(text).tokens, tokens),
        ]
    print(
        "| class | bytes / 4, o200k_base | estimate, o200k_base | estimate, smollm2 | calibrated, smollm2 |"
    )
    print("|---|--:|--:|--:|--:|")
    for name in corpus():
        print(f"| {name} |", *(f"{100 * mean(column[name]):.1f} % |" for column in columns))
    print("| **all texts** |", *(f"**{100 * overall(column):.1f} %** |" for column in columns))


if __name__ == "__main__":
    _main()
