"""How far a point is from what a tool is kept out of."""

import math
from math import hypot

from isthmus_deploy.contracts.safety_data import Tool, Vector3


class Borders:
    """Signed distances to all borders of a tool: positive where it may be. Half-spaces first (a workspace is six of
    them), then boxes and spheres; the gradient of a sphere is that of a box of no size.

    Every distance is a convex function of the point, except inside a box: what is linearised there is never too bold.
    """

    def __init__(self, tool: Tool):
        self._planes = [(*space.normal, space.offset) for space in tool.half_spaces]
        if tool.workspace is not None:
            self._planes += _faces(tool.workspace.minimum, tool.workspace.maximum)
        self._spaces = self._planes[: len(tool.half_spaces)]
        self._workspace = tool.workspace and (*tool.workspace.minimum, *tool.workspace.maximum)
        self._boxes = [_center(box.minimum, box.maximum) for box in tool.boxes]
        self._spheres = [(*ball.center, ball.radius) for ball in tool.spheres]
        self._bodies = self._boxes + [_center(ball.center, ball.center) for ball in tool.spheres]
        kinds = {"half-space": len(tool.half_spaces), "workspace": len(self._planes) - len(tool.half_spaces)}
        kinds |= {"box": len(tool.boxes), "sphere": len(tool.spheres)}
        self.kinds = [kind for kind, count in kinds.items() for _ in range(count)]
        """What each of them is."""

    def distances(self, point: Vector3) -> list[float]:
        """m from the point to every border."""
        x, y, z = point
        found = []
        for nx, ny, nz, offset in self._spaces:
            found.append(nx * x + ny * y + nz * z - offset)
        if self._workspace is not None:
            lx, ly, lz, ux, uy, uz = self._workspace
            found += x - lx, y - ly, z - lz, ux - x, uy - y, uz - z
        for cx, cy, cz, hx, hy, hz in self._boxes:
            bx, by, bz = abs(x - cx) - hx, abs(y - cy) - hy, abs(z - cz) - hz
            if bx > 0.0 or by > 0.0 or bz > 0.0:
                found.append(hypot(bx if bx > 0.0 else 0.0, by if by > 0.0 else 0.0, bz if bz > 0.0 else 0.0))
            else:
                found.append(max(bx, by, bz))
        for cx, cy, cz, radius in self._spheres:
            found.append(hypot(x - cx, y - cy, z - cz) - radius)
        return found

    def normal(self, index: int, point: Vector3) -> Vector3:
        """The gradient of one distance at the point: the unit vector that leads away from the border."""
        if index < len(self._planes):
            return self._planes[index][:3]
        cx, cy, cz, hx, hy, hz = self._bodies[index - len(self._planes)]
        offsets = (point[0] - cx, point[1] - cy, point[2] - cz)
        beyond = [abs(offset) - half for offset, half in zip(offsets, (hx, hy, hz), strict=True)]
        outside = math.hypot(*(max(value, 0.0) for value in beyond))
        if outside > 0.0:
            away = [max(value, 0.0) / outside for value in beyond]
        else:  # inside a box the nearest face counts
            nearest = beyond.index(max(beyond))
            away = [float(axis == nearest) for axis in range(3)]
        x, y, z = map(math.copysign, away, offsets)
        return x, y, z


def _faces(low: Vector3, high: Vector3) -> list[tuple[float, float, float, float]]:
    axes = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    inner = [(*axis, value) for axis, value in zip(axes, low, strict=True)]
    return inner + [(-x, -y, -z, -value) for (x, y, z), value in zip(axes, high, strict=True)]


def _center(low: Vector3, high: Vector3) -> tuple[float, float, float, float, float, float]:
    """Center and half the size of a box."""
    (ax, ay, az), (bx, by, bz) = low, high
    return 0.5 * (ax + bx), 0.5 * (ay + by), 0.5 * (az + bz), 0.5 * (bx - ax), 0.5 * (by - ay), 0.5 * (bz - az)
