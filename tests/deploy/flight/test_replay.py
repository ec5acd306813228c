"""A recorded run replayed: the policy that drove wants the same again, and another is found to differ, and where."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from chunk_models import Model, with_chunks

from isthmus_deploy.flight import replay
from isthmus_deploy.flight.recorded import Flight, FlightError, read_flight
from isthmus_deploy.flight.unchained import Driver
from isthmus_deploy.policy.policy_file import seal
from isthmus_deploy.policy.runtime import Runtime


@pytest.fixture
def folder(start_run) -> Path:
    """The bag of two activations."""
    run = start_run()
    run.activate(50)
    run.activate(20)
    assert run.recorder.close()
    return run.recorder.folder


@pytest.fixture
def other(contract, replay, make_model, tmp_path: Path) -> Path:
    """A policy with another gain."""
    path = tmp_path / "other.onnx"
    still = {name: np.zeros_like(value) for name, value in replay[0].signals.items()}
    step = dataclasses.replace(replay[0], signals=still, commands={"joint_command": np.zeros(2, np.float32)})
    path.write_bytes(seal(make_model(gain=0.7), contract, [step]))
    return path


def run_command(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        replay.main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_the_policy_that_drove_wants_exactly_the_same_again(folder: Path, policy_path: Path, capsys):
    comparison = replay.compare(read_flight(folder), Runtime(policy_path))
    assert comparison.compared == 70
    assert comparison.same
    assert [difference.largest for difference in comparison.differences] == [0.0]
    assert comparison.remarks == []
    assert run_command(folder) == 0, "the policy's path is in the bag"
    assert "joint_command" in capsys.readouterr().out


def test_another_policy_differs_by_what_its_gain_does(folder: Path, other: Path, capsys):
    """Both take the goal and the position of three steps before the same way: 0.2 of the position is left."""
    flight = read_flight(folder)
    (difference,) = replay.compare(flight, Runtime(other)).differences
    hip = 0.2 * np.abs(flight.signals["joint_position"][flight.has_wanted][:, 0]).max()
    knee = hip / 2
    assert difference.largest == pytest.approx(hip, abs=1e-6)
    assert hip / 4.0 == pytest.approx(knee / 2.0), "shares of ranges of 4 and 2 rad are the same"
    assert difference.share == pytest.approx(hip / 4.0, abs=1e-6)
    first = np.flatnonzero(flight.has_wanted)[0]
    assert difference.begins_s == pytest.approx(0.01 * first)
    assert run_command(folder, other) == 1
    assert "another policy" in capsys.readouterr().out


def test_what_cannot_be_compared_is_refused(folder: Path, start_run, contract, replay_file, capsys):
    assert run_command(folder, replay_file(dataclasses.replace(contract, robot="three_joints"))) == 2
    assert "does not match the policy's contract" in capsys.readouterr().err
    run = start_run()
    run.tick()
    assert run.recorder.close()
    assert run_command(run.recorder.folder) == 2
    assert "never started" in capsys.readouterr().err
    assert run_command(folder / "none.mcap") == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.fixture
def replay_file(make_model, tmp_path: Path, request):
    """A policy file with this contract."""
    steps = request.getfixturevalue("replay")

    def write(contract) -> Path:
        path = tmp_path / "foreign.onnx"
        path.write_bytes(seal(make_model(), contract, steps))
        return path

    return write


def test_a_bag_that_begins_while_the_policy_drives_says_so(folder: Path, policy_path: Path):
    flight = read_flight(folder)
    cut = {
        field.name: _from(getattr(flight, field.name), 40)
        for field in dataclasses.fields(Flight)
        if field.name in ("numbers", "states", "signals", "ages_s", "has_wanted", "wanted", "sent")
    }
    comparison = replay.compare(dataclasses.replace(flight, **cut), Runtime(policy_path))
    assert any("begins while the policy drives" in remark for remark in comparison.remarks)
    assert not comparison.same, "its memory of three steps is not known"


def _from(values, begin: int):
    return {name: v[begin:] for name, v in values.items()} if isinstance(values, dict) else values[begin:]


def test_chunks_are_taken_in_the_ticks_in_which_they_were(contract, make_signals):
    """An inference that took three ticks: the commands of the chunk before go on until then."""
    model = Model(
        with_chunks(contract, horizon=8, execute=4),
        lambda windows, begin: {
            "joint_command": np.full((8, 2), windows["joint_position"][-1, 0]) + 0.01 * np.arange(8)[:, None]
        },
    )
    driver = Driver(model)  # pyright: ignore[reportArgumentType]
    driver.start(0)
    wanted = []
    for tick, taken in enumerate([0, 1, 0, 0, 0, 0, 0, 1, 0]):
        commands = driver.tick(make_signals(0.1 * tick, 0.0), tick * 10_000_000, taken)
        wanted.append(round(float(commands["joint_command"][0]), 3) if commands else None)
    assert wanted == [None, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.43, 0.44]


def test_a_flight_without_images_is_refused_for_a_policy_that_needs_them(folder: Path, policy_path: Path):
    flight = read_flight(folder)
    blind = {name: values for name, values in flight.signals.items() if name != "orientation"}
    with pytest.raises(FlightError, match="needs orientation"):
        replay.compare(dataclasses.replace(flight, signals=blind), Runtime(policy_path))
