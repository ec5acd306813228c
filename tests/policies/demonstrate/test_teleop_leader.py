"""`isthmus-teleop --leader` without a browser, with servos on a simulated bus: the arm follows, and what is refused."""

from __future__ import annotations

import math
import re
import runpy
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("scservo_sdk", reason="needs feetech-servo-sdk: pip install 'isthmus[teleop]'")
from isthmus_datasets.format.reader import DatasetReader
from isthmus_datasets.recording.operator import Controller, Event
from isthmus_datasets.teleop.browser_device import BrowserDevice
from isthmus_datasets.teleop.devices.arm_calibration import Calibration, Joint
from isthmus_datasets.teleop.devices.motion import Motion
from isthmus_datasets.teleop.devices.servo_bus import ServoBus
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.demonstrate import leader, teleop
from isthmus_policies.files import write_json
from isthmus_policies.networks.squashed import SquashedConfig
from isthmus_policies.training.config import default_config
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.robots.so101.description import HOME, JOINTS, RANGE

simulator = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "datasets/teleop/servo_simulator.py")))
TICK = math.pi / 2048  # rad
REACH = 0.5  # rad, of the leader's gripper either way
CALIBRATION = Calibration(
    joints={
        name: Joint(id=servo, home_ticks=2048, direction=1, minimum_rad=-REACH, maximum_rad=REACH)
        for servo, name in reversed(list(enumerate(JOINTS, start=1)))
    }
)
Press = Callable[[BrowserDevice], object]


class Bus(simulator.FeetechBus):
    """Held at the robot's start, but 0.3 rad to the side; 60 readings later the person begins to turn it."""

    def __init__(self) -> None:
        super().__init__(list(range(1, 7)))
        self.readings = 0
        self.hold((0.3, *HOME[1:-1], 0.0))

    def hold(self, angles: tuple[float, ...]) -> None:
        for servo, angle in enumerate(angles, start=1):
            self.turn(servo, 2048 + round(angle / TICK))

    def sync(self, parameters: bytes) -> tuple[int, int, bytes]:
        self.readings += 1
        turned = 0.01 * max(0, self.readings - 60)
        self.hold((0.3 - turned, *HOME[1:-1], 0.5 * turned))
        return super().sync(parameters)


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bus]:
    monkeypatch.setattr(leader, "ServoBus", partial(ServoBus, patience_s=0.4))
    bus = Bus()
    yield bus
    bus.unplug()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    CALIBRATION.save(tmp_path / "leader.json")
    return tmp_path / "leader.json"


def demonstrate(
    monkeypatch: pytest.MonkeyPatch,
    presses: dict[int, Press],
    *arguments: object,
    task: str = "pick_place",
    then: Event = Event.QUIT,
) -> None:
    """The command, at whose page somebody presses at those readings; `then` after an error."""

    class Pressed(BrowserDevice):
        readings = 0

        def read(self) -> Motion:
            presses.get(self.readings, lambda _: None)(self)
            self.readings += 1
            return super().read()

        def wait(self) -> Event:
            return then

    monkeypatch.setattr(teleop, "BrowserDevice", Pressed)
    with pytest.raises(SystemExit) as ended:
        teleop.main([task, *map(str, arguments), "--no-open", "--port", "0"])
    assert ended.value.code == 0


def ask(event: Event) -> Press:
    return lambda device: device.ask(event)


