"""Who takes part: ours, the official SDKs, and what one would write by hand on httpx2.

Each is handed the address of the server, and gives two things: a whole answer, and a streamed one.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, Protocol

__all__ = ["VENDORS", "Client", "clients_of", "open_client"]

QUESTION = "Why is the sky blue?"
VENDORS = ("openai", "claude", "ollama", "gemini")
_CLIENTS = ("ours", "official", "by hand", "ours on httpx", "official on aiohttp")


def clients_of(vendor: str) -> tuple[str, ...]:
    """Return who takes part for *vendor*, ours and the official SDK first.

    The second and the fourth run as if aiohttp were not installed, which no SDK asks for itself.
    """
    return _CLIENTS[:-1] if vendor == "ollama" else _CLIENTS  # its client knows nothing of aiohttp


class Client(Protocol):
    """A way to ask a model."""

    async def whole(self, model: str) -> str:
        """Return the answer of *model*."""

    def stream(self, model: str) -> AsyncIterator[str]:
        """Yield the answer of *model* piece by piece."""


class Ours:
    """A provider of ours, with all that it does by default."""

    def __init__(self, vendor: str, address: str) -> None:
        from bruno_core.models import Message, MessageRole
        from bruno_llm_base import LLMFactory

        url = f"{address}/v1" if vendor == "openai" else address
        self._llm = LLMFactory.create(vendor, base_url=url, api_key="key")
        self._messages = [Message(role=MessageRole.USER, content=QUESTION)]

    async def whole(self, model: str) -> str:
        return await self._llm.generate(self._messages, model=model)

    def stream(self, model: str) -> AsyncIterator[str]:
        return self._llm.stream(self._messages, model=model)


class OfficialOpenAI:
    """OpenAI's SDK, as its documentation shows it."""

    def __init__(self, address: str, *, aiohttp: bool) -> None:
        import openai

        http = openai.DefaultAioHttpClient() if aiohttp else None
        self._client = openai.AsyncOpenAI(base_url=f"{address}/v1", api_key="key", http_client=http)
        self._messages: Any = [{"role": "user", "content": QUESTION}]

    async def whole(self, model: str) -> str:
        answer = await self._client.chat.completions.create(model=model, messages=self._messages)
        return answer.choices[0].message.content or ""

    async def stream(self, model: str) -> AsyncIterator[str]:
        stream = await self._client.chat.completions.create(
            model=model,
            messages=self._messages,
            stream=True,
            stream_options={"include_usage": True},
        )
        async for chunk in stream:
            if chunk.choices and (text := chunk.choices[0].delta.content):
                yield text


class OfficialClaude:
    """Anthropic's SDK, by the cheaper of its two ways to stream."""

    def __init__(self, address: str, *, aiohttp: bool) -> None:
        import anthropic

        http = anthropic.DefaultAioHttpClient() if aiohttp else None
        self._client = anthropic.AsyncAnthropic(base_url=address, api_key="key", http_client=http)
        self._asked: Any = {
            "messages": [{"role": "user", "content": QUESTION}],
            "max_tokens": 16_000,
        }

    async def whole(self, model: str) -> str:
        answer = await self._client.messages.create(model=model, **self._asked)
        return "".join(block.text for block in answer.content if block.type == "text")

    async def stream(self, model: str) -> AsyncIterator[str]:
        stream = await self._client.messages.create(model=model, stream=True, **self._asked)
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text


class OfficialGemini:
    """Google's SDK, which takes aiohttp by itself if it finds it."""

    def __init__(self, address: str, *, aiohttp: bool) -> None:
        from google import genai

        options = genai.types.HttpOptions(base_url=address)
        self._models = genai.Client(api_key="key", http_options=options).aio.models

    async def whole(self, model: str) -> str:
        answer = await self._models.generate_content(model=model, contents=QUESTION)
        return answer.text or ""

    async def stream(self, model: str) -> AsyncIterator[str]:
        chunks = await self._models.generate_content_stream(model=model, contents=QUESTION)
        async for chunk in chunks:
            if chunk.text:
                yield chunk.text


class OfficialOllama:
    """Ollama's own client."""

    def __init__(self, address: str, *, aiohttp: bool) -> None:
        import ollama

        self._client = ollama.AsyncClient(host=address)
        self._messages = [{"role": "user", "content": QUESTION}]

    async def whole(self, model: str) -> str:
        answer = await self._client.chat(model=model, messages=self._messages)
        return answer.message.content or ""

    async def stream(self, model: str) -> AsyncIterator[str]:
        parts = await self._client.chat(model=model, messages=self._messages, stream=True)
        async for part in parts:
            if part.message.content:
                yield part.message.content


class ByHand:
    """httpx2 and `json`, with neither errors nor usage nor retries."""

    def __init__(self, vendor: str, address: str) -> None:
        import httpx2

        limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=1000)
        headers = {"authorization": "Bearer key", "x-goog-api-key": "key"}
        self._client = httpx2.AsyncClient(
            base_url=address, headers=headers, timeout=600, limits=limits
        )
        self._vendor = vendor

    def _asked(self, model: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
        if self._vendor == "gemini":
            verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
            contents = [{"role": "user", "parts": [{"text": QUESTION}]}]
            return f"/v1/models/{model}:{verb}", {"contents": contents}
        paths = {
            "openai": "/v1/chat/completions",
            "claude": "/v1/messages",
            "ollama": "/api/chat",
        }
        body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
        return paths[self._vendor], body | {"max_tokens": 16_000, "stream": stream}

    async def whole(self, model: str) -> str:
        path, body = self._asked(model, stream=False)
        answer = await self._client.post(path, json=body)
        answer.raise_for_status()
        return _WHOLE[self._vendor](answer.json())

    async def stream(self, model: str) -> AsyncIterator[str]:
        path, body = self._asked(model, stream=True)
        part = _PART[self._vendor]
        async with self._client.stream("POST", path, json=body) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                data = line if self._vendor == "ollama" else line.removeprefix("data: ")
                if data.startswith("{") and (text := part(json.loads(data))):
                    yield text


_WHOLE: dict[str, Any] = {
    "openai": lambda data: data["choices"][0]["message"]["content"],
    "claude": lambda data: data["content"][0]["text"],
    "ollama": lambda data: data["message"]["content"],
    "gemini": lambda data: data["candidates"][0]["content"]["parts"][0]["text"],
}
_PART: dict[str, Any] = {
    "openai": lambda data: data["choices"] and data["choices"][0]["delta"].get("content"),
    "claude": lambda data: data.get("delta", {}).get("text"),
    "ollama": lambda data: data["message"]["content"],
    "gemini": lambda data: data["candidates"][0]["content"]["parts"][0].get("text"),
}
_OFFICIAL: dict[str, Any] = {
    "openai": OfficialOpenAI,
    "claude": OfficialClaude,
    "ollama": OfficialOllama,
    "gemini": OfficialGemini,
}


def open_client(name: str, vendor: str, address: str) -> Client:
    """Return the client *name* of *vendor*, for the server at *address*."""
    if name.startswith("official"):
        client: Client = _OFFICIAL[vendor](address, aiohttp=name == "official on aiohttp")
        return client
    if name == "by hand":
        return ByHand(vendor, address)
    return Ours(vendor, address)
