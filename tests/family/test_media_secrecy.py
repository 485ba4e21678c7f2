"""What a file holds is found in no log, event, error, description, ledger or recording."""

import logging
import pickle
import traceback
from base64 import b64encode

import pytest
from bruno_llm_base import (
    CostTracker,
    FallbackLLM,
    LLMError,
    Media,
    MediaPolicy,
    ModelResponse,
    Retry,
    Text,
    ToolCall,
    run_tools,
)
from bruno_llm_base.messages import question
from bruno_llm_testing import Cassette, FakeAnswer, FakeError, Fault

HEADER = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\3\0\0\0\2"
SEEING = {"ollama": {"model": "gemma4:e4b"}}  # models with eyes, where the default one has none
CANARY = "canary-7Hq2xW4v-of-a-file"
CANARIES = {CANARY, *(b64encode(b"x" * n + CANARY.encode())[4:-4].decode() for n in range(3))}
PICTURE = HEADER + CANARY.encode() * 400
LETTER = f"Dear {CANARY},\n".encode() * 400


def canaries_in(text):
    return sorted(canary for canary in CANARIES if canary in text)


class Audience:
    """Whoever may look."""

    def __init__(self, caplog, capfd):
        self.caplog, self.capfd = caplog, capfd
        self.shown = []
        self.errors = []

    def hear(self, event):
        self.shown.append(f"event {event!r} {event!s}")

    def catch(self, error):
        self.errors.append(error)
        chain = "".join(traceback.format_exception(error))
        own = {name: value for name, value in vars(error).items() if name != "cause"}
        self.shown += [f"error {error!r} {error!s} {chain} {own!r} {pickle.dumps(error)!r}"]
        for inner in getattr(error, "errors", ()):
            self.catch(inner)

    def saw(self):
        """Return everything in which there is a canary."""
        formatter = logging.Formatter()
        logged = [f"{r.name} {formatter.format(r)} {vars(r)!r}" for r in self.caplog.records]
        texts = [*self.shown, *logged, *self.capfd.readouterr()]
        return [text[:300] for text in texts if canaries_in(text)]


@pytest.fixture
def audience(caplog, capfd):
    caplog.set_level(logging.DEBUG)
    return Audience(caplog, capfd)


@pytest.fixture
def media(tmp_path):
    (tmp_path / "photo.png").write_bytes(PICTURE)
    (tmp_path / "letter.txt").write_bytes(LETTER)
    return [
        Media(tmp_path / "photo.png"),
        Media(data=PICTURE),
        Media(url=f"data:image/png;base64,{b64encode(PICTURE).decode()}"),
    ]


async def use(llm, media, audience):
    """Send *media* in every way there is."""

    async def streamed():
        async with llm.stream("Look", attachments=media) as stream:
            return [piece async for piece in stream], stream.response

    def look():
        """Look."""
        return ["seen", *media]

    block = {"type": "image_url", "image_url": {"url": str(media[0].path)}}
    asks = {
        "whole": lambda: llm.request("Look", attachments=media),
        "streamed": streamed,
        "block": lambda: llm.request({"role": "user", "content": [block, "Look"]}),
        "counted": lambda: llm.count_tokens("Look", attachments=media),
        "tools": lambda: run_tools(llm, "Look", tools=[look]),
    }
    for name, ask in asks.items():
        try:
            audience.shown.append(f"{name} {await ask()!r}")
        except LLMError as error:
            audience.catch(error)
    audience.shown.append(f"{llm!r} {vars(llm)!r} {llm.get_model_info()!r}")


MISHAPS = {
    "nothing": None,
    "an error": FakeError(kind="server"),
    "a refusal": FakeError(kind="invalid_request"),
    "a broken stream": Fault(after=2, then="reset"),
}


@pytest.mark.parametrize("mishap", MISHAPS)
async def test_what_a_file_holds_is_not_shown(
    name, kind, server, audience, media, mishap, tmp_path
):
    if MISHAPS[mishap] is not None:
        server.say(MISHAPS[mishap], times=20)
    else:
        call = ToolCall(id="c", name="look", arguments="{}")
        server.say(*[FakeAnswer(text="Yes.")] * 3)
        server.say(FakeAnswer(text="", tool_calls=(call,)), FakeAnswer(text="Yes."))
    tracker = CostTracker(tmp_path / "costs.db", prices={})
    llm = kind(
        **server.connection(),
        retry=Retry(attempts=2, wait_initial=0),
        observers=[audience.hear],
        media=MediaPolicy(roots=[tmp_path]),
        cost=tracker,
        **SEEING.get(name, {}),
    )
    async with llm:
        await use(llm, media, audience)
        await use(FallbackLLM([llm], observers=[audience.hear]), media, audience)
    assert any(canaries_in(str(body)) for body in server.bodies)
    assert audience.errors or mishap == "nothing"
    assert audience.saw() == []
    tracker.close()
    ledgers = list(tmp_path.glob("costs*"))
    assert ledgers
    assert not any(canaries_in(path.read_bytes().decode("latin-1")) for path in ledgers)


async def test_files_that_are_not_sent_are_not_shown(kind, server, audience, media, tmp_path):
    llm = kind(**server.connection(), observers=[audience.hear], media=MediaPolicy(max_bytes=500))
    async with llm:
        await use(llm, media, audience)
    unknown = Media(data=b"\0" + CANARY.encode())
    with pytest.raises(LLMError) as caught:
        await llm.generate("Look", attachments=[unknown])
    audience.catch(caught.value)
    assert len(audience.errors) >= 5
    assert audience.saw() == []
    assert server.bodies == [] or not canaries_in(str(server.bodies))


def test_values_do_not_show_what_they_hold(media):
    message = question("Look", {"attachments": media})[0]
    answer = ModelResponse(parts=(Text("Here."), Media(data=PICTURE, type="image/png")))
    for value in (*media, answer, message):
        assert not canaries_in(f"{value!r} {value!s}")
    with pytest.raises(ValueError, match="give its bytes") as caught:
        Media(data=CANARY)
    assert not canaries_in(str(caught.value))


async def test_a_recording_holds_no_file(name, kind, server, media, tmp_path):
    with Cassette(tmp_path / "cassette.json", mode="rewrite"):
        async with kind(**server.connection(), **SEEING.get(name, {})) as llm:
            await llm.generate("Look", attachments=media)
    assert not canaries_in((tmp_path / "cassette.json").read_text())
