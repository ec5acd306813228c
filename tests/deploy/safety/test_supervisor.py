"""The state machine: every request in every state, the ways to running and to rest, and its chart."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.safety.supervisor import CHART, State, Supervisor, TransitionError, chart

RAMP_S = 0.3
RAMP_NS = 300_000_000
UP = ["arm", "rise"]
ROUTES = {
    State.PASSIVE: [],
    State.STAND_UP: ["arm"],
    State.READY: UP,
    State.RAMP_IN: [*UP, "start"],
    State.RUNNING: [*UP, "start", "advance"],
    State.RAMP_OUT: [*UP, "start", "advance", "stop"],
    State.STOPPED: ["arm", "stop"],
    State.DAMPING: ["arm", "damp"],
    State.FAULT: ["fault"],
}
LEGAL = {
    (State.PASSIVE, "arm"): State.STAND_UP,
    (State.STAND_UP, "rise"): State.READY,
    (State.STAND_UP, "stop"): State.STOPPED,
    (State.STAND_UP, "damp"): State.DAMPING,
    (State.READY, "start"): State.RAMP_IN,
    (State.READY, "stop"): State.STOPPED,
    (State.READY, "damp"): State.DAMPING,
    (State.RAMP_IN, "hold"): State.STAND_UP,
    (State.RAMP_IN, "stop"): State.RAMP_OUT,
    (State.RAMP_IN, "damp"): State.DAMPING,
    (State.RUNNING, "hold"): State.STAND_UP,
    (State.RUNNING, "stop"): State.RAMP_OUT,
    (State.RUNNING, "damp"): State.DAMPING,
    (State.RAMP_OUT, "damp"): State.DAMPING,
    (State.STOPPED, "reset"): State.PASSIVE,
    (State.STOPPED, "damp"): State.DAMPING,
    (State.DAMPING, "reset"): State.PASSIVE,
    (State.FAULT, "reset"): State.PASSIVE,
}
REQUESTS = ("arm", "rise", "start", "hold", "stop", "damp", "reset")
EVENTS = {"rise": "risen"}


def request(supervisor, name, now_ns):
    """Call the method of this name."""
    arguments = (now_ns, "asked to") if name in ("hold", "stop", "damp", "fault") else (now_ns,)
    getattr(supervisor, name)(*arguments)


def slow():
    return Supervisor(ramp_s=RAMP_S, slow=True)


def supervisor_in(state):
    supervisor = slow()
    for index, name in enumerate(ROUTES[state]):
        request(supervisor, name, index * RAMP_NS)
    assert supervisor.state is state
    return supervisor


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("name", REQUESTS)
def test_every_request_in_every_state(state, name):
    supervisor = supervisor_in(state)
    if (state, name) in LEGAL:
        request(supervisor, name, 10 * RAMP_NS)
        assert supervisor.state is LEGAL[state, name]
        return
    words = f"cannot {EVENTS.get(name, name)} in state {state.value}; allowed here: "
    with pytest.raises(TransitionError, match=words):
        request(supervisor, name, 10 * RAMP_NS)
    assert supervisor.state is state


def test_the_message_lists_what_is_allowed():
    with pytest.raises(TransitionError) as caught:
        supervisor_in(State.READY).arm(0)
    assert str(caught.value) == "cannot arm in state ready; allowed here: start, stop, damp"


@pytest.mark.parametrize("state", [state for state in State if state is not State.FAULT])
def test_a_fault_comes_from_anywhere_and_keeps_its_first_cause(state):
    supervisor = supervisor_in(state)
    supervisor.fault(7 * RAMP_NS, "first")
    supervisor.fault(8 * RAMP_NS, "second")
    assert (supervisor.state, supervisor.cause, supervisor.since_ns) == (State.FAULT, "first", 7 * RAMP_NS)
    supervisor.reset(9 * RAMP_NS)
    assert (supervisor.state, supervisor.cause) == (State.PASSIVE, None)


def test_a_stop_keeps_its_cause_until_it_rests():
    supervisor = supervisor_in(State.RUNNING)
    supervisor.stop(10 * RAMP_NS, "landed")
    assert (supervisor.state, supervisor.cause) == (State.RAMP_OUT, "landed")
    assert supervisor.advance(11 * RAMP_NS) is State.STOPPED
    assert supervisor.cause == "landed"


def test_what_is_held_keeps_its_cause_until_it_is_started_again():
    supervisor = supervisor_in(State.RUNNING)
    supervisor.hold(10 * RAMP_NS, "out of its depth")
    supervisor.rise(11 * RAMP_NS)
    assert (supervisor.state, supervisor.cause) == (State.READY, "out of its depth")
    supervisor.start(12 * RAMP_NS)
    assert (supervisor.state, supervisor.cause) == (State.RAMP_IN, None)


@pytest.mark.parametrize("name", ["start", "advance"])
def test_what_is_not_slow_is_ready_at_once_and_stopped_at_once(name):
    supervisor = Supervisor(ramp_s=RAMP_S)
    supervisor.arm(0)
    assert supervisor.state is State.READY
    supervisor.start(0)
    if name == "advance":
        supervisor.advance(RAMP_NS)
    supervisor.stop(2 * RAMP_NS, "enough")
    assert supervisor.state is State.STOPPED


def test_a_node_that_ends_does_not_ramp_out():
    supervisor = supervisor_in(State.RUNNING)
    supervisor.stop(10 * RAMP_NS, "the node ends", at_once=True)
    assert (supervisor.state, supervisor.cause) == (State.STOPPED, "the node ends")


def test_the_weight_rises_and_falls_over_the_ramps():
    supervisor = slow()
    assert supervisor.weight(0) == 0.0
    supervisor.arm(0)
    supervisor.rise(0)
    assert supervisor.weight(5 * RAMP_NS) == 0.0
    supervisor.start(1_000)
    assert supervisor.weight(0) == 0.0
    assert supervisor.weight(1_000) == 0.0
    assert supervisor.weight(1_000 + RAMP_NS // 4) == 0.25
    assert supervisor.advance(1_000 + RAMP_NS - 1) is State.RAMP_IN
    assert supervisor.weight(1_000 + RAMP_NS) == 1.0
    assert supervisor.advance(1_000 + RAMP_NS) is State.RUNNING
    assert supervisor.weight(0) == 1.0
    supervisor.stop(2 * RAMP_NS, "enough")
    assert supervisor.weight(2 * RAMP_NS + RAMP_NS // 4) == 0.75
    assert supervisor.advance(3 * RAMP_NS - 1) is State.RAMP_OUT
    assert supervisor.advance(3 * RAMP_NS) is State.STOPPED
    assert supervisor.weight(3 * RAMP_NS) == 0.0


def test_a_ramp_in_that_is_broken_off_goes_back_from_where_it_was():
    supervisor = supervisor_in(State.RAMP_IN)
    begun = supervisor.since_ns
    supervisor.stop(begun + RAMP_NS // 4, "no")
    assert supervisor.weight(begun + RAMP_NS // 4) == pytest.approx(0.25)
    assert supervisor.advance(begun + RAMP_NS // 2) is State.STOPPED


def test_a_ramp_of_no_time_is_over_at_once():
    supervisor = Supervisor(ramp_s=0.0, slow=True)
    supervisor.arm(5)
    supervisor.rise(5)
    supervisor.start(5)
    assert supervisor.weight(5) == 1.0
    assert supervisor.advance(5) is State.RUNNING
    supervisor.stop(6, "enough")
    assert supervisor.advance(6) is State.STOPPED


@pytest.mark.parametrize("ramp_s", [-0.1, float("nan"), float("inf")])
def test_a_ramp_must_be_a_time(ramp_s):
    with pytest.raises(ValueError, match="ramp_s must be"):
        Supervisor(ramp_s=ramp_s)


@given(
    requests=st.lists(st.tuples(st.sampled_from([*REQUESTS, "fault", "advance"]), st.integers(0, RAMP_NS)), max_size=60)
)
def test_running_is_reached_only_through_ready_and_a_whole_ramp(requests):
    supervisor, now, history = slow(), 0, [(State.PASSIVE, 0)]
    for name, duration in requests:
        now += duration
        try:
            request(supervisor, name, now)
        except TransitionError:
            continue
        if supervisor.state is not history[-1][0]:
            history.append((supervisor.state, now))
        assert 0.0 <= supervisor.weight(now) <= 1.0
    way = [State.PASSIVE, State.STAND_UP, State.READY, State.RAMP_IN]
    for index, (state, since) in enumerate(history):
        if state is State.RUNNING:
            assert [earlier for earlier, _ in history[index - 4 : index]] == way
            assert since - history[index - 1][1] >= RAMP_NS


def test_a_ramp_that_waits_begins_later():
    supervisor = supervisor_in(State.RAMP_IN)
    supervisor.wait(10 * RAMP_NS)
    assert supervisor.weight(10 * RAMP_NS) == 0.0
    assert supervisor.advance(11 * RAMP_NS - 1) is State.RAMP_IN
    assert supervisor.advance(11 * RAMP_NS) is State.RUNNING


@pytest.mark.parametrize("state", [state for state in State if state is not State.RAMP_IN])
def test_only_a_ramp_in_waits(state):
    supervisor = supervisor_in(state)
    since_ns = supervisor.since_ns
    with pytest.raises(TransitionError):
        supervisor.wait(10 * RAMP_NS)
    assert supervisor.since_ns == since_ns


def test_the_documentation_has_the_chart_of_the_code():
    page = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text("utf-8")
    _, _, rest = page.partition("<!-- chart -->\n```mermaid\n")
    assert rest.partition("```")[0] == chart()


def test_the_chart_is_drawn_of_what_is_legal():
    lines = chart().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> passive"]
    for (state, name), target in LEGAL.items():
        assert f"    {state.value} --> {target.value}: {EVENTS.get(name, name)}" in lines
    assert sum(len(follows) for follows in CHART.values()) == len(LEGAL) + 2  # and the ends of the two ramps
