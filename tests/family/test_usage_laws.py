"""What is true of every usage, whatever a vendor's numbers are, and wherever its stream is cut."""

import json
from dataclasses import asdict, dataclass, fields, replace

import pytest
from bruno_llm_base import Json, ModelResponse, Usage
from bruno_llm_claude import ClaudeProvider
from bruno_llm_gemini import GeminiProvider
from bruno_llm_ollama import OllamaProvider
from bruno_llm_openai import OpenAIProvider
from bruno_llm_testing import FakeAnswer, FakeClaude, FakeGemini, FakeOllama, FakeOpenAI, Received
from hypothesis import given
from hypothesis import strategies as st

counts = st.integers(0, 10**6)
usages = st.builds(Usage, **{field.name: st.none() | counts for field in fields(Usage)})


def check(usage):
    """Check that the parts are parts of their totals."""
    known = {name: count or 0 for name, count in asdict(usage).items()}
    assert min(known.values()) >= 0
    kept_longer = known["cache_write_1h_tokens"] + known["cache_write_12h_tokens"]
    assert kept_longer <= known["cache_write_tokens"]
    if usage.input_tokens is not None:
        assert known["cache_read_tokens"] + known["cache_write_tokens"] <= usage.input_tokens
        assert known["input_audio_tokens"] + known["input_image_tokens"] <= usage.input_tokens
        assert known["cache_read_audio_tokens"] <= known["cache_read_tokens"]
    if usage.output_tokens is not None:
        made = known["output_audio_tokens"] + known["output_image_tokens"]
        assert known["reasoning_tokens"] + made <= usage.output_tokens


# -- documents with consistent numbers --------------------------------------------------------------


@dataclass
class Told:
    """An answer as a vendor tells it: whole, in pieces, and its own total if it has one."""

    whole: Json
    stream: list[Json]
    total: int | None


def split(draw, total, parts):
    """Return *total* as the sum of so many numbers."""
    cuts = sorted(draw(st.lists(st.integers(0, total), min_size=parts - 1, max_size=parts - 1)))
    return [end - begin for begin, end in zip([0, *cuts], [*cuts, total], strict=True)]


@st.composite
def openai(draw):
    prompt, completion = draw(counts) + 1, draw(counts)
    cached, written, audio, image, text = split(draw, prompt, 5)
    thought, spoken, said = split(draw, completion, 3)
    apart = draw(st.booleans())  # whether reasoning is told beside the completion
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": said + spoken if apart else completion,
        "total_tokens": prompt + completion,
    }
    details = {
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": audio,
            "image_tokens": image,
            "text_tokens": text,
        },
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": spoken},
    }
    usage |= draw(st.sampled_from([details, {}, dict.fromkeys(details)]))
    choice = {"index": 0, "finish_reason": "stop"}
    whole = {"choices": [choice | {"message": {"content": "Hi"}}], "usage": usage}
    early = [
        {"prompt_tokens": prompt, "completion_tokens": n, "total_tokens": prompt + n}
        for n in sorted(draw(st.lists(st.integers(0, usage["completion_tokens"]), max_size=4)))
    ]
    stream = [{"choices": [{"index": 0, "delta": {"content": "Hi"}}], "usage": u} for u in early]
    end = {"choices": [choice | {"delta": {}}]}
    if draw(st.booleans()):
        stream.append(end | {"usage": usage})
    else:
        stream += [end, {"choices": [], "usage": usage}]
    return Told(whole, stream, prompt + completion)


