"""What is in the log, and what a server cannot put there."""

import logging

import pytest
from bruno_llm_base import ConfigurationError, ModelResponse
from bruno_llm_base.events import RequestFinished
from bruno_llm_base.log import Observers, log_event


def test_a_server_cannot_forge_a_record(caplog):
    forged = "x\nERROR request failed\x1b[2J"
    response = ModelResponse(model=forged, id="i" * 10_000, finish_reason="stop")
    with caplog.at_level(logging.DEBUG):
        log_event(
            RequestFinished(
                provider="p", model="m", operation="chat", response=response, duration=1.0
            )
        )
    (line,) = caplog.messages
    assert line.isprintable()
    assert len(line) < 400
    assert "finish_reason=stop" in line


async def asynchronous(event):
    raise AssertionError(event)


class Asynchronous:
    async def __call__(self, event):
        raise AssertionError(event)


@pytest.mark.parametrize("observer", [asynchronous, Asynchronous()], ids=["function", "object"])
def test_asynchronous_observers_are_refused(observer):
    with pytest.raises(ConfigurationError, match=r"asynchronous .* give a plain callable"):
        Observers([observer])
