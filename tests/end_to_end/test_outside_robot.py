"""A robot of another package goes the whole way: training, evaluation with video, export, ROS 2 against a stand-in.

No file of this repository knows its name, nor that of the package that `isthmus-new` writes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import tomllib

from isthmus_policies.demo.processes import Processes
from isthmus_sim.new.command import write_package

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "outside_robot"
ENTRIES = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]["entry-points"]
(ROBOT,), (TASK,) = ENTRIES["isthmus.robots"], ENTRIES["isthmus.tasks"]
GOALS = (0.8, -0.6, -0.9, 0.5)  # two goals of two joints, rad


def test_no_file_of_the_repository_knows_it():
    listing = subprocess.run(
        ["git", "grep", "-il", ROBOT, "--", ".", ":!tests/outside_robot"], cwd=ROOT, capture_output=True, text=True
    )
    if listing.returncode > 1:
        pytest.skip(f"not a git checkout: {listing.stderr.strip()}")
    assert listing.stdout == ""


def test_it_takes_few_files_and_lines():
    files = [path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".toml")]
    lines = sum(len(path.read_text().splitlines()) for path in files)
    print(f"an outside robot with its task: {len(files)} files, {lines} lines")
    assert len(files) <= 4
    assert lines <= 250


def installed(package: Path, target: Path) -> dict[str, str]:
    """Install a package into a folder of its own; the environment in which it is found."""
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", target, package], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join((str(target), os.environ.get("PYTHONPATH", "")))}


def run(command: str, *arguments: object, environment: dict[str, str], folder: Path) -> str:
    """A program of this environment, which must succeed; what it printed."""
    program = Path(sys.executable).with_name(command)
    result = subprocess.run(
        [program, *map(str, arguments)], env=environment, cwd=folder, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.ros
@pytest.mark.skipif(find_spec("rclpy") is None, reason="needs rclpy: pip install 'isthmus[ros]'")
@pytest.mark.skipif(find_spec("hatchling") is None, reason="needs hatchling to build a package: pip install hatchling")
def test_it_goes_from_training_to_ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    environment = installed(PACKAGE, tmp_path / "site")
    folder = tmp_path / "run"
    run("isthmus-train", TASK, "--run", folder, environment=environment, folder=tmp_path)
    run("isthmus-play", folder, "--episodes", 100, environment=environment, folder=tmp_path)
    score = json.loads((folder / "evaluation.json").read_text())
    assert score["success_is"] == "goal reached"
    assert score["success"][1] >= 0.9
    assert (folder / "video.mp4").stat().st_size > 10_000
    run("isthmus-export", folder, "--episodes", 20, environment=environment, folder=tmp_path)

    monkeypatch.setenv("PYTHONPATH", environment["PYTHONPATH"])
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with Processes(tmp_path) as processes:
        robot = processes.start("robot", "isthmus_deploy.ros.stand_in_robot", "--robot", ROBOT, "--seed", 3)
        node = processes.start("node", "isthmus_deploy.ros.node.policy_node", folder / "policy.onnx", "--wait-s", 40)
        goal = processes.start("goal", "isthmus_deploy.ros.missions.goal", *GOALS, "--tolerance", 0.1, "--wait-s", 40)
        assert goal.ended(90), goal.output() + node.output() + robot.output()
        goal.require_success()


def test_what_isthmus_new_writes_trains(tmp_path: Path):
    if find_spec("hatchling") is None:
        pytest.skip("needs hatchling to build a package: pip install hatchling")
    write_package("first-arm", tmp_path / "first-arm")
    environment = installed(tmp_path / "first-arm", tmp_path / "site")
    printed = run(
        "isthmus-train", "first-arm-reach", "--iterations", 2, "--run", tmp_path / "run", environment=environment,
        folder=tmp_path,
    )  # fmt: skip
    assert "steps in" in printed


def test_a_name_that_cannot_be_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="My Arm"):
        write_package("My Arm", tmp_path)
    with pytest.raises(ValueError, match="quadruped"):
        write_package("quadruped", tmp_path)
    for taken in ("class", "json", "numpy", "import-linter", "isthmus"):
        with pytest.raises(ValueError, match=f"'{taken}' is .*: take another, such as my-{taken}$"):
            write_package(taken, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError, match="not empty"):
        write_package("my-arm", tmp_path)
