"""Targets of joints that ask no more of their actuators than they have."""

from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.safety.commands.elements import full, slices


class EffortLimit:
    """Holds the targets of position-controlled joints to where their effort ends.

    An actuator that gives stiffness·(target - position) - damping·velocity within ±limit saturates outside
    position + (damping·velocity ± limit)/stiffness. A target beyond gives no more effort at this moment; it only keeps
    the full effort for longer, while the joint moves and after something that held it has let go. That is what makes a
    held arm jump, and what a legged policy may have learnt to use for a whole control period. So the robot must ask for
    it, command by command: good for arms among people, not for legs whose policy was trained without.

    It is held to as far as rate and acceleration allow: a limb that is pushed away moves faster than its target may.

    Args:
        limits: With the gains and limits of the joints, and readings of their positions and velocities.
    """

    def __init__(self, limits: Limits):
        held = {item.command for item in limits.safety.commands if item.limit_effort} if limits.safety else set()
        parts = slices(limits.commands)
        size = parts[-1].stop if parts else 0
        self._position, self._velocity, self._ratio, self._center = (np.zeros(size) for _ in range(4))
        self._reach = np.array([[-np.inf], [np.inf]]) * np.ones(size)
        self._bounds = np.empty((2, size))
        self._least, self._most = self._bounds
        self._readings: list[tuple[str, np.ndarray]] = []
        for item, part in zip(limits.commands, parts, strict=True):
            position, velocity = limits.measured(item), limits.measured_rate(item)
            if item.name not in held or position is None or velocity is None:
                continue
            joints = [limits.joints[name] for name in item.order]
            self._ratio[part] = full(item, [joint.damping / joint.stiffness for joint in joints]).reshape(-1)
            reach = full(item, [joint.effort_limit / joint.stiffness for joint in joints]).reshape(-1)
            self._reach[:, part] = -reach, reach
            self._readings.append((position.name, self._position[part].reshape(item.shape)))
            self._readings.append((velocity.name, self._velocity[part].reshape(item.shape)))

    @property
    def any(self) -> bool:
        """Whether it holds any command."""
        return bool(self._readings)

    def __call__(self, wanted: np.ndarray, signals: Mapping[str, np.ndarray], out: np.ndarray) -> None:
        """Write the flat targets that `signals` (by name, plausible) allow of the `wanted` ones to `out`."""
        for name, view in self._readings:
            np.copyto(view, signals[name])
        np.multiply(self._velocity, self._ratio, out=self._center)
        np.add(self._center, self._position, out=self._center)
        np.add(self._center, self._reach, out=self._bounds)
        np.maximum(wanted, self._least, out=out)
        np.minimum(out, self._most, out=out)