@st.composite
def responses(draw):
    prompt, output = draw(counts) + 1, draw(counts)
    cached, written, _ = split(draw, prompt, 3)
    usage = {
        "input_tokens": prompt,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": draw(st.integers(0, output))},
        "total_tokens": prompt + output,
    }
    said = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}
    whole = {"status": "completed", "output": [said], "usage": usage}
    piece = {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi"}
    return Told(whole, [piece, {"type": "response.completed", "response": whole}], prompt + output)


def anthropic(fresh, read, five, hour, output):
    return {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": five + hour,
        "cache_creation": {"ephemeral_5m_input_tokens": five, "ephemeral_1h_input_tokens": hour},
        "output_tokens": output,
    }


@st.composite
def claude(draw):
    parts = st.tuples(counts, counts, counts, counts, counts)
    fresh, read, five, hour, output = draw(parts)
    fresh += 1
    usage = anthropic(fresh, read, five, hour, output)
    usage["output_tokens_details"] = {"thinking_tokens": draw(st.integers(0, output))}
    total = fresh + read + five + hour + output
    if compactions := draw(st.lists(parts, max_size=2)):
        rows = [{"type": "compaction"} | anthropic(*part) for part in compactions]
        advisor = {"type": "advisor_message"} | anthropic(*draw(parts))
        usage["iterations"] = [*rows, advisor, {"type": "message"} | usage]
        total += sum(map(sum, compactions))
    # the input may grow on the way; its shape is the end's, and the split by time the start's
    grows = draw(st.booleans())
    begun = anthropic(draw(st.integers(1, fresh)) if grows else fresh, read, five, hour, 1)
    ended = {name: value for name, value in usage.items() if name != "cache_creation"}
    if not grows and not compactions and draw(st.booleans()):
        ended = {"output_tokens": output, "output_tokens_details": usage["output_tokens_details"]}
    stop = {"stop_reason": "end_turn"}
    whole = stop | {"content": [{"type": "text", "text": "Hi"}], "usage": usage}
    start = {"type": "message_start", "message": {"content": [], "usage": begun}}
    end = {"type": "message_delta", "delta": stop, "usage": ended}
    return Told(whole, [start, end, {"type": "message_stop"}], total)


@st.composite
def gemini(draw):
    prompt, tools, said, thought = draw(counts) + 1, draw(counts), draw(counts), draw(counts)
    cached, audio, _ = split(draw, prompt, 3)
    usage = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tools,
        "candidatesTokenCount": said,
        "thoughtsTokenCount": thought,
        "totalTokenCount": prompt + tools + said + thought,
        "promptTokensDetails": [
            {"modality": "AUDIO", "tokenCount": audio},
            {"modality": "TEXT", "tokenCount": prompt - audio},
        ],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": said}],
    }
    usage = {name: value for name, value in usage.items() if value}  # 0 is left out
    if draw(st.booleans()):  # older models counted their thoughts in the total only
        usage.pop("thoughtsTokenCount", None)
    early = [
        {
            "promptTokenCount": prompt,
            "candidatesTokenCount": n,
            "totalTokenCount": prompt + n,
        }
        for n in sorted(draw(st.lists(st.integers(1, said), max_size=4) if said else st.just([])))
    ]
    candidate = {"content": {"parts": [{"text": "Hi"}]}}
    stream = [{"candidates": [candidate], "usageMetadata": u} for u in early]
    whole = {"candidates": [candidate | {"finishReason": "STOP"}], "usageMetadata": usage}
    return Told(whole, [*stream, whole], usage["totalTokenCount"])


@st.composite
def ollama(draw):
    prompt, output = draw(counts) + 1, draw(counts)
    end = {"prompt_eval_count": prompt} | ({"eval_count": output} if output else {})
    if draw(st.booleans()):
        end["prompt_eval_cached_count"] = draw(st.integers(0, prompt))
    said = {"message": {"role": "assistant", "content": "Hi"}}
    whole = said | {"done": True, "done_reason": "stop"} | end
    nothing = {"message": {"role": "assistant", "content": ""}}
    return Told(whole, [said | {"done": False}, whole | nothing], prompt + output)


VENDORS = {
    "openai": (OpenAIProvider(api_key="k", api="chat"), openai()),
    "responses": (OpenAIProvider(api_key="k", api="responses"), responses()),
    "claude": (ClaudeProvider(api_key="k"), claude()),
    "gemini": (GeminiProvider(api_key="k"), gemini()),
    "ollama": (OllamaProvider(), ollama()),
}


@pytest.mark.parametrize("vendor", VENDORS)
@given(data=st.data())
def test_a_document_keeps_the_laws_whole_and_streamed(vendor, data):
    llm, documents = VENDORS[vendor]
    told = data.draw(documents)
    usage = llm.adapter.parse(told.whole).usage
    check(usage)
    assert usage.total_tokens == told.total
    assert ModelResponse.join(map(llm.adapter.parse_event, told.stream)).usage == usage


# -- two requests, and two reports of one ---------------------------------------------------------


