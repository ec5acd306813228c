"""A recorded run replayed: the policy that drove wants the same again, and another is found to differ, and where."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chunk_models import Model, with_chunks
from untrained import second_opinion

from isthmus_deploy.drivers.chunk import ChunkDriver
from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.flight import replay
from isthmus_deploy.flight.recorded import Flight, FlightError, read_flight
from isthmus_deploy.flight.unchained import Replayed
from isthmus_deploy.policy.chunk_inference import InLoop
from isthmus_deploy.policy.policy_file import read, seal, with_contract
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


@pytest.mark.parametrize(
    ("was", "becomes", "words"),
    [
        (b'"version": 2', b'"version": 9', "the contract in it: version: 9 is newer than 2"),
        (b'"version": 2', b'"version": 1', "the contract in it: version: 1 is older than 2"),
        (b'"unit"', b'"umit"', "the contract in it: "),
        (b"ramp_s", b"ramp_x", "is damaged, or another version of isthmus-deploy has recorded it: KeyError('ramp_s')"),
        (b"started", b"st\xffrted", "is damaged, copy it again"),
        (b"ramp_s", b"ram\xff\xff\xff", "is damaged, copy it again"),
    ],
)
def test_a_bag_of_another_version_or_with_damage_is_refused_in_words(folder: Path, was, becomes, words, capsys):
    (file,) = folder.glob("*.mcap")
    data = file.read_bytes()
    assert was in data
    file.write_bytes(data.replace(was, becomes))
    assert run_command(folder) == 2
    assert words in capsys.readouterr().err


def test_no_byte_of_the_head_that_is_changed_ends_in_anything_but_words(folder: Path):
    """The contract, the policies and the names of the channels stand there, without a checksum."""
    (file,) = folder.glob("*.mcap")
    data = file.read_bytes()
    for place in range(0, 6000, 41):
        file.write_bytes(data[:place] + bytes([data[place] ^ 0xA0]) + data[place + 1 :])
        with contextlib.suppress(FlightError):
            assert isinstance(read_flight(folder), Flight)


def test_the_policy_that_drove_wants_exactly_the_same_again(folder: Path, policy_path: Path, capsys):
    comparison = replay.compare(read_flight(folder), [Runtime(policy_path)])
    assert comparison.compared == 70
    assert comparison.same
    assert [difference.largest for difference in comparison.differences] == [0.0]
    assert comparison.remarks == []
    assert run_command(folder) == 0, "the policy's path is in the bag"
    assert "joint_command" in capsys.readouterr().out


def test_the_same_policy_with_a_second_opinion_since_is_no_other(folder: Path, policy_path: Path, tmp_path: Path):
    file, path = read(policy_path), tmp_path / "judged.onnx"
    for driven, remarks in ((file.digest, 0), (64 * "0", 1)):
        origin = file.contract.provenance.with_opinions([second_opinion("physx", policy=driven)])
        path.write_bytes(with_contract(file.model, dataclasses.replace(file.contract, provenance=origin)))
        comparison = replay.compare(read_flight(folder), [Runtime(path)])
        assert comparison.same
        assert len(comparison.remarks) == remarks


def test_another_policy_differs_by_what_its_gain_does(folder: Path, other: Path, capsys):
    """Both take the goal and the position of three steps before the same way: 0.2 of the position is left."""
    flight = read_flight(folder)
    (difference,) = replay.compare(flight, [Runtime(other)]).differences
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
        if field.name in ("numbers", "states", "signals", "ages_s", "has_wanted", "wanted", "sent", "chunks")
    }
    comparison = replay.compare(dataclasses.replace(flight, **cut), [Runtime(policy_path)])
    assert any("begins while the policy drives" in remark for remark in comparison.remarks)
    assert not comparison.same, "its memory of three steps is not known"


def _from(values, begin: int):
    return {name: v[begin:] for name, v in values.items()} if isinstance(values, dict) else values[begin:]


def test_chunks_are_taken_in_the_ticks_in_which_they_were(contract, make_signals):
    """An inference that took three ticks: the commands of the chunk before go on until then."""
    driver = Replayed({"policy": chunks_of(contract)}, 0.3)
    driver.start("policy", 0)
    wanted = []
    for tick, taken in enumerate([0, 1, 0, 0, 0, 0, 0, 1, 0]):
        commands = driver.tick(make_signals(0.1 * tick, 0.0), tick * 10_000_000, {"policy": taken})
        wanted.append(round(float(commands["joint_command"][0]), 3) if commands else None)
    assert wanted == [None, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.43, 0.44]


class Slow(InLoop):
    """Its chunks are taken three ticks after they were asked for, or later."""

    asked = 0

    def submit(self, job):
        self.asked = 0
        super().submit(job)

    def take(self):
        self.asked += 1
        return super().take() if self.asked > 4 else None


def chunks_of(contract) -> Any:
    """A policy of chunks: from the newest position on, a hundredth a tick."""
    rising = 0.01 * np.arange(8)[:, None]
    return Model(
        with_chunks(contract, horizon=8, execute=4),
        lambda windows, begin: {"joint_command": np.full((8, 2), windows["joint_position"][-1, 0]) + rising},
    )


def test_each_tick_is_judged_by_the_policy_that_drove(start_run, contract, other, policy_path):
    """Selected in stand-by and while driven, of all kinds, with a chunk that is waited for and one that is not."""
    others = {"other": StepDriver(Runtime(other)), "chunks": ChunkDriver(Slow(chunks_of(contract)))}
    run = start_run(others=others)
    run.controller.select("other")
    run.controller.arm(run.now_ns)
    run.tick()
    run.controller.start(run.now_ns)
    for name in ("other", "chunks", "policy", "chunks", "other"):
        run.controller.select(name)
        for _ in range(20):
            run.tick()
    run.controller.select("chunks")
    run.tick()
    run.controller.stop(run.now_ns)
    run.tick()
    run.controller.reset(run.now_ns)
    run.activate(20)
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    assert [policy.name for policy in flight.policies] == ["policy", "other", "chunks"]
    drove = flight.numbers["policy"][flight.has_wanted]
    assert drove[[0, 19, 20, 22, 30, 45, 90]].tolist() == [1, 1, 1, 1, 2, 0, 1]
    assert flight.numbers["selected"][flight.has_wanted][20] == 2, "waited for"
    assert drove[101:].tolist() == [2] * len(drove[101:]) != []

    def loaded():
        return [Runtime(policy_path), Runtime(other), chunks_of(contract)]

    comparison = replay.compare(flight, loaded())
    assert [(each.policy, each.largest) for each in comparison.differences] == [
        ("policy", 0.0), ("other", 0.0), ("chunks", 0.0)
    ]  # fmt: skip
    assert comparison.compared == flight.has_wanted.sum()
    assert comparison.remarks == []
    wrong = replay.compare(flight, [Runtime(policy_path), Runtime(policy_path), chunks_of(contract)])
    apart = {each.policy: each.largest > 0.01 for each in wrong.differences}
    assert apart == {"policy": False, "other": True, "chunks": True}, "the chunks take over from it"
    assert any("other was" in remark for remark in wrong.remarks)
    with pytest.raises(FlightError, match="the flight had policy, other, chunks: name one for each"):
        replay.compare(flight, loaded()[:1])


def test_ticks_in_which_another_policy_drives_now_are_not_judged(start_run, contract, policy_path):
    """A chunk that was taken then is not there now: the one before drives on, and nothing is said of these ticks."""
    run = start_run(others={"chunks": ChunkDriver(Slow(chunks_of(contract)))})
    run.activate(20)
    run.controller.arm(run.now_ns)
    run.tick()
    run.controller.start(run.now_ns)
    run.controller.select("chunks")
    for _ in range(20):
        run.tick()
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    comparison = replay.compare(
        dataclasses.replace(flight, chunks=np.zeros_like(flight.chunks)), [Runtime(policy_path), chunks_of(contract)]
    )
    drove = int((flight.numbers["policy"][flight.has_wanted] == 1).sum())
    assert drove > 10
    assert f"{drove} ticks cannot be judged: another policy than in the flight drives there now" in comparison.remarks
    assert [each.policy for each in comparison.differences] == ["policy"]
    assert comparison.same


def test_a_flight_without_images_is_refused_for_a_policy_that_needs_them(folder: Path, policy_path: Path):
    flight = read_flight(folder)
    blind = {name: values for name, values in flight.signals.items() if name != "orientation"}
    with pytest.raises(FlightError, match="needs orientation"):
        replay.compare(dataclasses.replace(flight, signals=blind), [Runtime(policy_path)])
