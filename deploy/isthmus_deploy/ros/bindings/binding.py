"""The parts of a binding: a topic, how its messages are read and written, and what they are of a policy's contract."""

from __future__ import annotations

import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64MultiArray

from isthmus_deploy.contracts.robot_interface import CommandInterface, SignalInterface

XYZ = ("x", "y", "z")
WXYZ = ("w", "x", "y", "z")
BODY_FRAME = "base_link"  # REP-105
WORLD_FRAME = "world"

Array = NDArray[Any]

Read = Callable[[Any, Array], None]
"""`read(message, out)` writes one signal into `out`, which has its shape and type; raises `BadMessage` when the message
does not hold it."""

Write = Callable[[Mapping[str, Array]], Any]
"""`write(values)` gives the message that holds the values, by signal name; it may be the same object each time."""


class BadMessage(ValueError):  # noqa: N818
    """A message that cannot be what its topic is for, such as a velocity in another frame."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """One topic of the robot or of its operator."""

    name: str
    """Relative name, such as "joint_states": it stands in the robot's namespace."""
    message: type
    qos: QoSProfile
    side: Literal["robot", "operator"]
    """Who publishes it."""
    writer: Callable[[Sequence[SignalInterface]], Write] | None = None
    """Makes what writes its messages for the signals that they are to hold; a stand-in robot and an operator's mission
    need it. The header's time stamp is set by whoever publishes."""
    check: Callable[[Any], None] = lambda message: None
    """Raises `BadMessage` for a message that must not be used."""
    check_axes: Callable[[Any], None] = lambda message: None
    """Raises `BadMessage` for a message whose frames are by their names of other axes; not asked of a sensor whose
    mounting is stated."""
    acceleration: Read | None = None
    """Writes the acceleration (3,) that the body feels, m/s² in its own axes: upwards at rest. It is compared with the
    orientation before the robot moves; `BadMessage` where a message does not hold it."""
    in_world: bool = False
    """Whether its header's frame is the world's. What an operator says in another one than the robot's is refused."""
    triggers: bool = False
    """Whether its messages may start control periods; those of the first such topic that a contract reads do."""
    holds: bool = False
    """Whether what it says stays true until it is replaced, so that it does not age."""
    expires_s: float | None = None
    """Where it must be said again and again: the silence after which its signals are zero. Until it is first heard they
    are zero too."""
    expiring: tuple[str, ...] | None = None
    """Which of its signals expire; None for all. The others hold, and have to be heard once: a place stays where it was
    asked for, and the velocity with which it moved does not."""

    def silence_s(self, signal: str) -> float | None:
        """The silence after which this signal is zero, s; None where it never is."""
        return self.expires_s if self.expiring is None or signal in self.expiring else None


@dataclass(frozen=True, kw_only=True)
class Source:
    """How one signal is read from a topic's messages."""

    topic: Topic
    reader: Callable[[SignalInterface], Read]
    """Makes what reads it as the contract wants it."""


def plainly(topic: Topic, read: Read) -> Source:
    """A source whose messages hold the signal in one way only, whatever the contract says."""
    return Source(topic=topic, reader=lambda _: read)


@dataclass(frozen=True, kw_only=True)
class SignalBinding:
    """What the ROS side delivers for one signal."""

    unit: str
    frame: str | None
    """None where every frame will do."""
    order: tuple[str, ...] | None
    """None where messages name their elements: these come in whatever order the contract has."""
    sources: tuple[Source, ...]
    """With several, the message that came last counts; a stand-in robot and a mission publish on the first one."""
    dtype: str = "float32"

    @property
    def side(self) -> Literal["robot", "operator"]:
        """Who gives it."""
        return self.sources[0].topic.side


def _write_array(_: CommandInterface) -> Callable[[Array], Float64MultiArray]:
    # An array of the right type is taken as it is; a list would be checked number by number.
    return lambda values: Float64MultiArray(data=array.array("d", values.astype(np.float64, copy=False).tobytes()))


def _read_array(_: CommandInterface) -> Callable[[Float64MultiArray], Array]:
    return lambda message: np.asarray(message.data, np.float64)


@dataclass(frozen=True, kw_only=True)
class CommandBinding:
    """Where one command goes: by default a `std_msgs/Float64MultiArray` of its elements in the contract's order."""

    topic: str
    """Relative name, such as "forward_position_controller/commands"."""
    unit: str
    message: type = Float64MultiArray
    writer: Callable[[CommandInterface], Callable[[Array], Any]] = _write_array
    """Makes what turns a command's values, float64, into a message."""
    reader: Callable[[CommandInterface], Callable[[Any], Array]] = _read_array
    """Makes what turns a message into the values; a stand-in robot needs it."""


@dataclass(frozen=True, kw_only=True)
class RosBindings:
    """What one entry point of the group `isthmus.ros_bindings` registers: bindings by the contract's names."""

    signals: Mapping[str, SignalBinding] = field(default_factory=dict)
    commands: Mapping[str, CommandBinding] = field(default_factory=dict)
