"""The circuit breaker's law, on a clock of its own."""

import threading

import pytest
from bruno_llm_base import Breaker, ConfigurationError
from bruno_llm_base.wrappers.breaker import Circuit
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def opened(clock, **policy):
    circuit = Circuit(Breaker(failures=1, **policy), clock)
    circuit.failed(circuit.admit())
    return circuit


@pytest.mark.parametrize(
    ("keywords", "complaint"),
    [
        ({"failures": 0}, "Breaker.failures is 0: give a whole number, 1 or more"),
        ({"failures": True}, "Breaker.failures is True"),
        ({"failures": 2.0}, "Breaker.failures is 2.0"),
        ({"cooldown": -1}, "Breaker.cooldown is -1: give seconds, 0 to 1"),
        ({"cooldown": float("nan")}, "Breaker.cooldown is nan"),
        ({"cooldown": "30"}, "Breaker.cooldown is '30'"),
    ],
)
def test_a_wrong_value_is_named(keywords, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        Breaker(**keywords)


def test_a_success_between_two_failures_starts_the_count_anew(clock):
    circuit = Circuit(Breaker(failures=2), clock)
    circuit.failed(circuit.admit())
    circuit.succeeded(circuit.admit())
    circuit.failed(circuit.admit())
    assert circuit.admit() is not None
    circuit.failed(circuit.admit())
    assert circuit.admit() is None


def test_after_the_cooldown_one_probe_at_a_time_goes_through(clock):
    circuit = opened(clock, cooldown=30)
    assert circuit.wait == 30
    clock.now += 29.9
    assert circuit.admit() is None
    clock.now += 0.1
    assert circuit.wait == 0
    probe = circuit.admit()
    assert probe is not None
    assert circuit.admit() is None
    assert circuit.wait is None
    circuit.failed(probe)
    assert circuit.wait == 30
    clock.now += 30
    circuit.succeeded(circuit.admit())
    assert circuit.admit() is not None
    assert circuit.wait == 0


def test_a_probe_that_tells_nothing_leaves_its_place_to_the_next(clock):
    circuit = opened(clock, cooldown=0)
    circuit.dropped(circuit.admit())
    assert circuit.admit() is not None


def test_a_probe_that_is_being_answered_closes_the_circuit(clock):
    circuit = opened(clock, cooldown=30)
    clock.now += 30
    probe = circuit.admit()
    circuit.begun(probe)
    assert circuit.admit() is not None
    circuit.failed(probe)
    assert circuit.wait == 30


def test_beginning_forgives_nothing_while_the_circuit_is_closed(clock):
    circuit = Circuit(Breaker(failures=2), clock)
    for _ in range(2):
        ticket = circuit.admit()
        circuit.begun(ticket)
        circuit.failed(ticket)
    assert circuit.admit() is None


def test_the_servers_longer_wait_is_kept(clock):
    circuit = Circuit(Breaker(failures=1, cooldown=30), clock)
    circuit.failed(circuit.admit(), retry_after=3600)
    assert circuit.wait == 3600
    shorter = Circuit(Breaker(failures=1, cooldown=30), clock)
    shorter.failed(shorter.admit(), retry_after=1)
    assert shorter.wait == 30


@pytest.mark.parametrize("late", ["succeeded", "failed", "dropped", "begun"])
def test_what_began_before_the_circuit_opened_is_old_news(clock, late):
    circuit = Circuit(Breaker(failures=1, cooldown=30), clock)
    early = circuit.admit()
    circuit.failed(circuit.admit())
    clock.now += 10
    getattr(circuit, late)(early)
    assert circuit.wait == 20
    clock.now += 20
    probe = circuit.admit()
    getattr(circuit, late)(early)
    assert circuit.admit() is None
    circuit.succeeded(probe)
    assert circuit.admit() is not None


def test_a_call_may_end_in_the_middle_of_our_own_work():
    # A stream that is garbage is collected anywhere, so also while the clock is asked.
    ends = []

    def clock():
        while ends:
            ends.pop()()
        return 0.0

    circuit = Circuit(Breaker(failures=1, cooldown=0), clock)
    circuit.failed(circuit.admit())
    probe = circuit.admit()
    circuit.dropped(probe)
    ends.append(lambda: circuit.dropped(probe))
    asking = threading.Thread(target=circuit.admit, daemon=True)
    asking.start()
    asking.join(60)
    assert not asking.is_alive()


class Law(RuleBasedStateMachine):
    """Against a model in plain words: who is under way, who counts, what has happened."""

    @initialize(failures=st.integers(1, 4), cooldown=st.integers(0, 20))
    def start(self, failures, cooldown):
        self.clock = Clock()
        self.breaker = Breaker(failures=failures, cooldown=cooldown)
        self.circuit = Circuit(self.breaker, self.clock)
        self.calls = []  # under way, each a ticket in a list of its own
        self.stale = []  # of these, what began before the circuit opened
        self.outcomes = []  # of those that count
        self.until = None  # while open
        self.probe = None

    def close(self):
        self.probe = self.until = None
        self.outcomes.append(True)

    @rule(seconds=st.integers(0, 15))
    def time_passes(self, seconds):
        self.clock.now += seconds

    @rule()
    def call(self):
        ticket = self.circuit.admit()
        left_alone = self.until is not None and (self.probe or self.clock.now < self.until)
        assert (ticket is None) == bool(left_alone)
        if ticket is not None:
            self.calls.append([ticket])
            if self.until is not None:
                self.probe = self.calls[-1]

    @precondition(lambda self: self.calls)
    @rule(
        data=st.data(),
        how=st.sampled_from(["succeeded", "failed", "failed", "dropped"]),
        wait=st.none() | st.integers(0, 40),
    )
    def end(self, data, how, wait):
        call = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        if how == "failed":
            self.circuit.failed(*call, wait)
        else:
            getattr(self.circuit, how)(*call)
        if any(call is old for old in self.stale):
            return
        was_probe = call is self.probe
        if was_probe:
            self.probe = None
        if how == "succeeded":
            self.close()
        elif how == "failed":
            self.outcomes.append(False)
            last = self.outcomes[-self.breaker.failures :]
            if was_probe or (len(last) == self.breaker.failures and not any(last)):
                self.until = self.clock.now + max(self.breaker.cooldown, wait or 0)
                self.stale = list(self.calls)

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def begin(self, data):
        call = self.calls[data.draw(st.integers(0, len(self.calls) - 1))]
        self.circuit.begun(*call)
        if call is self.probe:
            self.close()

    @invariant()
    def the_wait_is_true(self):
        if self.probe is not None:
            assert self.circuit.wait is None
        elif self.until is None:
            assert self.circuit.wait == 0
        else:
            assert self.circuit.wait == max(0, self.until - self.clock.now)


test_the_law = Law.TestCase
