"""Joint states by name: drivers list the joints in an order of their own, and often more of them than a policy uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import JointState

from isthmus_deploy.contract import Signal
from isthmus_deploy.ros.messages import BadMessage

Field = Literal["position", "velocity", "effort"]


def joints(field: Field) -> Callable[[Signal], JointReader]:
    """Makes the reader of one field of a JointState for a signal: its joints, in its order."""
    return lambda signal: JointReader(field, signal.order)


class JointReader:
    """Writes one field of a JointState in the order of `joints` into an array (n,).

    Which place holds which joint is worked out once, and again only when a message names its joints otherwise.
    """

    def __init__(self, field: Field, joints: Sequence[str]) -> None:
        self._field: Field = field
        self._joints = joints
        self._names: list[str] | None = None
        self._places = np.zeros(0, np.intp)

    def __call__(self, message: JointState, out: NDArray[np.float32]) -> None:
        """Raises `BadMessage` when a joint is missing or named twice, or the field is not there for all joints."""
        names = list(message.name)
        if names != self._names:
            self._places = _places(self._joints, names)
            self._names = names
        values = np.asarray(getattr(message, self._field))
        if len(values) != len(names):
            raise BadMessage(f"joint_states: {len(names)} names, but {len(values)} values in {self._field}")
        out[:] = values[self._places]


def _places(joints: Sequence[str], names: list[str]) -> NDArray[np.intp]:
    for joint in joints:
        if names.count(joint) != 1:
            problem = "names it twice" if joint in names else f"has only {', '.join(names) or 'no names'}"
            raise BadMessage(f"joint_states: the policy needs joint {joint}, the message {problem}")
    return np.array([names.index(joint) for joint in joints], dtype=np.intp)
