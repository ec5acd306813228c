"""The state machine: every request in every state, and the way to running."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus_deploy.supervisor import State, Supervisor, TransitionError

RAMP_S = 0.3
RAMP_NS = 300_000_000
ROUTES = {
    State.IDLE: [],
    State.STANDBY: ["arm"],
    State.RAMP_IN: ["arm", "start"],
    State.RUNNING: ["arm", "start", "advance"],
    State.STOPPED: ["arm", "stop"],
    State.FAULT: ["fault"],
}
LEGAL = {
    (State.IDLE, "arm"): State.STANDBY,
    (State.STANDBY, "start"): State.RAMP_IN,
    (State.STANDBY, "stop"): State.STOPPED,
    (State.RAMP_IN, "stop"): State.STOPPED,
    (State.RUNNING, "stop"): State.STOPPED,
    (State.STOPPED, "reset"): State.IDLE,
    (State.FAULT, "reset"): State.IDLE,
}
REQUESTS = ("arm", "start", "stop", "reset")


def request(supervisor, name, now_ns):
    """Call the method of this name."""
    arguments = (now_ns, "asked to") if name in ("stop", "fault") else (now_ns,)
    getattr(supervisor, name)(*arguments)


def supervisor_in(state):
    supervisor = Supervisor(ramp_s=RAMP_S)
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
        assert supervisor.since_ns == 10 * RAMP_NS
        return
    with pytest.raises(TransitionError, match=f"cannot {name} in state {state.value}; allowed here: "):
        request(supervisor, name, 10 * RAMP_NS)
    assert supervisor.state is state


def test_the_message_lists_what_is_allowed():
    with pytest.raises(TransitionError) as caught:
        supervisor_in(State.STANDBY).arm(0)
    assert str(caught.value) == "cannot arm in state standby; allowed here: start, stop"


@pytest.mark.parametrize("state", [state for state in State if state is not State.FAULT])
def test_a_fault_comes_from_anywhere_and_keeps_its_first_cause(state):
    supervisor = supervisor_in(state)
    supervisor.fault(7 * RAMP_NS, "first")
    supervisor.fault(8 * RAMP_NS, "second")
    assert (supervisor.state, supervisor.cause, supervisor.since_ns) == (State.FAULT, "first", 7 * RAMP_NS)
    supervisor.reset(9 * RAMP_NS)
    assert (supervisor.state, supervisor.cause) == (State.IDLE, None)


def test_a_stop_keeps_its_cause():
    supervisor = supervisor_in(State.RUNNING)
    supervisor.stop(10 * RAMP_NS, "landed")
    assert supervisor.cause == "landed"


def test_the_weight_rises_over_the_ramp():
    supervisor = Supervisor(ramp_s=RAMP_S)
    assert supervisor.weight(0) == 0.0
    supervisor.arm(0)
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
    assert supervisor.weight(3 * RAMP_NS) == 0.0


def test_a_ramp_of_no_time_is_over_at_once():
    supervisor = Supervisor(ramp_s=0.0)
    supervisor.arm(5)
    supervisor.start(5)
    assert supervisor.weight(5) == 1.0
    assert supervisor.advance(5) is State.RUNNING


@pytest.mark.parametrize("ramp_s", [-0.1, float("nan"), float("inf")])
def test_a_ramp_must_be_a_time(ramp_s):
    with pytest.raises(ValueError, match="ramp_s must be"):
        Supervisor(ramp_s=ramp_s)


@given(
    requests=st.lists(st.tuples(st.sampled_from([*REQUESTS, "fault", "advance"]), st.integers(0, RAMP_NS)), max_size=60)
)
def test_running_is_reached_only_through_standby_and_a_whole_ramp(requests):
    supervisor, now, history = Supervisor(ramp_s=RAMP_S), 0, [(State.IDLE, 0)]
    for name, duration in requests:
        now += duration
        try:
            request(supervisor, name, now)
        except TransitionError:
            continue
        if supervisor.state is not history[-1][0]:
            history.append((supervisor.state, now))
        assert 0.0 <= supervisor.weight(now) <= 1.0
    for index, (state, since) in enumerate(history):
        if state is State.RUNNING:
            assert [earlier for earlier, _ in history[index - 3 : index]] == [State.IDLE, State.STANDBY, State.RAMP_IN]
            assert since - history[index - 1][1] >= RAMP_NS


def test_a_ramp_that_is_held_begins_later():
    supervisor = supervisor_in(State.RAMP_IN)
    supervisor.hold(10 * RAMP_NS)
    assert supervisor.weight(10 * RAMP_NS) == 0.0
    assert supervisor.advance(11 * RAMP_NS - 1) is State.RAMP_IN
    assert supervisor.advance(11 * RAMP_NS) is State.RUNNING


@pytest.mark.parametrize("state", [state for state in State if state is not State.RAMP_IN])
def test_only_a_ramp_is_held(state):
    supervisor = supervisor_in(state)
    since_ns = supervisor.since_ns
    with pytest.raises(TransitionError):
        supervisor.hold(10 * RAMP_NS)
    assert supervisor.since_ns == since_ns
