"""Leader arms: makers' libraries on a simulated bus, calibration, and a robot that follows without a jump."""

from __future__ import annotations

import json
import math
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from refusals import refused

pytest.importorskip("scservo_sdk", reason="needs feetech-servo-sdk: pip install 'isthmus[teleop]'")
pytest.importorskip("dynamixel_sdk", reason="needs dynamixel-sdk: pip install 'isthmus[teleop]'")
from isthmus_datasets.format.features import Feature
from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event
from isthmus_datasets.recording.robot import Observation, RobotFeatures
from isthmus_datasets.teleop.devices.arm_calibration import Calibration, Joint, calibrated
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.devices.servo_bus import DYNAMIXEL, FEETECH, ServoBus
from isthmus_datasets.teleop.operators.leader_arm import LeaderArm
from isthmus_datasets.teleop.operators.take_over import TakeOver

simulator = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[1] / "servo_simulator.py")))
IDS = {"pan": 1, "lift": 2, "gripper": 6}
KINDS = {"feetech": (simulator.FeetechBus, FEETECH), "dynamixel": (simulator.DynamixelBus, DYNAMIXEL)}


@pytest.fixture(params=KINDS)
def servos(request: pytest.FixtureRequest) -> Iterator[SimpleNamespace]:
    make, family = KINDS[request.param]
    wires = make(list(IDS.values()))
    for servo in IDS.values():
        wires.turn(servo, 2048)
        wires.memory[servo][family.torque] = 1
    opened = []

    def connect(joints: dict[str, int] = IDS) -> ServoBus:
        opened.append(ServoBus(wires.port, joints, servos=family, patience_s=0.4))
        return opened[-1]

    yield SimpleNamespace(wires=wires, connect=connect, family=family)
    for bus in opened:
        bus.close()
    wires.unplug()


def test_positions_come_from_all_servos_by_one_question(servos: SimpleNamespace):
    bus = servos.connect()
    servos.wires.turn(1, 100)
    servos.wires.turn(2, 4095)
    servos.wires.turn(6, -7)
    servos.wires.asked.clear()
    assert bus.read() == {1: 100, 2: 4095, 6: -7}
    assert servos.wires.asked == [simulator.SYNC_READ]


def test_the_servos_have_no_torque_so_that_a_hand_can_move_them(servos: SimpleNamespace):
    assert servos.wires.torque(2) == 1
    servos.connect()
    assert [servos.wires.torque(servo) for servo in IDS.values()] == [0, 0, 0]


def test_servos_that_are_not_there_are_named_at_the_start(servos: SimpleNamespace):
    servos.wires.silent = {2}
    with refused("leader arm | lift (id 2), roll (id 5)", DeviceError):
        servos.connect({**IDS, "roll": 5})


def test_an_answer_that_was_garbled_once_is_asked_for_again(servos: SimpleNamespace):
    bus = servos.connect()
    servos.wires.garbled = {2: 1}
    assert bus.read()[2] == 2048


def test_a_servo_that_falls_silent_is_named_and_may_come_back(servos: SimpleNamespace):
    bus = servos.connect()
    bus.read()
    servos.wires.silent = {2}
    with refused("lift (id 2) | cable", DeviceError):
        bus.read()
    servos.wires.silent = set()
    assert bus.read() == {1: 2048, 2: 2048, 6: 2048}


def test_a_bus_that_is_unplugged_is_told(servos: SimpleNamespace):
    bus = servos.connect()
    servos.wires.unplug()
    with refused("leader arm | unplugged", DeviceError):
        bus.read()
    with refused("leader arm | opened", DeviceError):
        bus.read()


def test_a_port_that_does_not_exist_is_told():
    with refused("leader arm | /dev/ttyNONE", DeviceError):
        ServoBus("/dev/ttyNONE", IDS)


def joint(**change) -> Joint:
    said = {"id": 1, "home_ticks": 2048, "direction": 1, "minimum_rad": -2.0, "maximum_rad": 2.0, **change}
    return Joint(**said)


def test_ticks_become_angles():
    assert joint().angle(2048 + 1024) == pytest.approx(math.pi / 2)
    assert joint(direction=-1).angle(2048 + 1024) == pytest.approx(-math.pi / 2)
    assert joint(home_ticks=4000).angle(4096 + 416 - 4096) == pytest.approx(math.pi / 4)  # over the end of the turn
    assert joint(home_ticks=100).angle(-412) == pytest.approx(-math.pi / 4)
    assert joint().angle(5 * 4096 + 2048) == pytest.approx(0.0)  # a servo that counts turns


