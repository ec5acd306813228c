"""A policy that sees, draws noise and gives two commands: contract, file, runtime and guard.

Graph: `brightness = mean of the image's red / 255`; `joint_command = 0.1 * noise_draw`.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from untrained import provenance

from isthmus_deploy.contracts.consistency import InconsistentContract
from isthmus_deploy.contracts.contract import Command, Contract, Noise, Signal
from isthmus_deploy.controller import PolicyController
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.policy_file import PolicyFileError, ReplayStep, parse, seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.safety.readings.signal_guard import SignalGuard

RGB = ("r", "g", "b")
CAMERA = Signal(
    name="camera_front", shape=(2, 4, 3), unit="1", frame="camera_front", order=RGB, dtype="uint8",
    minimum=(0.0,) * 3, maximum=(255.0,) * 3, max_jump=(255.0,) * 3, max_age_s=0.2,
)  # fmt: skip


def command(name: str, order: tuple[str, ...], unit: str) -> Command:
    n = len(order)
    return Command(
        name=name, shape=(n,), unit=unit, frame="joint", order=order, minimum=(-1.0,) * n, maximum=(1.0,) * n,
        max_rate=(100.0,) * n, safe=(0.0,) * n, standby=(0.0,) * n,
    )  # fmt: skip


CONTRACT = Contract(
    robot="watcher",
    control_period_s=0.02,
    trained_latency_s=0.0,
    signals=(CAMERA,),
    commands=(command("brightness", ("lamp",), "1"), command("joint_command", ("pan", "tilt"), "rad")),
    memory=(),
    noise=(Noise(name="draw", shape=(2,)),),
    joints={},
    provenance=provenance("watch"),
)


def model() -> bytes:
    constants = {"red": np.array(0), "axes": np.array([1, 2]), "share": np.float32(1 / 255), "tenth": np.float32(0.1)}
    nodes = [
        helper.make_node("Cast", ["camera_front"], ["image"], to=TensorProto.FLOAT),
        helper.make_node("Gather", ["image", "red"], ["reds"], axis=3),
        helper.make_node("ReduceMean", ["reds", "axes"], ["mean"], keepdims=1),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Mul", ["flat", "share"], ["brightness"]),
        helper.make_node("Mul", ["noise_draw", "tenth"], ["joint_command"]),
    ]
    graph = helper.make_graph(
        nodes,
        "watcher",
        [
            helper.make_tensor_value_info("camera_front", TensorProto.UINT8, ["batch", 2, 4, 3]),
            helper.make_tensor_value_info("noise_draw", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("brightness", TensorProto.FLOAT, ["batch", 1]),
            helper.make_tensor_value_info("joint_command", TensorProto.FLOAT, ["batch", 2]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    result = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(result)
    return result.SerializeToString()


def image(red: int, green: int = 7) -> np.ndarray:
    """An image of one colour, but for a black half of its red."""
    pixels = np.full((2, 4, 3), green, np.uint8)
    pixels[..., 0] = red
    pixels[0, :, 0] = 0
    return pixels


REPLAY = (
    ReplayStep(
        reset=True,
        signals={"camera_front": image(102)},  # half of the image has 102/255 = 0.4 of full red
        commands={"brightness": np.array([0.2], np.float32), "joint_command": np.array([0.1, -0.2], np.float32)},
        noise={"draw": np.array([1.0, -2.0], np.float32)},
    ),
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "policy.onnx"
    path.write_bytes(seal(model(), CONTRACT, REPLAY))
    return path


def test_the_file_gives_back_images_and_noise_bit_for_bit(path):
    file = parse(path.read_bytes())
    assert file.contract == CONTRACT
    step = file.replay[0]
    assert step.signals["camera_front"].dtype == np.uint8
    np.testing.assert_array_equal(step.signals["camera_front"], image(102))
    assert step.noise["draw"].tolist() == [1.0, -2.0]


def test_both_commands_come_out_and_the_image_goes_in_as_bytes(path):
    commands = Runtime(path).step({"camera_front": image(255)}, {"draw": np.array([3.0, 0.5])})
    assert commands["brightness"].tolist() == [0.5]
    np.testing.assert_allclose(commands["joint_command"], [0.3, 0.05], atol=1e-7)


def test_what_is_drawn_is_standard_normal_and_repeats_with_the_seed(path):
    def draws(seed: int, n: int) -> np.ndarray:
        runtime = Runtime(path, seed=seed)
        return np.array([10 * runtime.step({"camera_front": image(0)})["joint_command"] for _ in range(n)])

    many = draws(3, 2000)
    np.testing.assert_array_equal(many[:5], draws(3, 5))
    assert not np.array_equal(many[:5], draws(4, 5))
    assert abs(many.mean()) < 4 / np.sqrt(4000)
    assert abs(many.std() - 1.0) < 4 / np.sqrt(2 * 4000)
    assert len(np.unique(many)) > 3900, "drawn anew at every step, each number by itself"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (image(1).astype(np.float32), "signal camera_front is float32, the contract says uint8"),
        (image(1).transpose(1, 0, 2), "signal camera_front has the shape (4, 2, 3), the contract says (2, 4, 3)"),
    ],
)
def test_what_is_no_such_image_is_named(path, value, reason):
    with pytest.raises(ValueError, match="camera_front") as caught:
        Runtime(path).step({"camera_front": value})
    assert str(caught.value) == reason


def test_a_replay_without_its_noise_or_with_half_an_image_is_refused():
    for step in (
        dataclasses.replace(REPLAY[0], noise={}),
        dataclasses.replace(REPLAY[0], signals={"camera_front": image(1)[:1]}),
    ):
        with pytest.raises(PolicyFileError, match="test vectors are malformed"):
            parse(seal(model(), CONTRACT, [step]))


# --- guard ---


def test_an_image_is_judged_by_its_form_and_its_age_alone():
    guard, fresh = SignalGuard(CONTRACT), {"camera_front": 0.0}
    assert guard.check({"camera_front": image(0)}, fresh) is None
    assert guard.check({"camera_front": image(255, 255)}, fresh) is None, "light on: no jump"
    assert guard.check({"camera_front": image(0)}, {"camera_front": 0.21}) is not None
    for wrong in (image(0)[:, :2], image(0).astype(np.float32)):
        assert guard.check({"camera_front": wrong}, fresh) is not None


def test_beside_an_image_numbers_are_judged_as_ever(contract):
    """An image first: where each number's limits stand must not be moved by it."""
    seeing = dataclasses.replace(contract, signals=(CAMERA, *contract.signals))
    signals = {
        "camera_front": image(9),
        "joint_position": np.array([0.0, 3.5]),
        "orientation": np.array([1.0, 0.0, 0.0, 0.0]),
        "goal": np.zeros(1),
    }
    ages = {"camera_front": 0.0, "joint_position": 0.0, "orientation": 0.0}
    assert SignalGuard(seeing).check(signals, ages) == "joint_position.knee: 3.5 is outside [-3, 3]"


