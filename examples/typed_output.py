"""Read people and dates out of a text, as objects.

    BRUNO_LLM_PROVIDER=gemini python examples/typed_output.py letter.txt

The type says what is wanted: its names, docstrings and descriptions are what the model reads.
"""

import asyncio
import sys
from datetime import date
from pathlib import Path
from typing import Literal

from bruno_llm import LLMFactory, OutputInvalidError
from pydantic import BaseModel, Field

TEXT = "Mrs Rossi will be in Rome on 3 May 2027. Mr Weber cannot say yet whether he comes."


class Visit(BaseModel):
    """A visit that the text tells of."""

    who: str = Field(description="The visitor's name, without a title")
    day: date | None = Field(None, description="The day, if the text tells it")
    certain: Literal["yes", "no"]


async def main(text: str) -> None:
    """Print the visits in a text."""
    async with LLMFactory.from_env() as llm:
        asked = f"Which visits does this tell of?\n\n{text}"
        try:
            answer = await llm.request(asked, output=list[Visit])
        except OutputInvalidError as error:
            print("The model did not fit the type:", *error.errors, sep="\n- ")
            return
        for visit in answer.output:
            print(f"{visit.who}: {visit.day or 'some day'} ({visit.certain})")
        print(f"[{answer.usage.total_tokens} tokens]")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]).read_text() if sys.argv[1:] else TEXT))