def test_a_calibration_is_kept_in_a_file(tmp_path: Path):
    made = Calibration(joints={"pan": joint(id=3), "gripper": joint(id=6, direction=-1)})
    made.save(tmp_path / "leader.json")
    assert Calibration.load(tmp_path / "leader.json") == made
    assert list(tmp_path.iterdir()) == [tmp_path / "leader.json"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"version": 2}, "version 2 | 1"),
        ({"joints": {"pan": {"id": 1}}}, "4 | direction"),
        ({"joints": {}}, "id | []"),
        ({"joints": {name: {**vars(joint())} for name in ("pan", "lift")}}, "id | [1, 1]"),
        ({"joints": {"pan": {**vars(joint()), "direction": 0}}}, "direction 1 or -1"),
        ({"joints": [1]}, "'list'"),
    ],
)
def test_a_file_that_is_no_calibration_is_refused(tmp_path: Path, change: dict, told: str):
    file = tmp_path / "leader.json"
    file.write_text(json.dumps({"version": 1, "joints": {"pan": vars(joint())}} | change))
    with refused(f"leader.json | {told}", ValueError):
        Calibration.load(file)


def test_an_arm_is_calibrated_by_holding_it_at_zero_and_moving_it():
    seen = [{1: 3000 + step, 2: (4090 + step) % 4096} for step in range(-600, 601, 50)]
    made = calibrated({"pan": 1, "lift": 2}, {1: 3000, 2: 4090}, seen, ["lift"])
    assert made.joints["pan"].home_ticks == 3000
    assert made.joints["lift"].direction == -1
    np.testing.assert_allclose(made.ranges, [(-0.9204, 0.9204)] * 2, atol=1e-4)
    with refused("lift | 0.00 rad", ValueError):
        calibrated({"pan": 1, "lift": 2}, {1: 3000, 2: 4090}, [{**ticks, 2: 4090} for ticks in seen])
    with refused("pan | half a turn", ValueError):
        calibrated({"pan": 1}, {1: 0}, [{1: ticks} for ticks in range(0, 4096, 8)])


FEATURES = RobotFeatures(
    robot_type="arm",
    columns={
        "state": Feature(
            dtype="float32", shape=(3,), names=("joint_position.gripper", "joint_position.lift", "joint_position.pan")
        )
    },
    action=Feature(dtype="float32", shape=(3,), names=("lift", "pan", "gripper")),
)
CALIBRATION = Calibration(
    joints={
        "pan": joint(id=1), "lift": joint(id=2, direction=-1),
        "gripper": joint(id=6, minimum_rad=-math.pi / 4, maximum_rad=math.pi / 4),
    }
)  # fmt: skip


class Wires:
    """A bus without wires."""

    def __init__(self) -> None:
        self.ticks = {1: 2048, 2: 2048, 6: 2048}

    def read(self) -> dict[int, int]:
        return self.ticks

    def close(self) -> None:
        self.closed = True


class Buttons:
    """These, one after another; a reset's `read` does not count."""

    name = "pedals"

    def __init__(self, *motions: Motion) -> None:
        self.motions = [Motion(), *motions]

    def read(self) -> Motion:
        return self.motions.pop(0) if self.motions else Motion()

    def close(self) -> None:
        self.closed = True


def leader(wires: Wires, *motions: Motion) -> LeaderArm:
    made = LeaderArm(
        wires, Buttons(*motions), CALIBRATION, FEATURES, minimum=(-1.5, -2.5, 0.0), maximum=(1.5, 2.5, 1.0),
        rate_hz=10, approach_rad_s=1.0,
    )  # fmt: skip
    made.reset(0)
    return made


def at(pan: float, lift: float, gripper: float) -> Observation:
    return Observation(columns={"state": np.array([gripper, lift, pan], np.float32)}, capture_time_ns={"state": 0})


