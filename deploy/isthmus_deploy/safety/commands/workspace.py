"""Joint targets that keep a tool in its workspace and out of what it is kept out of."""

from math import hypot
from operator import add, ge

from isthmus_deploy.contracts.borders import Borders
from isthmus_deploy.contracts.kinematics import Kinematics, Pose
from isthmus_deploy.contracts.limits import Limits
from isthmus_deploy.contracts.safety_data import Tool
from isthmus_deploy.safety.commands.elements import slices
from isthmus_deploy.safety.commands.projection import project
from isthmus_deploy.safety.commands.step_limits import StepLimits

_MARGIN = 1e-5  # m from a border where its approach ends, so that what first order misses does not lead past it
_ROUNDING = 1e-9  # m that is kept from it in any case, so that no rounding does

_View = tuple[Pose, list[float]]
"""Where the tool is, and how far from each border, m."""


class ToolLimit:
    """Holds the step of a tool's joints to those that keep it where it may be.

    A discrete-time control barrier function for each border: its distance h may shrink by at most the share
    σ = γ·period in a control period. And no border may be passed while every joint brakes as hard as it may after the
    step. The step is judged by the true kinematics. What breaks them is replaced by the nearest step that keeps them to
    first order, ∇h·step >= -min(σ·h, h less what braking takes), within what acceleration, ends and rate allow: a small
    quadratic program (`project`; Ames et al., ECC 2019). If that one would still pass a border, the program is solved
    once more with the borders drawn nearer by what was missed. If that fails too, the joints brake, which without
    acceleration limits is to hold the last command: always possible, because no step is sent without this way out.

    A tool that begins beyond a border (somebody has put it there) may only come back. Far from all borders nothing is
    computed: a turn moves the tool no farther than the joint's reach, and that is taken off the distance known last.
    Whether braking passes a border is told, from the cheapest on, by how far it moves the tool at most, by what is sure
    of it to first order (`_surely_left`), and by where it leads.
    """

    def __init__(self, tool: Tool, limits: Limits, steps: StepLimits, period_s: float):
        index = next(i for i, item in enumerate(limits.commands) if item.name == tool.command)
        start, order = slices(limits.commands)[index].start, limits.commands[index].order
        self._elements = [start + order.index(link.joint) for link in tool.links]
        self._steps = steps
        self._kinematics, self._borders = Kinematics(tool.links, tool.point), Borders(tool)
        self._reach = self._kinematics.reach
        self._share = min(1.0, tool.approach_rate * period_s)
        self._change = [steps.elements[i].change for i in self._elements]
        self.held_steps = 0
        """Calls in which nothing but braking was left."""
        self.reset()

    def reset(self) -> None:
        """The joints stand at the last command."""
        self._last = [self._steps.last[i] for i in self._elements]
        self._seen: _View | None = None  # at the last targets; None for not looked at
        self._clear = 0.0  # m to the nearest border at least

    def hold(self, commands: list[float]) -> list[float]:
        """What is left of the flat commands, which are within all other limits."""
        targets, wanted = [], []
        for index, last in zip(self._elements, self._last):
            target = commands[index]
            targets.append(target)
            wanted.append(target - last)
        travel, braking, way = self._motion(wanted)
        if travel <= self._share * self._clear and travel + braking <= self._clear:
            self._last, self._seen, self._clear = targets, None, self._clear - travel
            return commands
        here = self._seen or self._look(self._last)
        there = self._look(targets)
        if self._shrinks_slowly(here[1], there[1]) and (
            braking <= self._clear or min(self._surely_left(there, way)) >= _ROUNDING
        ):
            self._last = targets
            return commands
        step = self._nearest(here, there, wanted, braking, way)
        commands = commands[:]
        for index, part in zip(self._elements, step):
            commands[index] = self._steps.moved(index, part)
        self._last = [commands[index] for index in self._elements]
        return commands

    def _shrinks_slowly(self, here: list[float], there: list[float]) -> bool:
        """Whether every distance keeps enough of what it was."""
        share = self._share
        for h, after in zip(here, there):  # noqa: SIM110 (a generator would be slower)
            if after < h and after < h - share * (h - _MARGIN):
                return False
        return True

    def _nearest(
        self, here: _View, there: _View, wanted: list[float], braking: float, way: list[float]
    ) -> list[float]:
        """The step that is sent in place of the wanted one, which leads from `here` to `there` and brakes `way`."""
        pose, distances = here
        floors = [h if h < _ROUNDING else _ROUNDING for h in distances]
        worst = self._left(there, wanted, braking, way, floors)
        room, broken = [], []
        for index, (h, after, least, floor) in enumerate(zip(distances, there[1], worst, floors)):
            enough = h - self._share * max(h - _MARGIN, 0.0)
            if after < enough or least < floor:
                broken.append(index)
                room.append(min(h - enough, h - floor - (after - least)))
        if not broken:
            return wanted
        gradients = [self._kinematics.gradient(pose, self._borders.normal(index, pose.point)) for index in broken]
        least, most, before = self._steps.window(self._elements)
        for _ in range(2):
            step = project(wanted, least, most, gradients, room)
            _, braking, way = self._motion(step)
            worst = self._left(self._look(list(map(add, self._last, step))), step, braking, way, floors)
            if all(map(ge, worst, floors)):
                return step
            room = [left - 2.0 * max(floors[i] - worst[i], 0.0) for i, left in zip(broken, room)]
        self.held_steps += 1
        step = self._shrunk(before)
        self._look(list(map(add, self._last, step)))
        return step

    def _look(self, targets: list[float]) -> _View:
        """See where the tool is at these targets, and remember it."""
        pose = self._kinematics.place(targets)
        distances = self._borders.distances(pose.point)
        self._seen = pose, distances
        self._clear = min(distances)
        return self._seen

    def _left(
        self, view: _View, step: list[float], braking: float, way: list[float], floors: list[float]
    ) -> list[float]:
        """The least distance to each border while braking after the step, which leads to the view. Where all are at
        least the floors, they may be less than the true ones."""
        if braking <= self._clear:
            return view[1]
        left = self._surely_left(view, way)
        return left if all(map(ge, left, floors)) else self._truly_left(view, step)

    def _surely_left(self, view: _View, way: list[float]) -> list[float]:
        """What no distance falls below on the way of braking, b, to first order and less what that may miss, m.

        To first order joint j moves the point by ∂p/∂q_j = z_j × r_j for a turn: its axis times the point seen from it,
        no longer than the point's distance from the axis, and so than reach_j. A joint i nearer the base turns that
        vector like everything beyond it: ∂²p/∂q_i∂q_j = z_i × (z_j × r_j), no longer than reach_j either. So a move d
        differs from J·d by at most R = ½·Σ_j reach_j·|d_j|·(|d_j| + 2·Σ_{i<j} |d_i|), by Taylor's formula.

        On the way every joint is between 0 and b_j. A signed distance from a plane or a convex body is a convex
        function of the point, nowhere below its tangent plane, and of slope 1. So with g = ∇h it keeps to
        h >= h_0 + Σ min(0, g_j·b_j) - R, and to h >= h_0 - Σ |z_j × r_j|·|b_j| - R, for which no gradient is needed.
        """
        pose, distances = view
        missed = nearer = moved = 0.0
        for reach, part, (_, _, x, y) in zip(self._reach, way, reversed(pose.turned)):
            size = abs(part)
            missed += reach * size * (0.5 * size + nearer)
            nearer += size
            moved += hypot(x, y) * size
        left = []
        for distance in distances:
            left.append(distance - moved - missed)
        if min(left) >= 0.0:
            return left
        for index, least in enumerate(left):
            if least < 0.0:
                left[index] = distances[index] - self._fallen(pose, index, way) - missed
        return left

    def _fallen(self, pose: Pose, index: int, way: list[float]) -> float:
        """m that the distance to one border falls by at most on the way of braking, to first order."""
        fallen = 0.0
        for slope, part in zip(self._kinematics.gradient(pose, self._borders.normal(index, pose.point)), way):
            if slope * part < 0.0:
                fallen -= slope * part
        return fallen

    def _truly_left(self, view: _View, step: list[float]) -> list[float]:
        """The least distance to each border while braking after the step, which leads to the view."""
        worst, braked, targets = view[1], self._shrunk(step), list(map(add, self._last, step))
        while any(braked):
            targets = list(map(add, targets, braked))
            worst = list(map(min, worst, self._borders.distances(self._kinematics.place(targets).point)))
            braked = self._shrunk(braked)
        return worst

    def _motion(self, step: list[float]) -> tuple[float, float, list[float]]:
        """m that the tool moves at most in the step, m while braking after it, and how far the joints go meanwhile: A,
        2A, … less than the step, n times, together n·(|step| - A·(n + 1)/2)."""
        travel, braking, way = 0.0, 0.0, []
        for part, change, reach in zip(step, self._change, self._reach):
            size = part if part > 0.0 else -part
            travel += reach * size
            if size > change:
                periods = size // change
                more = periods * (size - 0.5 * change * (periods + 1.0))
                braking += reach * more
                way.append(more if part > 0.0 else -more)
            else:
                way.append(0.0)
        return travel, braking, way

    def _shrunk(self, step: list[float]) -> list[float]:
        """The step after this one, for who brakes as hard as possible."""
        shrunk = []
        for part, change in zip(step, self._change):
            if part > change:
                shrunk.append(part - change)
            elif part < -change:
                shrunk.append(part + change)
            else:
                shrunk.append(0.0)
        return shrunk