@given(usages, usages, usages)
def test_addition_is_that_of_numbers(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == Usage() + a == a
    both = asdict(a + b)
    for name, one in asdict(a).items():
        known = [count for count in (one, asdict(b)[name]) if count is not None]
        assert both[name] == (sum(known) if known else None)


@st.composite
def reports(draw, cached):
    """Return a report of a request, which tells of the cache with the input or not at all."""
    usage, tells = draw(usages), draw(cached)
    told = tells and usage.input_tokens is not None
    kept = {
        name: draw(counts) if told else None for name in ("cache_read_tokens", "cache_write_tokens")
    }
    return replace(usage, **kept)


@pytest.mark.parametrize("cached", [True, False])
@given(data=st.data())
def test_updating_is_associative_with_an_identity(cached, data):
    # a server that tells of the cache once in a while is read from left to right
    a, b, c = (data.draw(reports(st.just(cached))) for _ in range(3))
    assert a.updated(b).updated(c) == a.updated(b.updated(c))
    assert a.updated(Usage()) == Usage().updated(a) == a


@given(reports(st.booleans()), reports(st.booleans()))
def test_the_later_report_wins_where_it_says_something(a, b):
    both = a.updated(b)
    for name, count in asdict(b).items():
        ours = getattr(a, name)
        if name == "input_tokens":
            assert getattr(both, name) in (ours, count)
        else:
            assert getattr(both, name) == (ours if not count and ours is not None else count)
    cached = (a.cache_read_tokens or 0) + (a.cache_write_tokens or 0)
    if b.input_tokens and not cached:
        assert both.input_tokens == b.input_tokens


def test_an_input_without_its_cache_is_not_the_whole():
    start = Usage(input_tokens=1050, cache_read_tokens=1000, cache_write_tokens=0)
    assert start.updated(Usage(input_tokens=50, output_tokens=9)).input_tokens == 1050
    assert start.updated(Usage(input_tokens=60, cache_read_tokens=10)).input_tokens == 60


# -- the fakes ----------------------------------------------------------------------------------------

ALL = {field.name for field in fields(Usage)}
LONGER = {"cache_write_1h_tokens", "cache_write_12h_tokens"}
MEDIA = {name for name in ALL if "audio" in name or "image" in name}
FAKES = {
    "openai": (FakeOpenAI, ALL - LONGER - {"cache_read_audio_tokens", "output_image_tokens"}),
    "responses": (FakeOpenAI, ALL - {"cache_write_1h_tokens"} - MEDIA),
    "claude": (FakeClaude, ALL - {"cache_write_12h_tokens"} - MEDIA),
    "gemini": (FakeGemini, ALL - {"cache_write_tokens"} - LONGER),
    "ollama": (FakeOllama, {"input_tokens", "output_tokens", "cache_read_tokens"}),
}


@st.composite
def lawful(draw):
    fresh, read, five, hour, half_day = draw(st.tuples(counts, counts, counts, counts, counts))
    audio, heard, image = draw(st.tuples(counts, counts, counts))
    said, thought, spoken, drawn = draw(st.tuples(counts, counts, counts, counts))
    return Usage(
        input_tokens=1 + fresh + read + heard + five + hour + half_day + audio + image,
        output_tokens=said + thought + spoken + drawn,
        cache_read_tokens=read + heard,
        cache_write_tokens=five + hour + half_day,
        cache_write_1h_tokens=hour,
        cache_write_12h_tokens=half_day,
        reasoning_tokens=thought,
        cache_read_audio_tokens=heard,
        input_audio_tokens=audio + heard,
        input_image_tokens=image,
        output_audio_tokens=spoken,
        output_image_tokens=drawn,
    )


def zeroed(usage):
    """Return *usage* with 0 for what is not said: some vendors leave out what is 0."""
    return Usage(**{name: count or 0 for name, count in asdict(usage).items()})


@pytest.mark.parametrize("vendor", FAKES)
@given(usage=lawful())
def test_a_fake_says_all_that_its_vendor_can(vendor, usage):
    llm, _ = VENDORS[vendor]
    kind, spoken = FAKES[vendor]
    body = {"model": "m", "messages": [{}], "stream_options": {"include_usage": True}}
    path = "/v1/responses" if vendor == "responses" else "/v1/models/m:generateContent"
    request = Received("POST", path, {}, {}, body)
    expected = replace(usage, **dict.fromkeys(ALL - spoken, 0))
    answer, fake = FakeAnswer(text="Hi", usage=usage), kind()
    whole = llm.adapter.parse(fake.render_answer(answer, request)).usage
    lines = b"".join(fake.render_stream(answer, request)).decode().splitlines()
    documents = [line.removeprefix("data: ") for line in lines]
    events = [json.loads(line) for line in documents if line.startswith("{")]
    streamed = ModelResponse.join(map(llm.adapter.parse_event, events)).usage
    assert zeroed(whole) == zeroed(streamed) == expected
