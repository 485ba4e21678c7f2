"""The picture of docs/tracing.md: one question, as a viewer of traces shows it.

    pip install arize-phoenix && phoenix serve
    python3 run.py hatch run trace:picture http://127.0.0.1:6006

writes docs/images/trace.png: from OpenAI's fake server, which is too busy at first, over OTLP into the
viewer, and out of it through Chromium.
"""

import asyncio
import sys
from pathlib import Path

from browser import browser
from bruno_llm_base import CostTracker, Price, Retry, ToolCall, run_tools
from bruno_llm_base.response import Usage
from bruno_llm_openai import OpenAIEmbeddings, OpenAIProvider
from bruno_llm_otel import Telemetry
from bruno_llm_testing import FakeAnswer, FakeError, FakeOpenAI, Fault
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

PICTURE = Path(__file__).parent / "images" / "trace.png"
CLICK_LAST_CHAT = """
[...document.querySelectorAll("button, a, span, div")]
    .filter(each => each.children.length === 0 && each.textContent.startsWith("chat "))
    .at(-1).click()
"""
QUESTION = "What do our notes say about moles in the garden?"
ANSWER = "They dig after rain, and leave when the lawn is rolled every week."


async def ask(tracers: TracerProvider) -> str:
    """Ask a question that takes a tool, vectors and a second attempt; return the id of the trace."""
    telemetry = Telemetry(tracers, content=True)
    observers = [telemetry]
    with FakeOpenAI() as server:
        settings = {**server.connection(), "observers": observers}
        settings["cost"] = CostTracker(
            prices={
                OpenAIProvider.default_model: Price(input=1.75, output=14),
                OpenAIEmbeddings.default_model: Price(input=0.02, output=0),
            }
        )
        notes = OpenAIEmbeddings(**settings)
        llm = OpenAIProvider(**settings, retry=Retry(wait_initial=0.05))

        async def search_notes(words: str) -> list[str]:
            """Search the user's notes."""
            await notes.embed_text(words)
            await asyncio.sleep(0.02)
            return ["Moles dig after rain.", "Rolled the lawn each week in May: no moles."]

        call = ToolCall(id="call_1", name="search_notes", arguments='{"words": "moles garden"}')
        server.say(FakeError(kind="overloaded"))
        first = Usage(input_tokens=412, output_tokens=18)
        server.say(
            Fault(
                FakeAnswer(text="", tool_calls=(call,), finish_reason="tool_call", usage=first),
                before_header=0.12,
            )
        )
        second = Usage(input_tokens=468, output_tokens=29, cache_read_tokens=384)
        server.say(Fault(FakeAnswer(text=ANSWER, usage=second), before_header=0.2))
        async with llm, notes:
            with tracers.get_tracer("app").start_as_current_span("answer question") as root:
                await run_tools(llm, QUESTION, tools=[search_notes])
    return f"{root.get_span_context().trace_id:032x}"


async def main(viewer: str) -> None:
    """Have a trace made, sent and shown."""
    tracers = TracerProvider(resource=Resource({"service.name": "garden"}))
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{viewer}/v1/traces")))
    AioHttpClientInstrumentor().instrument(tracer_provider=tracers)
    trace = await ask(tracers)
    tracers.shutdown()
    await asyncio.sleep(5)  # until the viewer has taken it in
    async with browser() as page:
        await page.open(f"{viewer}/redirects/traces/{trace}", 1280, 960)
        await asyncio.sleep(6)
        await page.ask(CLICK_LAST_CHAT)
        await asyncio.sleep(3)
        PICTURE.write_bytes(await page.picture())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
