"""Processes, domains and policy files of the ROS tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # the helpers beside this file

if TYPE_CHECKING:
    from ros_processes import Operator, Process

# What cannot be imported without ROS 2; `test_without_ros` says so.
_NEED_ROS = ["test_[!w]*.py", "bindings/*.py", "missions/*_processes.py", "stand_in_robot/test_sensors_and_faults.py"]
collect_ignore_glob = [] if find_spec("rclpy") else _NEED_ROS


@pytest.fixture(scope="session")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file that flies the stand-in robot."""
    import hand_made_policy

    path = tmp_path_factory.mktemp("policy") / "hand_made.onnx"
    path.write_bytes(hand_made_policy.policy_file())
    return path


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[int]:
    """A ROS domain of the test's own, on this machine only; its processes inherit it."""
    from ros_processes import own_domain

    from isthmus_deploy.ros import ros2

    with own_domain() as number:
        monkeypatch.setenv("ROS_DOMAIN_ID", str(number))
        monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        monkeypatch.setenv("ROS_LOG_DIR", str(tmp_path / "ros_log"))
        monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
        ros2.require()
        yield number


@pytest.fixture
def start(domain: int) -> Iterator[Callable[..., Process]]:
    """`start(module, *arguments)` runs `python -m isthmus_deploy.ros.MODULE`; it ends with the test."""
    from ros_processes import Process

    processes: list[Process] = []

    def launch(module: str, *arguments: object, environment: dict[str, str] | None = None) -> Process:
        processes.append(Process(f"isthmus_deploy.ros.{module}", *arguments, environment=environment))
        return processes[-1]

    yield launch
    for process in processes:
        process.kill()


@pytest.fixture
def operator(domain: int) -> Iterator[Operator]:
    """A person at the robot."""
    from ros_processes import Operator

    person = Operator()
    yield person
    person.close()


@pytest.fixture(scope="session")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy file with which the stand-in quadruped stands."""
    import standing_policy

    path = tmp_path_factory.mktemp("policy") / "standing.onnx"
    path.write_bytes(standing_policy.policy_file())
    return path


@pytest.fixture
def walker(domain: int) -> Iterator[Operator]:
    """A person at a robot with legs."""
    from ros_processes import Operator

    person = Operator("forward_position_controller/commands")
    yield person
    person.close()
