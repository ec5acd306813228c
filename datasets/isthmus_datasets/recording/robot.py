"""What teleoperation, recording and evaluation know of a robot, simulated or real."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.format.features import Feature, Features


class RobotError(RuntimeError):
    """The robot cannot go on with the episode; the message says why."""


class RobotLost(RobotError):  # noqa: N818 (reads as what it is)
    """The robot, or one of its sensors, has fallen silent; what it said before holds."""


class CameraError(RuntimeError):
    """A camera has disappeared, or gives no image in time."""

    def __init__(self, camera: str, reason: str) -> None:
        super().__init__(f"camera {camera!r}: {reason}")
        self.camera = camera


def quantities(units: Mapping[str, str], *, dtype: str = "float32") -> Feature:
    """A column of numbers: name -> SI unit, such as {"shoulder": "rad", "gripper": "m"}; "1" for a pure number."""
    return Feature(dtype=dtype, shape=(len(units),), names=tuple(units), info={"units": list(units.values())})


@dataclass(frozen=True, kw_only=True)
class RobotFeatures:
    """What a robot says of itself.

    Args:
        robot_type: Such as "so101".
        columns: name -> an observation column, such as {"state": quantities({"shoulder": "rad"})}.
        simulation: name -> a column of what only a simulator knows, such as where things around the robot are.
        cameras: name -> (height, width) of its images.
        action: What `act` takes and gives back.
        reward, success: Whether observations tell what the last action earned, and whether the task is done.
        simulator_state: How many numbers `simulator_state()` gives; 0 where there is no simulator.

    Raises:
        ValueError: a column or the action is an image or a string, or a camera has the name of a column.
    """

    robot_type: str
    columns: Features
    simulation: Features = field(default_factory=dict)
    cameras: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    action: Feature
    reward: bool = False
    success: bool = False
    simulator_state: int = 0

    def __post_init__(self) -> None:
        for name, feature in {**self.columns, **self.simulation, "action": self.action}.items():
            if feature.is_image or feature.dtype == "string":
                raise ValueError(f"{name!r} is {feature.dtype}, but columns and actions are numbers; see `cameras`")
        if set(self.columns) & set(self.cameras):
            raise ValueError(f"{', '.join(sorted(set(self.columns) & set(self.cameras)))}: both a column and a camera")

    @property
    def sensors(self) -> tuple[str, ...]:
        """Those that have a capture time: columns, then cameras."""
        return (*self.columns, *self.cameras)


@dataclass(frozen=True, kw_only=True, eq=False)
class Observation:
    """What the sensors said last. Columns may be views that `act` writes to; images last until the next `observe`.

    Args:
        columns: name -> values of the declared shape.
        images: camera -> (H, W, 3) uint8 RGB.
        capture_time_ns: sensor -> when it measured, int64 ns of a clock that all sensors share.
        simulation: name -> values of what only a simulator knows, as declared.
        reward: What the action before this observation has earned; None after a reset, or where the robot cannot tell.
        success: Whether the task is done now; None where the robot cannot tell.
        ended: Whether the robot's world has ended with that action, by success or failure: it moves no more until the
            next `reset`.
    """

    columns: Mapping[str, NDArray[Any]]
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    capture_time_ns: Mapping[str, int]
    simulation: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    reward: float | None = None
    success: bool | None = None
    ended: bool = False


class Robot(Protocol):
    """A robot in its surroundings. When `act` is called late, or no longer, it must be safe by itself."""

    @property
    def features(self) -> RobotFeatures:
        """What `observe` gives and `act` takes; never changes."""
        ...

    def reset(self, seed: int) -> None:
        """Begin anew. A simulated robot begins the same for the same seed; a real one may go to its home pose."""
        ...

    def observe(self) -> Observation:
        """The newest readings, without waiting for others.

        Raises:
            CameraError: a camera is gone.
            RobotLost: the robot is.
            RobotError: the episode cannot go on, and what was recorded of it is not to be kept either.
        """
        ...

    def act(self, action: NDArray[Any]) -> NDArray[Any]:
        """Send an action; a simulated robot steps its world by one period. Returns what was really sent, after
        clipping and safety limits, of the same shape and units. Raises RobotLost and RobotError as `observe`."""
        ...

    def close(self) -> None:
        """Let go of devices and processes."""
        ...


@runtime_checkable
class HeldRobot(Robot, Protocol):
    """A robot that is sent something all the time while it is driven. The recorder holds those that are one."""

    def hold(self) -> None:
        """Go to stand-by, or stay there: called once a period while an episode is saved. It raises nothing: what goes
        wrong leads the robot to its safe command, and the next `reset` tells what still is."""
        ...


class SimulatedRobot(Robot, Protocol):
    """A robot whose whole state can be kept, so that an episode can be replayed exactly."""

    def simulator_state(self) -> NDArray[np.float64]:
        """(n,): everything that the next step depends on besides the action."""
        ...
