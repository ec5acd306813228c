"""A policy of chunks: its contract, file and runtime.

Graph: `target = near * begin + (1 - near) * (newest place + 0.1 * noise)`, for three control periods at once.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from untrained import provenance

from isthmus_deploy.chunk_executor import ChunkExecutor, ExecutorConfig
from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.contracts.contract import Chunk, Command, Contract, Memory, Noise, Signal
from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.contracts.schema import ContractError, schema
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep, parse, seal
from isthmus_deploy.policy.runtime import Runtime

CHUNK = Chunk(
    horizon=3, observed=2, execute=2, strategy="warm_start", tolerated_latency_s=0.1, begins_near=True
)  # fmt: skip
CONTRACT = Contract(
    robot="slider",
    control_period_s=0.1,
    trained_latency_s=0.0,
    signals=(
        Signal(name="place", shape=(1,), unit="m", frame="rail", order=("x",), minimum=(-1.0,), maximum=(1.0,),
               max_jump=(1.0,), max_age_s=0.2),
    ),
    commands=(
        Command(name="target", shape=(1,), unit="m", frame="rail", order=("x",), minimum=(-1.0,), maximum=(1.0,),
                max_rate=(10.0,), safe=(0.0,), standby=(0.0,)),
    ),
    memory=(),
    noise=(Noise(name="chunk", shape=(1, 3, 1)),),
    chunk=CHUNK,
    joints={},
    provenance=provenance("slide"),
)  # fmt: skip


def model() -> bytes:
    numbers = {"tenth": np.float32(0.1), "one": np.float32(1.0), "second": np.array(1), "first": np.array(0),
               "last_axis": np.array([2]), "time_axis": np.array([1])}  # fmt: skip
    nodes = [
        helper.make_node("Gather", ["place", "second"], ["newest"], axis=1),
        helper.make_node("Unsqueeze", ["newest", "time_axis"], ["row"]),
        helper.make_node("Gather", ["noise_chunk", "first"], ["drawn"], axis=1),
        helper.make_node("Mul", ["drawn", "tenth"], ["little"]),
        helper.make_node("Add", ["row", "little"], ["afresh"]),
        helper.make_node("Unsqueeze", ["near", "last_axis"], ["share"]),
        helper.make_node("Sub", ["one", "share"], ["rest"]),
        helper.make_node("Mul", ["share", "begin_target"], ["kept"]),
        helper.make_node("Mul", ["rest", "afresh"], ["new"]),
        helper.make_node("Add", ["kept", "new"], ["target"]),
    ]
    shapes = {"place": (2, 1), "noise_chunk": (1, 3, 1), "begin_target": (3, 1), "near": (1,)}
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *s]) for name, s in shapes.items()]
    outputs = [helper.make_tensor_value_info("target", TensorProto.FLOAT, ["batch", 3, 1])]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in numbers.items()]
    graph = helper.make_graph(nodes, "slider", inputs, outputs, constants)
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def window(*places: float) -> dict[str, np.ndarray]:
    return {"place": np.array(places, np.float32)[:, None]}


def chunk(*targets: float) -> dict[str, np.ndarray]:
    return {"target": np.array(targets, np.float32)[:, None]}


NOISE = {"chunk": np.array([0.0, 1.0, -1.0], np.float32).reshape(1, 3, 1)}
REPLAY = (
    ReplayStep(reset=True, signals=window(0.9, 0.2), commands=chunk(0.2, 0.3, 0.1), noise=NOISE),
    ReplayStep(reset=True, signals=window(0.9, 0.2), commands=chunk(-0.5, 0.0, 0.5), noise=NOISE,
               begin=chunk(-0.5, 0.0, 0.5)),
)  # fmt: skip


def changed(**fields) -> Contract:
    return dataclasses.replace(CONTRACT, chunk=dataclasses.replace(CHUNK, **fields))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.onnx"
    path.write_bytes(seal(model(), CONTRACT, REPLAY))
    return path


# --- contract ---


def test_a_contract_with_a_chunk_survives_json_and_is_what_is_published():
    document = json.loads(CONTRACT.to_json())
    jsonschema.Draft202012Validator(schema()).validate(document)
    assert Contract.from_json(json.dumps(document)) == CONTRACT
    document["chunk"] |= {"horizon": 3.0}  # JSON does not tell it from 3
    assert Contract.from_json(json.dumps(document)) == CONTRACT


def test_a_contract_without_one_is_written_and_read_as_before_there_were_chunks(contract: Contract):
    assert contract.chunk is None
    document = json.loads(contract.to_json())
    assert "chunk" not in document
    assert Contract.from_json(json.dumps(document)) == contract


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        ({"horizon": 0}, "chunk.horizon: 0 is below 1"),
        ({"observed": 1.5}, "chunk.observed: 1.5 is not of type integer"),
        ({"strategy": "blind"}, "chunk.strategy: 'blind' is none of"),
        ({"begins_near": 1}, "chunk.begins_near: 1 is not of type boolean"),
        ({"tolerated_latency_s": True}, "chunk.tolerated_latency_s: true is not of type number"),
        ({"delay": 1}, "chunk.delay: unknown; valid are horizon"),
    ],
)
def test_a_wrong_field_of_a_chunk_is_named(edit: dict, message: str):
    document = json.loads(CONTRACT.to_json())
    document["chunk"] |= edit
    with pytest.raises(ContractError) as caught:
        Contract.from_json(json.dumps(document))
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"execute": 4}, "chunk.execute"),
        ({"tolerated_latency_s": 0.2}, "chunk.tolerated_latency_s"),
        ({"begins_near": False}, "chunk.begins_near"),
    ],
)
def test_numbers_of_a_chunk_that_contradict_each_other_are_named(fields: dict, place: str):
    with pytest.raises(InconsistentContract) as caught:
        changed(**fields)
    assert caught.value.path == place


def test_a_chunk_goes_with_no_memory_and_its_inputs_have_names_of_their_own():
    with pytest.raises(InconsistentContract, match="memory"):
        dataclasses.replace(CONTRACT, memory=(Memory(name="past", shape=(1,), order="x", initial=0.0),))
    near = dataclasses.replace(CONTRACT.signals[0], name="near")
    with pytest.raises(InconsistentContract, match="near"):
        dataclasses.replace(CONTRACT, signals=(near,))
    dataclasses.replace(changed(strategy="receding", begins_near=False), signals=(near,))


def test_a_robot_of_another_rate_is_refused():
    robot = dataclasses.replace(CONTRACT.interface(), control_period_s=0.05)
    with pytest.raises(ContractMismatch, match="control_period_s"):
        CONTRACT.check_robot(robot)


# --- file and runtime ---


def test_the_file_gives_back_windows_chunks_and_what_it_began_near_to(path: Path):
    afresh, near = parse(path.read_bytes()).replay
    assert afresh.signals["place"].shape == (2, 1)
    assert afresh.begin == {}
    np.testing.assert_array_equal(near.begin["target"], chunk(-0.5, 0.0, 0.5)["target"])


def test_a_chunk_comes_of_a_window_afresh_or_near_to_another(path: Path):
    runtime = Runtime(path)
    np.testing.assert_allclose(runtime.step(window(0.7, 0.4), NOISE)["target"][:, 0], [0.4, 0.5, 0.3], atol=1e-6)
    before = {"target": np.array([[0.1], [0.2], [0.3]])}  # float64, as an executor may have it
    np.testing.assert_allclose(runtime.step(window(0.7, 0.4), NOISE, before)["target"], before["target"], atol=1e-6)
    np.testing.assert_allclose(runtime.step(window(0.7, 0.4), NOISE)["target"][:, 0], [0.4, 0.5, 0.3], atol=1e-6)


def test_a_runtime_feeds_an_executor(path: Path):
    runtime = Runtime(path)
    assert runtime.contract.chunk is not None
    executor = ChunkExecutor(runtime.contract.chunk.executor, 1)
    assert executor.config == ExecutorConfig(horizon=3, execute=2, strategy="warm_start")
    for tick in range(4):
        if executor.due(tick):
            request = executor.request(tick)
            begin = None if request.init is None else {"target": request.init}
            executor.add(request, runtime.step(window(0.0, 0.1 * tick), NOISE, begin)["target"], tick)
    # The second chunk is what is left of the first one.
    np.testing.assert_allclose([executor.action(tick)[0] for tick in (2, 3)], [-0.1, -0.1], atol=1e-6)


@pytest.mark.parametrize(
    ("signals", "begin"),
    [
        ({"place": np.zeros(1, np.float32)}, None),
        (window(0.0, 0.0), {"target": np.zeros(1, np.float32)}),
        (window(0.0, 0.0), {"aim": np.zeros((3, 1), np.float32)}),
    ],
)
def test_what_is_no_window_or_chunk_is_refused(path: Path, signals: dict, begin: dict | None):
    with pytest.raises(ValueError, match=r"place|target"):
        Runtime(path).step(signals, NOISE, begin)


def test_a_policy_of_one_command_a_period_takes_no_chunk_to_begin_near_to(policy_path: Path, make_signals):
    with pytest.raises(ValueError, match="afresh"):
        Runtime(policy_path).step(make_signals(0.0, 0.0), begin=chunk(0.0, 0.0, 0.0))


def test_a_graph_of_other_windows_chunks_or_inputs_than_its_contract_is_refused(tmp_path: Path):
    others = [
        changed(observed=3),
        changed(horizon=4, tolerated_latency_s=0.2),
        changed(strategy="receding", begins_near=False),
        dataclasses.replace(CONTRACT, noise=()),
    ]
    for number, contract in enumerate(others):
        assert contract.chunk is not None
        shapes = contract.chunk.observed, contract.chunk.horizon
        step = ReplayStep(reset=True, signals=window(*(0.0,) * shapes[0]), commands=chunk(*(0.0,) * shapes[1]),
                          noise=NOISE)  # fmt: skip
        wrong = tmp_path / f"{number}.onnx"
        wrong.write_bytes(seal(model(), contract, [step]))
        with pytest.raises(PolicyFileError, match="the contract says"):
            Runtime(wrong)


def test_a_graph_that_does_not_reproduce_its_chunks_is_refused(tmp_path: Path):
    off = dataclasses.replace(REPLAY[1], commands=chunk(-0.5, 0.0, 0.5001))
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(seal(model(), CONTRACT, [REPLAY[0], off]))
    with pytest.raises(PolicyFileError, match="target is off by"):
        Runtime(wrong)


def test_a_policy_of_chunks_is_not_driven_step_by_step(path: Path):
    with pytest.raises(ValueError, match="chunks"):
        StepDriver(Runtime(path))