def test_joints_go_to_the_robots_by_name_within_its_limits():
    wires = Wires()
    operator = leader(wires)
    assert np.abs(operator.decide(at(0.0, 0.0, 0.5)).action - (0.0, 0.0, 0.5)).max() < 1e-6
    wires.ticks = {1: 2048 + 1024, 2: 2048 - 256, 6: 2048 - 512}  # the gripper's leader is closed
    decision = operator.decide(at(0.0, 0.0, 0.5))
    np.testing.assert_allclose(decision.action, (math.pi / 8, math.pi / 2, 0.0), atol=1e-5)
    assert decision.control is Controller.HUMAN
    assert decision.action.dtype == np.float32
    wires.ticks = {1: 2048 + 1900, 2: 2048 - 1900, 6: 2048 + 700}
    np.testing.assert_allclose(operator.decide(at(0.0, 0.0, 0.5)).action, (1.5, 2.5, 1.0))


def test_the_robot_approaches_the_leader_before_the_episode_starts():
    wires = Wires()
    wires.ticks[1] += 325  # 0.5 rad
    operator = leader(wires, Motion(event=Event.START))
    decisions = [operator.decide(at(0.0, 0.0, 0.5)) for _ in range(6)]
    np.testing.assert_allclose([d.action[1] for d in decisions], (0.1, 0.2, 0.3, 0.4, 0.5, 0.5), atol=2e-3)
    assert [d.event for d in decisions].index(Event.START) == 4
    wires.ticks[1] += 652
    assert operator.decide(at(0.5, 0.0, 0.5)).action[1] == pytest.approx(1.5, abs=2e-3)  # from now on directly


def test_a_start_can_be_taken_back_while_the_robot_approaches():
    wires = Wires()
    wires.ticks[1] += 326
    operator = leader(wires, Motion(event=Event.START), Motion(event=Event.DISCARD))
    assert [operator.decide(at(0.0, 0.0, 0.5)).event for _ in range(6)] == [
        Event.NONE, Event.DISCARD, Event.NONE, Event.NONE, Event.NONE, Event.NONE
    ]  # fmt: skip


class Script:
    """Says (0, 0.3, 0.2) all the time."""

    name = "script"

    def reset(self, seed: int) -> None:
        self.begun = False

    def decide(self, observation: Observation) -> Decision:
        event, self.begun = (Event.NONE if self.begun else Event.START), True
        return Decision(action=np.array([0.0, 0.3, 0.2], np.float32), control=Controller.SCRIPT, event=event)

    def resume(self) -> None:
        pass

    def close(self) -> None:
        pass


class Silent(Script):
    """Gives no events, like a policy."""

    def reset(self, seed: int) -> None:
        self.begun = True


def test_taking_over_with_a_leader_arm_does_not_jump():
    wires = Wires()
    wires.ticks[6] -= 307  # 0.2 of its way
    operator = TakeOver(
        leader(wires, Motion(), Motion(), Motion(in_control=True), Motion(), Motion(event=Event.SUCCESS)), Script()
    )
    operator.reset(0)
    decisions = [operator.decide(at(0.25, 0.0, 0.5)) for _ in range(4)]
    assert [d.control for d in decisions] == [Controller.SCRIPT] + 3 * [Controller.HUMAN]
    np.testing.assert_allclose([d.action[1] for d in decisions], (0.3, 0.2, 0.1, 0.0), atol=1e-3)
    assert [d.event for d in decisions] == [Event.START, Event.NONE, Event.NONE, Event.SUCCESS]


def test_a_start_that_gives_back_does_not_wait_for_the_leader():
    wires = Wires()
    wires.ticks[1] += 1000
    start = Motion(event=Event.START, in_control=False)
    operator = TakeOver(leader(wires, Motion(), Motion(), start), Silent(), human_first=True)
    operator.reset(0)
    decisions = [operator.decide(at(0.25, 0.0, 0.5)) for _ in range(3)]
    assert [d.control for d in decisions] == [Controller.HUMAN, Controller.SCRIPT, Controller.SCRIPT]
    assert [d.event for d in decisions] == [Event.NONE, Event.START, Event.NONE]


def test_a_calibration_of_another_arm_is_refused():
    other = Calibration(joints={"pan": joint(id=1), "tilt": joint(id=2)})
    with refused("pan, tilt | lift, pan, gripper", ValueError):
        LeaderArm(Wires(), Buttons(), other, FEATURES, minimum=(0, 0, 0), maximum=(1, 1, 1), rate_hz=10)
