"""A run through shared memory and a process of its own onto the disk and back, and what may become of that process."""

from __future__ import annotations

import os
import resource
import select
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from isthmus_deploy.flight.recorded import FlightError, read_flight
from isthmus_deploy.flight.row import NUMBERS
from isthmus_deploy.safety.supervisor import State

START_S = 40.0  # a process may take this long to start on a busy machine


def wait_for(what) -> None:
    """Until `what()` is true."""
    end = time.monotonic() + START_S
    while not what():
        assert time.monotonic() < end, "it does not happen"
        select.select([], [], [], 0.05)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.mcap"))


def test_all_of_a_run_comes_back_as_it_was(start_run):
    run = start_run()
    run.activate(50)
    run.activate(20)
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    assert flight.finished
    assert flight.contract == run.controller.contract
    assert [policy.sha256 for policy in flight.policies] == [run.controller.driver.digest]
    assert len(flight.states) == 132
    assert np.array_equal(flight.wanted["joint_command"][flight.has_wanted], run.wanted)
    assert np.array_equal(flight.sent["joint_command"], run.sent)
    assert flight.has_wanted.sum() == 70
    assert np.isnan(flight.wanted["joint_command"][~flight.has_wanted]).all()
    assert flight.states[0] == State.READY
    assert [flight.states[i] for i in (29, 30, 79, 80)] == [State.READY, State.RAMP_IN, State.RUNNING, State.STOPPED]
    assert flight.numbers["activation"][[29, 30, 80, 131]].tolist() == [0, 1, 1, 2]
    assert flight.numbers["tick"].tolist() == list(range(1, 133))
    assert set(np.diff(flight.numbers["monotonic_ns"])) == {10_000_000}
    assert set(flight.numbers) == set(NUMBERS)
    angle = 0.3 * np.sin(1e-9 * flight.numbers["monotonic_ns"])
    assert np.allclose(flight.signals["joint_position"], np.stack([angle, 0.5 * angle], axis=1), atol=1e-7)
    assert flight.ages_s[0].tolist() == [0.001, 0.002, 0.0]


def test_a_robot_that_nobody_drives_is_recorded_once_a_second(start_run):
    run = start_run()
    for _ in range(250):  # 2.5 s in idle
        run.tick()
    run.activate(5)
    for _ in range(1500):  # 15 s in idle, of which 10 s belong to what was before
        run.tick()
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    ticks = flight.numbers["tick"]
    assert ticks[:3].tolist() == [1, 101, 201]
    assert np.array_equal(ticks[3:1037], np.arange(251, 1285))
    assert 4 <= len(ticks[1037:]) <= 6


def test_a_recorder_that_is_killed_leaves_what_it_has_written_and_the_loop_goes_on(start_run):
    run = start_run()
    run.activate(50)
    wait_for(lambda: size(run.recorder.folder) > 20_000)
    assert run.recorder.problem() is None
    os.kill(run.recorder.pid, signal.SIGKILL)
    wait_for(run.recorder.problem)
    assert run.recorder.problem() == "its process was ended by SIGKILL"
    run.activate(3500)  # more than the ring holds
    assert run.recorder.lost > 0
    flight = read_flight(run.recorder.folder)
    assert not flight.finished
    count = len(flight.states)
    assert np.array_equal(flight.sent["joint_command"], run.sent[:count])
    assert count == 80, "all but the last one, which may lack some of its messages"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_ends_the_node_does_not_end_the_recorder(start_run, number):
    run = start_run()
    run.activate(5)
    wait_for(lambda: size(run.recorder.folder))
    os.kill(run.recorder.pid, number)
    run.activate(5)
    assert run.recorder.close()
    assert read_flight(run.recorder.folder).finished


def test_where_nothing_can_be_written_it_says_so(start_run, tmp_path: Path):
    (tmp_path / "flights0").write_text("no folder")
    run = start_run()
    run.activate(5)
    wait_for(run.recorder.problem)
    assert run.recorder.problem() == f"cannot write {run.recorder.folder}: Not a directory"


def test_where_the_disk_is_full_it_says_so_and_leaves_what_it_has_written(start_run):
    run = start_run()
    run.activate(50)
    wait_for(lambda: size(run.recorder.folder) > 20_000)
    full = size(run.recorder.folder) + 1_000
    resource.prlimit(run.recorder.pid, resource.RLIMIT_FSIZE, (full, full))
    run.activate(200)
    wait_for(run.recorder.problem)
    assert run.recorder.problem() == f"cannot write {run.recorder.folder.parent}: File too large"
    assert run.recorder.close()
    flight = read_flight(run.recorder.folder)
    assert not flight.finished
    assert np.array_equal(flight.sent["joint_command"], run.sent[: len(flight.states)])
    assert len(flight.states) >= 80


def test_it_keeps_within_its_bound_and_has_the_last_of_a_long_run(start_run, tmp_path: Path):
    limit = 400_000
    run = start_run(limit=limit)
    for number in range(8):
        run.activate(300)
        wait_for(lambda: size(run.recorder.folder))
        assert size(run.recorder.folder) <= limit, f"activation {number}"
    assert run.recorder.close()
    assert 0.5 * limit < size(run.recorder.folder) <= limit
    flight = read_flight(run.recorder.folder)
    assert flight.numbers["tick"][0] > 1
    assert np.array_equal(flight.sent["joint_command"], run.sent[-len(flight.states) :])


def test_what_is_no_flight_is_refused(tmp_path: Path):
    with pytest.raises(FlightError, match=r"has no .mcap files"):
        read_flight(tmp_path)
    (tmp_path / "other.mcap").write_bytes(b"\x89MCAP0\r\n")
    with pytest.raises(FlightError, match="no flight that isthmus-deploy has recorded"):
        read_flight(tmp_path / "other.mcap")
