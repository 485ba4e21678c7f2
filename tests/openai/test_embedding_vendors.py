"""The contract of embeddings, for each vendor of `embedding_vendors.py`, and what is different there."""

import ast
import inspect
import os
import re
from dataclasses import replace
from types import new_class

import pytest
from bruno_llm_base import ConfigurationError, EmbeddingFactory, Retry
from bruno_llm_base.discovery import EMBEDDINGS, kind_of
from bruno_llm_openai import OpenAIEmbeddings, embedding_vendors, vendors
from bruno_llm_openai.embedding_vendors import ROWS
from bruno_llm_testing import EmbeddingContract, FakeVendor

HAS_NOTHING_TO_DO_WITH_ROWS = (
    "test_a_dead_server_is_told",
    "test_a_failed_batch_alone_is_sent_again",
    "test_an_answer_that_makes_no_sense_is_an_error",
    "test_errors_are_of_one_family",
    "test_one_provider_serves_several_loops_and_processes",
    "test_what_cannot_be_embedded_is_refused_first",
)
each = pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
ROW_LINES = 12


class VendorContract(EmbeddingContract):
    @pytest.fixture
    def server(self):
        with FakeVendor(self.row) as server:
            yield server
        assert server.complaints == []


def contract_of(row):
    kind = kind_of(row.name, EMBEDDINGS)
    if not row.dimensions:  # a server of one's own may have any model
        row = replace(row, default_model="a-model", dimensions={"a-model": 64})
        kind = new_class("Own", (kind,), {"row": row})
    facts = {"row": row, "provider": kind, "takes_dimensions": row.dimensions_field is not None}
    facts |= dict.fromkeys(HAS_NOTHING_TO_DO_WITH_ROWS)
    return type(f"Test_{row.name}", (VendorContract,), facts)


globals().update({f"Test_{row.name}": contract_of(row) for row in ROWS.values()})


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        if name.endswith(("_API_KEY", "_BASE_URL", "_TOKEN")):
            monkeypatch.delenv(name)
    for row in ROWS.values():
        for variable in re.findall(r"\{(\w+)\}", row.base_url):
            monkeypatch.setenv(variable, "example.test")


def test_a_row_has_at_most_twelve_lines_and_a_source():
    for node in ast.parse(inspect.getsource(embedding_vendors)).body:
        if isinstance(node, ast.Assign):
            assert node.end_lineno - node.lineno < ROW_LINES, ast.unparse(node.targets[0])
    assert all(re.fullmatch(r"https://\S+, (.+, )?2026-11-28", row.source) for row in ROWS.values())
    assert all(row.default_model in row.dimensions for row in ROWS.values() if row.needs_key)


@each
def test_a_row_is_a_provider_that_the_factory_knows(row):
    made = EmbeddingFactory.create(row.name, model="a-model", api_key="test-key")
    assert isinstance(made, OpenAIEmbeddings)
    assert (made.name, made.adapter.row, made.model) == (row.name, row, "a-model")
    assert made.access.url == row.address()
    if row.needs_key:
        with pytest.raises(ConfigurationError, match=f"set {row.api_key_env[0]} or pass api_key"):
            EmbeddingFactory.create(row.name)
    if not row.default_model:
        with pytest.raises(ConfigurationError, match=r"no model of its own choice: give model="):
            EmbeddingFactory.create(row.name)


@each
def test_a_vendor_has_one_address_for_all(row):
    if row.name in vendors.ROWS:
        chat = vendors.ROWS[row.name]
        assert (chat.base_url, chat.api_key_env) == (row.base_url, row.api_key_env)


def test_an_address_has_the_same_row_as_the_name():
    for row in (embedding_vendors.MISTRAL, embedding_vendors.VOYAGE, embedding_vendors.JINA):
        made = OpenAIEmbeddings("m", base_url=row.base_url, api_key="k")
        assert made.adapter.row is row
    own = OpenAIEmbeddings("m", base_url="https://llm.example.com/v1", api_key="k")
    assert own.adapter.row.name == "llm.example.com"
    assert own.get_max_batch_size() == 256


async def test_tokens_that_only_a_total_tells_are_read():
    heard = []
    row = embedding_vendors.VOYAGE
    with FakeVendor(row) as server:
        keywords = server.connection() | {"observers": [heard.append], "retry": Retry(attempts=1)}
        async with EmbeddingFactory.create("voyage", **keywords, dimensions=256) as embeddings:
            assert len(await embeddings.embed_text("hi")) == 256
    (body,) = [request.body for request in server.received]
    assert (body["output_dimension"], body["truncation"]) == (256, False)
    done = heard[-1].response
    assert done.usage.input_tokens > 0
    assert not done.usage_estimated


async def test_a_request_has_no_more_texts_than_the_vendor_takes():
    with FakeVendor(embedding_vendors.QWEN) as server:
        async with EmbeddingFactory.create("qwen", **server.connection()) as embeddings:
            assert len(await embeddings.embed_texts(["hi"] * 25)) == 25
            assert embeddings.get_max_batch_size() == 10
    assert [len(request.body["input"]) for request in server.received] == [10, 10, 5]
    with pytest.raises(ConfigurationError, match="qwen takes 10 texts at most"):
        EmbeddingFactory.create("qwen", api_key="k", batch_size=11)