def test_the_arm_goes_to_the_leader_and_then_follows_it(
    bus: Bus, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    readings: list[int] = []

    def stop(device: BrowserDevice) -> None:
        readings.append(bus.readings)
        device.ask(Event.STOP)

    presses: dict[int, Press] = {1: ask(Event.START), 100: stop}
    demonstrate(monkeypatch, presses, tmp_path / "d", "--leader", file, "--leader-port", bus.port, "--episodes", 1)
    episode = DatasetReader(tmp_path / "d").episode(0, videos=False)
    action, state = episode.columns["action"], episode.columns["observation.state"][:, :6]
    assert set(episode.columns["control"].ravel()) == {Controller.HUMAN}
    assert np.abs(state[0, 0] - 0.3) < 0.15, "it had come near before anything was recorded"
    assert np.abs(np.diff(action[:, 0])).max() < 0.06
    turned = 0.3 - action[-1, 0]
    # With every reading the person turns by 0.01; on a busy machine servos are asked again now and then.
    assert turned == pytest.approx(0.01 * (readings[0] - 60), abs=0.02)
    np.testing.assert_allclose(action[-1, 1:-1], HOME[1:-1], atol=TICK)
    low, high = RANGE["gripper"]
    assert action[-1, -1] == pytest.approx((low + high) / 2 + 0.5 * turned / (2 * REACH) * (high - low), abs=0.01)
    np.testing.assert_allclose(state[-1], action[-1], atol=0.12)


def test_a_leader_takes_over_from_the_script(bus: Bus, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    presses = {1: ask(Event.START), 12: lambda device: device.control(True), 40: ask(Event.STOP)}
    demonstrate(
        monkeypatch, presses, tmp_path / "d", "--leader", file, "--leader-port", bus.port, "--episodes", 1,
        "--policy", "script",
    )  # fmt: skip
    episode = DatasetReader(tmp_path / "d").episode(0, videos=False)
    control, action = episode.columns["control"].ravel(), episode.columns["action"]
    assert list(control) == 11 * [Controller.SCRIPT] + 28 * [Controller.HUMAN]
    assert np.abs(np.diff(action[10:], axis=0)).max() <= 0.051, "no jump"
    assert action[-1, 0] == pytest.approx(0.3, abs=0.01)


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Path]:
    """The run of a learner of the peg that has shown its policy, which moves little."""
    usual = default_config("peg", algorithm="sac-robot")
    settings = {"exchange": tmp_path / "exchange", "replay_steps": 500, "patience_s": 0.01}
    small = SquashedConfig(actor=(8,), critic=(8,), critic_groups=("actor",))
    config = replace(usual, policy=small, algorithm=replace(usual.algorithm, **settings))
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run/config.json", config)
    with closing(Trainer(config)) as trainer, closing(trainer.algorithm):  # pyright: ignore[reportArgumentType]
        yield tmp_path / "run"


def test_a_policy_that_learns_is_told_what_the_leader_did_in_its_place(
    bus: Bus, file: Path, learner: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    presses = {
        1: ask(Event.START), 2: lambda device: device.control(False), 20: lambda device: device.control(True),
        50: lambda device: device.control(False), 60: ask(Event.STOP),
    }  # fmt: skip
    demonstrate(
        monkeypatch, presses, tmp_path / "d", "--leader", file, "--leader-port", bus.port, "--episodes", 1,
        "--learn", learner, task="peg",
    )  # fmt: skip
    control = DatasetReader(tmp_path / "d").episode(0, videos=False).columns["control"].ravel()
    run = LearningRun.of(learner)
    groups = {name: run.task.groups[name] for name in run.policy.learns_from()}
    with closing(Experience(run.exchange, run.task, groups, 500, make=False, write=False)) as experience:
        rows = experience.read(0, 500)
    assert list(rows["intervened"]) == list(control == Controller.HUMAN)
    assert [int(n) for n in np.flatnonzero(rows["taken"])] == [int(np.flatnonzero(np.diff(rows["intervened"]))[0])]
    by_leader = rows["action"][rows["intervened"]]
    assert by_leader[:, 1].std() > 0.01, "sideways, where the person turns it"


def test_a_cable_that_is_pulled_discards_the_episode(
    bus: Bus, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    presses: dict[int, Press] = {1: ask(Event.START), 40: lambda _: bus.unplug()}
    demonstrate(monkeypatch, presses, tmp_path / "d", "--leader", file, "--leader-port", bus.port)
    said = capsys.readouterr().out
    assert re.search(rf"episode 0 was discarded after \d\d steps: leader arm at {bus.port}: it was unplugged", said)
    assert "0 episodes saved (0 steps), 1 discarded" in said


def test_a_servo_that_comes_back_can_be_recorded_again(
    bus: Bus, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def silent(*servos: int) -> Press:
        return lambda _: setattr(bus, "silent", set(servos))

    presses = {1: ask(Event.START), 30: silent(4), 31: silent(), 32: ask(Event.START), 70: ask(Event.STOP)}
    demonstrate(
        monkeypatch, presses, tmp_path / "d", "--leader", file, "--leader-port", bus.port, "--episodes", 1,
        then=Event.START,
    )  # fmt: skip
    said = capsys.readouterr().out
    assert "wrist_flex (id 4): There is no status packet" in said
    assert "1 episodes saved" in said


@pytest.mark.parametrize(
    ("task", "change", "wrong"),
    [
        ("push_t", {}, r"leader arm: it leads joints, but pusher is driven by target_position"),
        ("pick_place", {"file": "other.json"}, r"leader arm: there is no .*other\.json: isthmus-calibrate leader PORT"),
        ("pick_place", {"port": "/dev/ttyNONE"}, r"leader arm at /dev/ttyNONE: cannot be opened"),
        (
            "pick_place",
            {"joints": {"pan": 1}},
            r"leader arm: the leader's joints are pan, but the robot's shoulder_pan",
        ),
        ("pick_place", {"joints": {}}, r"leader arm: .*leader\.json is no calibration of an arm"),
    ],
)
def test_what_cannot_lead_is_refused_before_there_is_a_page(
    bus: Bus, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], task: str, change: dict, wrong: str
):
    port = change.get("port", bus.port)
    if "joints" in change:
        one = CALIBRATION.joints["gripper"]
        file.write_text("{}")
        if change["joints"]:
            Calibration(joints={name: replace(one, id=servo) for name, servo in change["joints"].items()}).save(file)
    path = tmp_path / change.get("file", file.name)
    with pytest.raises(SystemExit, match=f"isthmus-teleop: {wrong}"):
        teleop.main([task, str(tmp_path / "d"), "--leader", str(path), "--leader-port", port, "--no-open"])
    assert "open http" not in capsys.readouterr().out
    assert not (tmp_path / "d").exists()
