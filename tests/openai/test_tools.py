"""Tools at OpenAI's own address."""

from typing import Annotated

from bruno_llm_base import Tool
from bruno_llm_openai.schemas import build_tools
from pydantic import Field


def search(query: Annotated[str, Field(max_length=9)], page: int) -> str:
    """Search."""


def look(query: str, page: int = 1) -> str:
    """Look."""


def function(tool):
    return build_tools([tool], choice=None, parallel=None, is_own=False)["tools"][0]["function"]


def test_a_tool_is_strict_where_no_null_has_to_be_added():
    told = function(Tool(search))
    assert told["strict"] is True
    assert told["parameters"] == {
        "type": "object",
        "properties": {
            "query": {"type": "string", "description": "(maxLength: 9)"},
            "page": {"type": "integer"},
        },
        "required": ["query", "page"],
        "additionalProperties": False,
    }
    assert "strict" not in function(Tool(look))
    assert "strict" not in function(Tool(search, strict=False))


def test_a_tool_that_insists_takes_null_for_what_is_left_out():
    told = function(Tool(look, strict=True))
    assert told["strict"] is True
    assert told["parameters"]["required"] == ["query", "page"]
    assert told["parameters"]["properties"]["page"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "(default: 1)",
    }
