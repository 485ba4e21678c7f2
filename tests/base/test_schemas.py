"""JSON schemas in the subsets that vendors take."""

from typing import Annotated, Any, Literal

import pytest
from bruno_llm_base.schemas import (
    SchemaSubset,
    fit_schema,
    inlined,
    is_object,
    resolved,
    without_added_nulls,
    without_titles,
)
from pydantic import BaseModel, Field, TypeAdapter

CLOSED = SchemaSubset(
    keywords=frozenset({"minimum"}),
    formats=frozenset({"date"}),
    is_closed=True,
    all_required=True,
    takes_recursion=False,
    refs_stand_alone=True,
)


class Area(BaseModel):
    unit: Literal["km2"] = "km2"
    size: float | None = Field(None, description="How large")


class City(BaseModel):
    """A city."""

    name: str = Field(min_length=2, description="Its name")
    title: str = "of a field, not of the schema"
    people: Annotated[int, Field(ge=0)] = 5
    area: Area = Field(default_factory=Area, description="What it covers")


class Node(BaseModel):
    value: int
    children: list["Node"] = []


def schema_of(kind):
    return TypeAdapter(kind).json_schema()


def test_what_a_vendor_does_not_take_is_told_to_the_model():
    fitted = fit_schema(schema_of(City), CLOSED)
    assert fitted["properties"] == {
        "name": {"type": "string", "description": "Its name (minLength: 2)"},
        "title": {
            "anyOf": [{"type": "string"}, {"type": "null"}],
            "description": '(default: "of a field, not of the schema")',
        },
        "people": {
            "anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}],
            "description": "(default: 5)",
        },
        "area": {
            "anyOf": [{"$ref": "#/$defs/Area"}, {"type": "null"}],
            "description": "What it covers",
        },
    }
    assert fitted["required"] == ["name", "title", "people", "area"]
    assert fitted["additionalProperties"] is False
    assert fitted["description"] == "A city."
    assert "title" not in fitted
    assert fitted["$defs"]["Area"]["required"] == ["unit", "size"]


def test_what_vendors_insist_on_is_added():
    class Odd(BaseModel):
        mixed: Literal["x", 1]
        maybe: Literal["a", None] = "a"  # noqa: PYI061 - pydantic lists its null

    fitted = fit_schema(schema_of(Odd), CLOSED)["properties"]
    assert fitted["mixed"] == {"enum": ["x", 1], "type": ["string", "integer"]}
    assert fitted["maybe"]["type"] == ["string", "null"]
    assert without_added_nulls({"maybe": None}, schema_of(Odd)) == {"maybe": None}
    bare = {"properties": {"x": {"const": 1}}}
    assert fit_schema(bare, CLOSED)["type"] == "object"
    assert fit_schema(bare, CLOSED)["additionalProperties"] is False


def test_a_pattern_that_looks_around_is_told_in_words():
    knows_patterns = SchemaSubset(keywords=frozenset({"pattern"}))
    schema = {"type": "string", "pattern": "^(?!a)b"}
    assert fit_schema(schema, knows_patterns)["description"] == '(pattern: "^(?!a)b")'
    assert fit_schema({"type": "string", "pattern": "^b"}, knows_patterns)["pattern"] == "^b"


def test_the_schema_that_is_given_stays_as_it_is():
    schema = schema_of(City)
    fit_schema(schema, CLOSED)
    assert schema == schema_of(City)
    assert "title" in without_titles(schema)["properties"]
    assert "title" not in without_titles(schema)["properties"]["title"]
    everything = SchemaSubset(keywords=frozenset({"default", "minLength", "minimum"}))
    fitted = fit_schema(schema, everything)
    assert fitted["properties"]["name"]["minLength"] == 2
    assert fitted["required"] == ["name"]


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (dict[str, int], "an object has properties of any name"),
        (list[Any], "something may be anything"),
        (tuple[int, str], "a list holds no one kind of thing"),
        (Node, r"the schema refers to itself: #/\$defs/Node"),
    ],
)
def test_what_cannot_be_closed_is_told(kind, complaint):
    with pytest.raises(ValueError, match=complaint):
        fit_schema(schema_of(kind), CLOSED)
    assert fit_schema(schema_of(kind), SchemaSubset())


def test_references_are_followed():
    inner = inlined(schema_of(City))["properties"]["area"]
    assert inner["properties"]["unit"]["const"] == "km2"
    assert inner["description"] == "What it covers"
    assert is_object(schema_of(Node))
    assert not is_object(schema_of(list[Node]))
    assert not is_object(schema_of(City | Node))
    for ref in ("#/$defs/Gone", "other.json#/a"):
        with pytest.raises(ValueError, match="which it does not hold"):
            resolved({"$ref": ref}, {"$defs": {}})
    fitted = fit_schema(schema_of(Node), SchemaSubset(is_closed=True))
    assert fitted["type"] == "object"
    assert fitted["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}


def test_parts_that_hold_together_are_merged():
    schema = {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    }
    fitted = fit_schema(schema, SchemaSubset())
    assert fitted["properties"] == {"a": {"type": "integer"}, "b": {"type": "string"}}
    assert fitted["required"] == ["a", "b"]
    with pytest.raises(ValueError, match="several things at once"):
        fit_schema({"allOf": [{"type": "string"}, {"type": "integer"}]}, SchemaSubset())


def test_nulls_that_stand_for_nothing_are_left_out():
    given = {
        "name": "Paris",
        "title": None,
        "people": None,
        "area": {"unit": None, "size": None},
    }
    assert without_added_nulls(given, schema_of(City)) == {"name": "Paris", "area": {"size": None}}
    both = schema_of(list[City | Node])
    nodes = [{"value": 1, "children": [{"value": 2, "children": None}]}, given]
    assert without_added_nulls(nodes, both) == [
        {"value": 1, "children": [{"value": 2}]},
        {"name": "Paris", "area": {"size": None}},
    ]
    assert without_added_nulls({"x": None}, {"type": "object"}) == {"x": None}
    assert without_added_nulls(None, {}) is None
