"""`isthmus-demo`, with its real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from isthmus_policies.demo.options import parse
from isthmus_policies.demo.processes import Process, Processes

SHORT = (
    "--iterations", "2", "--echo-s", "1", "--plan.climb-s", "1", "--plan.hover-s", "1", "--plan.laps", "1",
    "--plan.period-s", "3", "--plan.size-m", "0.3",
)  # fmt: skip
BLOCK_ROS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "rclpy":
            raise ModuleNotFoundError("No module named 'rclpy'", name="rclpy")
sys.meta_path.insert(0, Absent())
from isthmus_policies.demo.demo import main
main()
"""

needs_ros = pytest.mark.skipif(find_spec("rclpy") is None, reason="needs rclpy: pip install 'isthmus[ros]'")


def demo(out: Path, *arguments: str, timeout_s: float = 570) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "isthmus_policies.demo.demo", "--out", str(out), *arguments]
    environment = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s)


def left_running(out: Path) -> list[str]:
    """Command lines of living processes that name the folder: robot, node, mission and echo all do."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if str(out) in line:
            found.append(line)
    return found


@needs_ros
@pytest.mark.ros
def test_a_policy_that_cannot_fly_fails_the_demo_with_cause_and_report(tmp_path: Path):
    result = demo(tmp_path / "out", *SHORT)
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"isthmus-demo: the flight failed: \S.* \(see .*mission\.log\)", result.stdout)
    assert "The flight failed" in (tmp_path / "out" / "report.html").read_text()
    flight = json.loads((tmp_path / "out" / "flight" / "flight.json").read_text())
    assert not flight["success"]
    assert not left_running(tmp_path)


@needs_ros
@pytest.mark.ros
def test_a_policy_that_has_hardly_learned_fails_its_attempt_with_cause_and_report(tmp_path: Path):
    out = tmp_path / "out"
    short = ("--episodes", "2", "--steps", "4", "--student-steps", "2", "--tries", "2", "--echo-s", "1")
    result = demo(out, "--task", "push_t", *short, "--time-s", "2")
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"isthmus-demo: the attempt failed: not done after 2\.\d s \(see .*mission\.log\)", result.stdout)
    report = (out / "report.html").read_text().replace("\u00a0", " ")  # numbers keep to their units
    assert "The attempt failed" in report
    assert "2 episodes" in report
    assert "replayed" in report
    assert (out / "robot.npz").is_file()
    assert not left_running(tmp_path)


@needs_ros
@pytest.mark.ros
def test_processes_do_not_outlive_the_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())  # the block sets the domain of its processes
    started: list[Process] = []
    with pytest.raises(KeyboardInterrupt), Processes(tmp_path) as processes:  # noqa: PT012
        started += [processes.start(f"echo{i}", "isthmus_deploy.ros.bench_echo", "--role", "echo") for i in range(2)]
        assert not any(process.ended() for process in started)
        raise KeyboardInterrupt
    assert all(process.ended() for process in started)


def test_a_signal_while_a_process_starts_leaves_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def interrupted(*arguments, **options) -> subprocess.Popen:
        started.append(popen(*arguments, **options))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt), Processes(tmp_path) as processes:
            processes.start("idle", "timeit", "-n", "1", "import time; time.sleep(60)")
    finally:
        signal.signal(signal.SIGINT, before)
    assert [process.poll() is not None for process in started] == [True]


@needs_ros
@pytest.mark.ros
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process(tmp_path: Path, number: signal.Signals):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "isthmus_policies.demo.demo", "--out", str(out), *SHORT]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 200
    while not (out / "mission.log").is_file():  # all three processes have been started
        assert time.monotonic() < deadline
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.2)
            pytest.fail(process.communicate()[0])
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number], output
    assert not left_running(tmp_path)


def test_without_ros_it_says_so_before_training(tmp_path: Path):
    command = [sys.executable, "-c", BLOCK_ROS, "--out", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert 'pip install -c constraints.txt "isthmus[ros]"' in result.stderr
    assert not (tmp_path / "out").exists()


def test_each_task_has_a_plan_and_a_folder_of_its_own(capsys: pytest.CaptureFixture[str]):
    choice, options = parse([])
    assert (choice.task, options.out) == ("quadrotor", Path("runs/demo"))
    choice, options = parse(["--plan.side-m", "2", "--task", "biped", "--robot-seed", "3"])
    assert (choice.task, options.plan.side_m, options.robot_seed) == ("biped", 2.0, 3)
    assert options.out == Path("runs/demo-biped")
    for wrong, named in (
        (["--task", "cat"], "unknown task 'cat'"),
        (["--task", "reach_cube"], "lacks a mission"),
        (["--plan.side-m", "2"], "--plan.side-m"),
    ):
        with pytest.raises(SystemExit) as ended:
            parse(wrong)
        assert ended.value.code == 2
        assert named in "".join(capsys.readouterr())


@needs_ros
@pytest.mark.ros
@pytest.mark.long
@pytest.mark.parametrize("task", ["quadruped", "biped"])
def test_a_policy_that_cannot_walk_fails_the_demo_with_cause_and_report(tmp_path: Path, task: str):
    out = tmp_path / "out"
    result = demo(out, "--task", task, "--iterations", "2", "--echo-s", "1")
    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(r"isthmus-demo: the walk failed: \S.* \(see .*mission\.log\)", result.stdout)
    assert "The walk failed" in (out / "report.html").read_text()
    assert not json.loads((out / "walk" / "walk.json").read_text())["success"]
    assert not left_running(tmp_path)


@needs_ros
@pytest.mark.ros
@pytest.mark.long
def test_the_demo_flies(tmp_path: Path):
    out = tmp_path / "out"
    result = demo(out)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "The flight succeeded" in (out / "report.html").read_text()
    assert (out / "flight.mp4").stat().st_size > 100_000
    errors = json.loads((out / "flight" / "flight.json").read_text())["tracking_m"]
    assert errors["hover"]["rmse"] < 0.2
    assert errors["figure-eight"]["rmse"] < 0.35


@needs_ros
@pytest.mark.ros
@pytest.mark.long
def test_the_demo_walks(tmp_path: Path):
    out = tmp_path / "out"
    result = demo(out, "--task", "quadruped", timeout_s=2400)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "The walk succeeded" in (out / "report.html").read_text()
    assert (out / "walk.mp4").stat().st_size > 100_000
    walk = json.loads((out / "walk" / "walk.json").read_text())
    assert walk["end"]["away_m"] < 0.5
    assert max(leg["error_mps"] for leg in walk["following"].values()) < 0.2
