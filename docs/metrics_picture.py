"""The picture of metrics of docs/tracing.md: two minutes of a made-up application, as Prometheus draws them.

    apt-get install prometheus
    python3 run.py hatch run trace:metrics

writes docs/images/metrics.png; Chromium is needed.
"""

import asyncio
import random
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

from browser import browser
from bruno_llm_base import CostTracker, LLMError, Price, RateLimitError
from bruno_llm_base.parts import Text
from bruno_llm_base.response import ModelResponse, Usage
from bruno_llm_otel import Telemetry
from bruno_llm_testing import MockLLM
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import start_http_server

PICTURE = Path(__file__).parent / "images" / "metrics.png"
SECONDS = 120
QUERIES = (
    "sum by (gen_ai_request_model) (rate(bruno_llm_cost_total[30s])) * 3600",
    "sum by (error_type) (rate(gen_ai_client_inference_duration_seconds_count[30s]))",
)
MODELS = {
    "gpt-6.1-terra": (Price(input=1.75, output=14), 0.15),
    "claude-opus-5": (Price(input=5, output=25), 0.3),
}
CONFIG = """
global: {{scrape_interval: 2s}}
scrape_configs: [{{job_name: app, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


async def work(model: str, telemetry: Telemetry, until: float) -> None:
    """Ask one model again and again, for USD that were never spent."""
    dice = random.Random(model)  # noqa: S311 - nothing secret
    price, often = MODELS[model]

    async def answer(_: object) -> ModelResponse:
        await asyncio.sleep(dice.lognormvariate(-1.2, 0.5))
        if dice.random() < 0.04:
            raise RateLimitError("slow down")
        usage = Usage(input_tokens=dice.randrange(500, 4000), output_tokens=dice.randrange(50, 900))
        return ModelResponse(parts=(Text("Yes."),), usage=usage)

    llm = MockLLM(
        [answer] * 100_000,
        model=model,
        observers=[telemetry],
        cost=CostTracker(prices={model: price}),
    )
    while (left := until - time.monotonic()) > 0:
        with suppress(LLMError):
            await llm.generate("hi")
        await asyncio.sleep(often * (1.2 + left / SECONDS))


def write_config(folder: Path, port: int) -> Path:
    """Return the file that tells Prometheus where the metrics are."""
    config = folder / "prometheus.yml"
    config.write_text(CONFIG.format(port=port))
    return config


async def main() -> None:
    """Work, be watched, and look."""
    reader = PrometheusMetricReader()
    telemetry = Telemetry(None, MeterProvider([reader]))
    exposed, _ = start_http_server(0, "127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), exposed.server_port)
        watcher = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={config}",
            f"--storage.tsdb.path={folder}/data",
            "--web.listen-address=127.0.0.1:9097",
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            until = time.monotonic() + SECONDS
            await asyncio.gather(*[work(model, telemetry, until) for model in MODELS for _ in "ab"])
            await look()
        finally:
            watcher.terminate()
            await watcher.wait()
            exposed.shutdown()


async def look() -> None:
    """Take the picture."""
    panels = {
        f"g{number}.{name}": value
        for number, query in enumerate(QUERIES)
        for name, value in {"expr": query, "tab": "0", "range_input": "2m"}.items()
    }
    async with browser() as page:
        await page.open(f"http://127.0.0.1:9097/classic/graph?{urlencode(panels)}", 1000, 1530)
        await asyncio.sleep(5)
        PICTURE.write_bytes(await page.picture())


if __name__ == "__main__":
    asyncio.run(main())
