"""A provider of your own for a server that speaks OpenAI's protocol: a name and some defaults.

    LAB_BASE_URL=http://127.0.0.1:8000/v1 python examples/custom_provider.py

A server with a protocol of its own takes one file more: see examples/bruno-llm-parrot.
"""

import asyncio

from bruno_llm import OpenAIProvider


class LabProvider(OpenAIProvider):
    """Talk to the model server of our laboratory."""

    name = "lab"
    default_base_url = "http://127.0.0.1:8000/v1"
    base_url_env = "LAB_BASE_URL"
    api_key_env = ("LAB_API_KEY",)
    needs_key = False
    free = "the laboratory pays"


async def main() -> None:
    """Ask the first model that the server offers."""
    async with LabProvider() as llm:
        model, *_ = await llm.list_models()
        answer = await llm.request("Why is the sky blue?", model=model)
        print(f"{answer.provider}, {answer.model}: {answer.text}")
        print(answer.cost.source)


if __name__ == "__main__":
    asyncio.run(main())
