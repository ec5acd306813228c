"""What was identified of a robot from its flights, as a file that training draws from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from isthmus_sim.description import RobotDescription
from isthmus_sim.identify.files import write
from isthmus_sim.identify.identified import Range
from isthmus_sim.terms.randomization import Joint

VERSION = 1


class NotIdentifiedError(ValueError):
    """A file does not hold what was identified of this robot; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Error:
    """How far simulation is from the flights at the end of the windows, root mean square, in `unit`."""

    unit: str
    nominal: float
    identified: float


@dataclass(frozen=True, kw_only=True)
class IdentifiedRobot:
    """A robot as its flights say it is."""

    robot: str
    flights: tuple[str, ...]
    windows: int
    horizon_s: float
    parameters: Mapping[str, tuple[Range, ...]]
    """By parameter of the scene, each element by itself."""
    joint: Joint
    """The same, together."""
    latency_s: Range
    """From a command to the reading that shows what it did, beside what the actuators take."""
    errors: Mapping[str, Error]
    remarks: tuple[str, ...]
    """What these flights do not tell."""
    version: int = VERSION

    def of(self, robot: RobotDescription) -> Joint:
        """What training on this robot draws. Raises NotIdentifiedError where another one was identified."""
        if self.robot != robot.name:
            raise NotIdentifiedError(f"{self.robot} was identified, and this is {robot.name}")
        return self.joint

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        write(path, self)


def read_identified_robot(path: Path) -> IdentifiedRobot:
    """Read what `write` wrote. Raises NotIdentifiedError where it is none, or of another version."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["version"] != VERSION:
            raise NotIdentifiedError(f"{path}: has version {document['version']}; this program reads {VERSION}")
        document["parameters"] = {
            name: tuple(Range(**item) for item in items) for name, items in document["parameters"].items()
        }
        joint = {name: tuple(values) for name, values in document["joint"].items()}
        document["joint"] = Joint(**{**joint, "covariance": tuple(map(tuple, joint["covariance"]))})
        document["latency_s"] = Range(**document["latency_s"])
        document["errors"] = {name: Error(**item) for name, item in document["errors"].items()}
        document |= {field: tuple(document[field]) for field in ("flights", "remarks")}
        return IdentifiedRobot(**document)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, NotIdentifiedError):
            raise
        raise NotIdentifiedError(f"{path}: not of isthmus-identify-robot: {error}") from error
