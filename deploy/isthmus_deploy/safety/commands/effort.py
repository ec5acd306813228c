"""Targets of joints that ask no more of their actuators than they have."""

from collections.abc import Mapping

import numpy as np

from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.safety.commands.elements import full, numbers, slices


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
        self._held: list[tuple[slice, str, str, list[float], list[float]]] = []
        for item, part in zip(limits.commands, slices(limits.commands), strict=True):
            position, velocity = limits.measured(item), limits.measured_rate(item)
            if item.name not in held or position is None or velocity is None:
                continue
            joints = [limits.joints[name] for name in item.order]
            ratios = numbers(full(item, [joint.damping / joint.stiffness for joint in joints]))
            reaches = numbers(full(item, [joint.effort_limit / joint.stiffness for joint in joints]))
            self._held.append((part, position.name, velocity.name, ratios, reaches))
        self.any = bool(self._held)
        """Whether it holds any command."""

    def hold(self, wanted: list[float], signals: Mapping[str, np.ndarray]) -> list[float]:
        """The flat targets that `signals` (by name, plausible) allow of the `wanted` ones."""
        held = wanted[:]
        for part, position, velocity, ratios, reaches in self._held:
            angles, speeds = numbers(signals[position]), numbers(signals[velocity])
            allowed = []
            for target, angle, speed, ratio, reach in zip(wanted[part], angles, speeds, ratios, reaches):
                center = angle + ratio * speed
                if target > center + reach:
                    target = center + reach
                elif target < center - reach:
                    target = center - reach
                allowed.append(target)
            held[part] = allowed
        return held
