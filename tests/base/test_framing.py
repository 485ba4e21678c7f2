import json
from itertools import pairwise

from bruno_llm_base.transport.framing import LineBuffer
from hypothesis import given
from hypothesis import strategies as st

documents = st.lists(st.dictionaries(st.text(max_size=3), st.text()), max_size=6)
LONG = 1_000_000
cuts = st.lists(st.integers(0, 400), max_size=8)


def read(framing, body, places):
    edges = sorted({0, len(body), *(place for place in places if place < len(body))})
    buffer = LineBuffer(framing, LONG)
    found = []
    for start, end in pairwise(edges):
        found += buffer.feed(body[start:end])
    return [json.loads(document) for document in found + buffer.flush()]


@given(documents, cuts, st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_server_sent_events_survive_any_split(documents, places, end, spaced):
    noise = f": ping{end}event: message{end}id: 7{end}"
    start = "data: " if spaced else "data:"
    body = "".join(
        f"{noise}{start}{json.dumps(d, ensure_ascii=False)}{end}{end}" for d in documents
    )
    assert read("sse", body.encode(), places) == documents


@given(documents, cuts, st.booleans())
def test_ndjson_survives_any_split(documents, places, ended):
    body = "\n".join(json.dumps(d, ensure_ascii=False) for d in documents) + "\n" * ended
    assert read("ndjson", body.encode(), places) == documents
