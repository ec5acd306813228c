"""Joint targets that keep a tool in its workspace and out of what it is kept out of."""

import math
from operator import add, ge, mul, sub

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.kinematics import Kinematics, Pose
from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.contracts.safety_data import Tool
from isthmus_deploy.safety.commands.elements import slices
from isthmus_deploy.safety.commands.projection import project
from isthmus_deploy.safety.commands.step_limits import StepLimits

_MARGIN = 1e-5  # m from a border where its approach ends, so that what first order misses does not lead past it
_ROUNDING = 1e-9  # m that is kept from it in any case, so that no rounding does


class ToolLimit:
    """Holds the step of a tool's joints to those that keep it where it may be.

    A discrete-time control barrier function for each border: its distance h may shrink by at most the share
    σ = γ·period in a control period. And no border may be passed while every joint brakes as hard as it may after the
    step. Both are judged by the true kinematics. What breaks them is replaced by the nearest step that keeps them to
    first order, ∇h·step >= -min(σ·h, h less what braking takes), within what acceleration, ends and rate allow: a small
    quadratic program (`project`; Ames et al., ECC 2019). If that one would still pass a border, the program is solved
    once more with the borders drawn nearer by what was missed. If that fails too, the joints brake, which without
    acceleration limits is to hold the last command: always possible, because no step is sent without this way out.

    A tool that begins beyond a border (somebody has put it there) may only come back. Far from all borders nothing is
    computed: a turn moves the tool no farther than the joint's reach, and that is taken off the distance known last.
    """

    def __init__(self, tool: Tool, limits: Limits, steps: StepLimits, period_s: float):
        index = next(i for i, item in enumerate(limits.commands) if item.name == tool.command)
        start, order = slices(limits.commands)[index].start, limits.commands[index].order
        self._elements = [start + order.index(link.joint) for link in tool.links]
        self._steps = steps
        self._kinematics, self._borders = Kinematics(tool.links, tool.point), Borders(tool)
        self._share = min(1.0, tool.approach_rate * period_s)
        self._change = [steps.elements[i].change for i in self._elements]
        self._braked = [
            0.5 * reach / change for reach, change in zip(self._kinematics.reach, self._change, strict=True)
        ]
        self._last: list[float] = []
        self._seen: tuple[Pose, list[float]] | None = None  # the last pose and its distances; None for not looked at
        self._clear = 0.0
        self.held_steps = 0
        """Calls in which nothing but braking was left."""

    def reset(self) -> None:
        """The joints stand at the last command."""
        self._last = [self._steps.last[i] for i in self._elements]
        self._seen, self._clear = None, 0.0

    def hold(self, commands: list[float]) -> list[float]:
        """What is left of the flat commands, which are within all other limits."""
        targets = [commands[i] for i in self._elements]
        wanted = list(map(sub, targets, self._last))
        travel = sum(map(mul, map(abs, wanted), self._kinematics.reach))  # at most
        if travel <= self._share * self._clear and travel + self._braking(wanted) <= self._clear:
            self._last, self._seen, self._clear = targets, None, self._clear - travel
            return commands
        step = self._allowed(wanted)
        if step is not wanted:
            commands = commands[:]
            for index, part in zip(self._elements, step, strict=True):
                commands[index] = self._steps.moved(index, part)
            targets = [commands[index] for index in self._elements]
        self._last = targets
        return commands

    def _allowed(self, wanted: list[float]) -> list[float]:
        """The step that is sent."""
        pose, distances = self._seen or self._look(self._last)
        floors = [min(distance, _ROUNDING) for distance in distances]
        room = [self._share * max(distance - _MARGIN, 0.0) for distance in distances]
        after, worst = self._ahead(wanted)
        broken = [i for i, h in enumerate(distances) if after[i] < h - room[i] or worst[i] < floors[i]]
        if not broken:
            return wanted
        room = [min(room[i], distances[i] - floors[i] - (after[i] - worst[i])) for i in broken]
        normals = [self._borders.normal(i, pose.point) for i in broken]
        gradients = [self._kinematics.gradient(pose, normal) for normal in normals]
        least, most, before = self._steps.window(self._elements)
        for _ in range(2):
            step = project(wanted, least, most, gradients, room)
            _, worst = self._ahead(step)
            if all(map(ge, worst, floors)):
                return step
            room = [left - 2.0 * max(floors[i] - worst[i], 0.0) for i, left in zip(broken, room, strict=True)]
        self.held_steps += 1
        braking = self._shrunk(before)
        self._ahead(braking)
        return braking

    def _ahead(self, step: list[float]) -> tuple[list[float], list[float]]:
        """The distance to each border after the step, and the least one from there on while braking, m."""
        targets = list(map(add, self._last, step))
        _, after = self._look(targets)
        worst = after
        if self._braking(step) <= self._clear:
            return after, worst
        braked = self._shrunk(step)
        while any(braked):
            targets = list(map(add, targets, braked))
            worst = list(map(min, worst, self._borders.distances(self._kinematics.place(targets).point)))
            braked = self._shrunk(braked)
        return after, worst

    def _look(self, targets: list[float]) -> tuple[Pose, list[float]]:
        """See where the tool is at these targets, and remember it."""
        pose = self._kinematics.place(targets)
        distances = self._borders.distances(pose.point)
        self._seen, self._clear = (pose, distances), min(distances)
        return self._seen

    def _braking(self, step: list[float]) -> float:
        """m that the tool moves at most while braking after the step: A, 2A, … less than it, together step²/2A."""
        return sum(map(mul, self._braked, map(mul, step, step)))

    def _shrunk(self, step: list[float]) -> list[float]:
        """The step after this one, for who brakes as hard as possible."""
        return [
            math.copysign(max(abs(part) - change, 0.0), part) for part, change in zip(step, self._change, strict=True)
        ]
