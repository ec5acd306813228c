"""A fault that is put into a log is named first, a sound log has none, and what cannot be judged is said."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.contracts.robot_interface import ContractMismatch
from isthmus_deploy.mismatch import command
from isthmus_deploy.mismatch.finder import Finder, MismatchError, learn_world
from isthmus_deploy.mismatch.plain import history
from isthmus_deploy.policy.policy_file import ReplayStep, seal

STANDBY = np.array([0.1, -0.1])


@pytest.fixture(scope="module")
def finder(noisy, fly) -> Finder:
    return Finder(noisy, learn_world(noisy, [fly(100 + seed) for seed in range(30)]))


def test_sound_logs_have_nothing_wrong(finder: Finder, fly):
    assert [finder.find(fly(seed)) for seed in range(5)] == [[]] * 5


@pytest.mark.parametrize(
    ("kind", "words", "fault"),
    [
        ("joint order", "hip and knee are swapped in the commands", {"commands": lambda v: v[::-1]}),
        ("joint order", "hip and knee are swapped in the readings", {"readings": lambda v: v[::-1]}),
        ("sign", "knee turns the other way in the readings", {"readings": lambda v: v * [1.0, -1.0]}),
        ("sign", "hip turns the other way in the commands", {"commands": lambda v: v * [-1.0, 1.0]}),
        ("offset", "hip reads about +0.2 too much", {"readings": lambda v: v + np.array([0.2, 0.0])}),
        ("unit", "joint_position is in degrees for radians", {"readings": np.degrees}),
        ("action scale", "joint_command acts about 0.5 times as far", {"commands": lambda v: (v + STANDBY) / 2}),
    ],
)
def test_the_fault_is_named_first(finder: Finder, fly, kind: str, words: str, fault: dict):
    first = finder.find(fly(7, **fault))[0]
    assert (first.kind, first.words) == (kind, words)
    assert "away from the trained world" in first.evidence


def test_the_next_likeliest_kinds_follow_and_say_so(finder: Finder, fly):
    found = finder.find(fly(7, readings=lambda v: v * [1.0, -1.0]))
    assert len(found) == 3
    assert found[0].kind == "sign"
    assert [finding.evidence.endswith("which may be by chance") for finding in found] == [False, False, True]


def test_a_late_robot_is_named(finder: Finder, fly):
    line: list[np.ndarray] = []

    def late(row: np.ndarray) -> np.ndarray:
        line.append(row)
        return line[max(0, len(line) - 4)]

    first = finder.find(fly(7, commands=late))[0]
    assert (first.kind, first.words) == ("delay", "joint_command acts about 3 control periods late")


def test_a_sensor_that_stands_still_and_a_slow_clock_are_seen_without_a_model(finder: Finder, fly):
    stuck = finder.find(fly(7, readings=lambda v: np.array([v[0], 0.25])))
    assert (stuck[0].kind, stuck[0].words) == ("dead sensor", "joint_position of knee stands still")
    slow = finder.find(fly(7, period_ns=15_000_000))
    assert (slow[0].kind, slow[0].evidence) == ("control period", "the policy was trained for 10 ms")


@pytest.fixture
def policy(noisy, make_model, make_signals, tmp_path: Path) -> Path:
    """`goal + position / 2 + the oldest of three`, for the noisy contract."""
    path = tmp_path / "policy.onnx"
    commands = {"joint_command": np.array([0.1, 0.2], np.float32)}
    step = ReplayStep(reset=True, signals=make_signals(0.2, 0.4), commands=commands)
    path.write_bytes(seal(make_model(), noisy, [step]))
    return path


@pytest.mark.parametrize(("read", "found"), [("oldest", []), ("newest", ["history direction"])])
def test_a_window_that_is_read_backwards_is_seen_by_replaying(fly, policy: Path, read: str, found: list[str]):
    flight = fly(3)
    position = flight.signals["joint_position"]
    past = np.vstack([np.zeros((3, 2), np.float32), position])
    row = past[:-3] if read == "oldest" else past[2:-1]
    wanted = np.clip(0.5 * position + row, [-2.0, -1.0], [2.0, 1.0])
    flight = dataclasses.replace(flight, wanted={"joint_command": wanted.astype(float)})
    assert [finding.kind for finding in history(flight, policy)] == found


def test_what_cannot_be_judged_is_said(finder: Finder, noisy, fly):
    flight = fly(1)
    rest = dataclasses.replace(flight, sent={"joint_command": np.full((300, 2), np.nan)})
    with pytest.raises(MismatchError, match="the log has 1 ticks in a row in which commands were sent; 18 are needed"):
        finder.find(rest)
    other = dataclasses.replace(flight, contract=dataclasses.replace(noisy, robot="three_joints"))
    with pytest.raises(ContractMismatch, match="three_joints"):
        finder.find(other)
    with pytest.raises(MismatchError, match=r"12 sound flights or more.* here are 3"):
        learn_world(noisy, [flight] * 3)


def run(capsys, *arguments: object) -> tuple[int, str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["isthmus-mismatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command.main()
    assert isinstance(ended.value.code, int)
    told = capsys.readouterr()
    return ended.value.code, told.out + told.err


def test_from_bags_to_a_verdict(noisy, fly, record, policy: Path, tmp_path: Path, capsys):
    sound = [record(fly(100 + seed), tmp_path / f"sound{seed}") for seed in range(30)]
    world = policy.with_suffix(".world.npz")
    assert run(capsys, *sound, "--contract", policy, "--learn", world) == (
        0, f"learnt of 30 flights, written to {world}\n",
    )  # fmt: skip
    bad = record(fly(7, commands=lambda v: v[::-1]), tmp_path / "bad")
    contract = tmp_path / "contract.json"
    contract.write_text(noisy.to_json())
    code, told = run(capsys, bad, "--contract", contract, "--world", world)
    assert code == 1
    assert told.startswith("1. joint order: hip and knee are swapped in the commands")
    fine = record(fly(8), tmp_path / "fine")
    assert run(capsys, fine, "--contract", contract, "--world", world) == (0, "nothing is found to be wrong\n")


def test_without_a_world_only_what_is_plain_is_judged_and_said(noisy, fly, record, tmp_path: Path, capsys):
    contract = tmp_path / "contract.json"
    contract.write_text(noisy.to_json())
    bag = record(fly(7, commands=lambda v: v[::-1]), tmp_path / "bad")
    code, told = run(capsys, bag, "--contract", contract)
    assert code == 0
    assert "orders, signs, units, frames, gains and delays are not judged" in told
    (tmp_path / "w.npz").write_bytes(b"no world")
    code, told = run(capsys, bag, "--contract", contract, "--world", tmp_path / "w.npz")
    assert code == 2
    assert "is no world that isthmus-mismatch --learn has written" in told