def test_the_whole_chain_drives_by_what_it_sees(path):
    controller = PolicyController({"policy": StepDriver(Runtime(path))}, ramp_s=0.0)
    controller.arm(0)
    for tick in range(3):
        if controller.may_start:
            controller.start(tick)
        sent = controller.tick({"camera_front": image(102)}, {"camera_front": 0.0}, tick)
    assert sent["brightness"][0] == pytest.approx(0.2)
    assert np.abs(sent["joint_command"]).max() > 0.0
    controller.tick({}, {}, 4)
    assert controller.cause == "camera_front: stale, inf s old (at most 0.2 s)"


# --- contract ---


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 1)])
def test_bytes_are_images(shape):
    order = RGB[: shape[-1]]
    with pytest.raises(InconsistentContract, match="uint8"):
        dataclasses.replace(
            CONTRACT,
            signals=(dataclasses.replace(CAMERA, shape=shape, order=order, minimum=(0.0,) * len(order),
                                         maximum=(255.0,) * len(order), max_jump=(255.0,) * len(order)),),
        )  # fmt: skip


def test_noise_is_an_input_of_the_graph_and_has_a_name_of_its_own(path, tmp_path):
    other = dataclasses.replace(CONTRACT, noise=(Noise(name="other", shape=(2,)),))
    step = dataclasses.replace(REPLAY[0], noise={"other": np.zeros(2, np.float32)})
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(seal(model(), other, [step]))
    with pytest.raises(PolicyFileError, match="noise_draw; the contract says camera_front, noise_other"):
        Runtime(wrong)
    with pytest.raises(InconsistentContract, match="noise_draw"):
        dataclasses.replace(CONTRACT, noise=CONTRACT.noise * 2)
    assert json.loads(CONTRACT.to_json())["noise"] == [{"name": "draw", "shape": [2]}]
