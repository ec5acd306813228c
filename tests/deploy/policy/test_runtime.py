"""The runtime: golden commands, memory and its reset, and the files that it refuses to load."""

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.policy.policy_file import PolicyFileError, seal
from isthmus_deploy.policy.runtime import Runtime


@pytest.fixture
def load(tmp_path):
    """Load a runtime from the bytes of a policy file."""

    def load(data):
        path = tmp_path / "policy.onnx"
        path.write_bytes(data)
        return Runtime(path)

    return load


def commands_of(runtime, positions, make_signals):
    return [runtime.step(make_signals(*position))["joint_command"].tolist() for position in positions]


POSITIONS = [(1.0, 0.5), (0.5, 0.25), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (0.0, 0.0)]
# Half of the position, plus what the position was three steps ago; clipped to 2 and 1 (see conftest.py).
COMMANDS = [[0.5, 0.25], [0.25, 0.125], [0.0, 0.0], [1.0, 0.5], [0.5, 0.25], [0.0, 0.0]]


def test_commands_and_history_are_right(runtime, make_signals):
    assert commands_of(runtime, POSITIONS, make_signals) == COMMANDS


def test_a_reset_clears_the_memory_on_either_turn_of_the_double_buffer(runtime, make_signals):
    for steps in (1, 2, 3):
        commands_of(runtime, [(3.0, 3.0)] * steps, make_signals)
        runtime.reset()
        assert commands_of(runtime, POSITIONS, make_signals) == COMMANDS
        runtime.reset()


def test_memory_starts_from_its_initial_value(load, change, make_model, make_signals, replay):
    changed = change("memory", 0, initial=((0.5, 0.25), (0.0, 0.0), (0.0, 0.0)))
    command = {"joint_command": np.array([0.6, 0.45], np.float32)}
    runtime = load(seal(make_model(), changed, [dataclasses.replace(replay[0], commands=command)]))
    assert runtime.step(make_signals(0.0, 0.0))["joint_command"].tolist() == [0.5, 0.25]
    assert runtime.step(make_signals(0.0, 0.0))["joint_command"].tolist() == [0.0, 0.0]


def test_commands_are_views_of_one_buffer(runtime, make_signals):
    first = runtime.step(make_signals(1.0, 1.0))["joint_command"]
    second = runtime.step(make_signals(0.5, 0.5))["joint_command"]
    assert first is second
    assert first.shape == (2,)
    assert first.dtype == np.float32


def test_other_signals_and_float64_are_taken(runtime, make_signals):
    signals = {name: value.astype(np.float64) for name, value in make_signals(1.0, 0.5).items()}
    assert runtime.step({**signals, "camera": np.zeros(3)})["joint_command"].tolist() == [0.5, 0.25]


def test_a_missing_signal_or_another_shape_is_named(runtime, make_signals):
    signals = make_signals(0.0, 0.0)
    with pytest.raises(ValueError, match=r"signal goal has the shape \(2,\), the contract says \(1,\)"):
        runtime.step({**signals, "goal": np.zeros(2, np.float32)})
    del signals["orientation"]
    with pytest.raises(ValueError, match="signal orientation is missing; given are goal, joint_position"):
        runtime.step(signals)


def test_contract_and_digest_are_those_of_the_file(runtime, contract, sealed):
    assert runtime.contract == contract
    assert runtime.digest.encode() == sealed[-64:]


# --- refusals ---


@pytest.mark.parametrize("gain", [0.5002, float("nan"), -0.5])
def test_a_graph_that_does_not_reproduce_its_test_vectors_is_refused(load, make_model, contract, replay, gain):
    with pytest.raises(PolicyFileError, match=r"does not reproduce its test vectors here: joint_command is off by"):
        load(seal(make_model(gain=gain), contract, replay))


def test_an_error_within_the_tolerance_is_accepted(load, make_model, contract, replay):
    """0.4 · 1e-5 is 1e-6 of the hip's range of 4 and 4e-6 of the knee's range of 2."""
    load(seal(make_model(gain=0.50001), contract, replay))


def test_test_vectors_see_the_memory(load, make_model, contract, replay):
    """The fourth step depends on the first; as a reset step it does not."""
    wrong = [*replay[:3], dataclasses.replace(replay[3], reset=True)]
    with pytest.raises(PolicyFileError, match="at step 3"):
        load(seal(make_model(), contract, wrong))


def test_a_graph_with_other_names_or_shapes_is_refused(load, make_model, contract, change, replay):
    with pytest.raises(PolicyFileError, match=r"outputs are next_memory_history, torque; the contract says joint_com"):
        load(seal(make_model(command="torque"), contract, replay))
    longer = change("memory", 0, shape=(4, 2))
    with pytest.raises(
        PolicyFileError, match=r"input memory_history of the graph is tensor\(float\) \['batch', 3, 2\]"
    ):
        load(seal(make_model(), longer, replay))
    more = dataclasses.replace(contract.signals[2], name="camera")
    steps = [dataclasses.replace(step, signals={**step.signals, "camera": np.zeros(1)}) for step in replay]
    data = seal(make_model(), dataclasses.replace(contract, signals=(*contract.signals, more)), steps)
    with pytest.raises(PolicyFileError, match=r"inputs are .*; the contract says camera, goal"):
        load(data)


def test_a_graph_that_this_onnx_runtime_cannot_load_is_refused(load, make_model, contract, replay):
    broken = make_model().replace(b"Squeeze", b"Squeaky")
    with pytest.raises(PolicyFileError, match=r"ONNX Runtime .* cannot load the graph"):
        load(seal(broken, contract, replay))


def test_a_damaged_file_is_refused(load, sealed):
    with pytest.raises(PolicyFileError, match="altered or damaged"):
        load(sealed.replace(b"two_joints", b"two_joynts"))


def test_a_graph_with_a_name_that_is_no_text_is_refused(load, contract, make_model, replay):
    """ONNX Runtime quotes the name, and its own message is then none that Python can read."""
    model = make_model()
    name = b"joint_position"
    assert model.count(name) > 1
    broken = model.replace(name, b"\xff" + name[1:], 1)
    with pytest.raises(PolicyFileError, match="cannot load the graph"):
        load(seal(broken, contract, replay))
