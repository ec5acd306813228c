"""For all tests: MuJoCo reads how it is to draw when it is first imported, so that is settled before any test is.

No test is timed, hypothesis's examples neither: the machine is shared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

import isthmus_sim  # noqa: F401

if TYPE_CHECKING:
    from ros_processes import Process

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


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
