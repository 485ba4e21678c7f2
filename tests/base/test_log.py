"""What is in the log, and what a server cannot put there."""

import logging

from bruno_llm_base import ModelResponse
from bruno_llm_base.log import log_event
from bruno_llm_base.observe import RequestFinished


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
