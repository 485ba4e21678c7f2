"""What a user may mean to write: type checkers refuse each line that says so."""

from bruno_llm_base import CachedLLM, FallbackLLM, LLMFactory, RateLimit, Retry, Timeouts, run_tools
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_prompts import Prompt


async def main() -> None:
    OpenAIProvider("m", temprature=0.3)  # refused
    OllamaProvider(timeout=Timeouts(conect=3))  # refused
    Retry(max_attempts=3)  # refused
    RateLimit(requests_per_minut=3)  # refused
    LLMFactory.create("openai", temperature="hot")  # refused

    llm = OpenAIProvider("m")
    await llm.genrate("hi")  # refused
    await llm.generate("hi", temprature=5)  # refused
    await llm.generate("hi", temperature="hot")  # refused
    await llm.request("hi", 0.5)  # refused
    await llm.generate("hi", 0.5, 100, "x")  # refused
    llm.sync.request("hi", 100)  # refused
    await llm.generate("hi", stop=3)  # refused
    await llm.generate("hi", reasoning="hgih")  # refused
    await llm.generate("hi", cache="2h")  # refused
    await llm.generate(b"hi")  # refused
    await llm.generate([{"role": "usr", "content": "hi"}])  # refused
    await llm.generate([{"rol": "user", "content": "hi"}])  # refused
    await llm.generate([("usr", "hi")])  # refused
    llm.generate("hi").upper()  # refused
    llm.stream("hi", attachment=["a.png"])  # refused
    (await llm.request("hi")).txt  # refused
    (await llm.request("hi", output=int)).output.upper()  # refused
    await run_tools(llm, "hi", tool=[])  # refused
    await FallbackLLM([llm]).generate("hi", temprature=5)  # refused
    await CachedLLM(llm).generate("hi", refesh=True)  # refused
    llm.map([], "hi", concurency=5)  # refused
    Prompt("hi", sytem="Be brief.")  # refused
    Prompt("{{ text }}")("a text")  # refused
