"""The contract of providers, for each vendor of `vendors.py`, on a fake that does as the vendor does.

The classes are made of the rows: a new one is tested without a new line here. What has nothing to do
with a row is left to OpenAI's own contract.
"""

import json
from functools import partial

import pytest
from bruno_llm_base import RateLimitError, ToolCall, run_tools
from bruno_llm_base.discovery import kind_of
from bruno_llm_base.limits import read_limits
from bruno_llm_openai.vendors import ROWS
from bruno_llm_testing import FakeAnswer, FakeError, FakeVendor, ProviderContract
from bruno_llm_testing.contracts.model import EVERY_ERROR

pytestmark = pytest.mark.usefixtures("unmeasured")

HAS_NOTHING_TO_DO_WITH_ROWS = (
    "test_a_count_is_the_servers_own_where_it_has_one",
    "test_a_dead_server_is_told",
    "test_a_server_that_cannot_count_is_made_up_for",
    "test_a_dropped_provider_leaves_nothing_open",
    "test_a_stream_may_be_awaited_or_entered",
    "test_a_stream_that_is_cut_is_an_error",
    "test_it_is_an_llm_of_bruno_core",
    "test_leaving_a_stream_closes_the_connection",
    "test_media_reach_the_wire_or_are_refused",
    "test_one_provider_serves_several_loops",
    "test_tokens_are_counted",
    "test_what_cannot_be_sent_is_refused_first",
    "test_what_may_pass_is_sent_again",
)


class VendorContract(ProviderContract):
    counts_tokens = False

    @pytest.fixture
    def server(self):
        with self.fake() as server:
            yield server
        assert server.complaints == []

    def make(self, keywords, **more):
        return super().make({"model": self.row.default_model or "a-model"} | keywords, **more)

    @pytest.mark.parametrize(("kind", "expected"), EVERY_ERROR)
    def test_errors_are_told_apart(self, server, keywords, kind, expected):
        # they come before a stream begins
        super().test_errors_are_told_apart(server, keywords, kind, expected, streamed=False)

    def test_thoughts_come_back_with_the_results_of_tools(self, server, keywords):
        if not self.calls_tools:
            return
        call = ToolCall(id="call_1", name="look", arguments="{}")
        thought = "Let me look." if self.reports_reasoning else ""
        wanted = FakeAnswer(
            text="", reasoning=thought, tool_calls=(call,), finish_reason="tool_call"
        )
        server.say(wanted, FakeAnswer(text="It is there."))

        def look() -> str:
            """Look."""
            return "there"

        ask = partial(run_tools, messages="Where is it?", tools=[look])
        answer = self.run(self.make(keywords), ask)
        assert answer.text == "It is there."
        sent = json.dumps(server.bodies[1]["messages" if self.row.api == "chat" else "input"])
        goes_back = self.row.sends_back and not self.row.think_tags and self.reports_reasoning
        if self.row.api == "chat":
            assert (thought in sent) == goes_back if thought else True

    def test_its_limits_are_read(self, server, keywords):
        if not self.row.limit_headers:
            return
        full = {
            self.row.limit_headers.format(what=what, unit="requests"): value
            for what, value in {"limit": "9", "remaining": "0", "reset": "7s"}.items()
        }
        assert read_limits(full, self.row.limit_headers).wait == 7
        server.say(FakeError(kind="rate_limit", headers=full))
        with pytest.raises(RateLimitError) as caught:
            self.run(self.make(keywords), lambda llm: llm.generate("Hi"))
        assert caught.value.retry_after == 7


def contract_of(row):
    facts = {
        "row": row,
        "provider": kind_of(row.name),
        "fake": staticmethod(partial(FakeVendor, row)),
        "lists_models": row.models_path is not None,
        "calls_tools": "tools" not in row.refused(""),
        "reports_reasoning": bool(row.reasoning_field) or row.think_tags,
    }
    facts |= dict.fromkeys(HAS_NOTHING_TO_DO_WITH_ROWS)
    return type(f"Test_{row.name}", (VendorContract,), facts)


globals().update({f"Test_{row.name}": contract_of(row) for row in ROWS.values()})
