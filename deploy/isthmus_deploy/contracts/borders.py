"""How far a point is from what a tool is kept out of."""

import math

from isthmus_deploy.contracts.safety_data import Tool, Vector3


class Borders:
    """Signed distances to all borders of a tool: positive where it may be. Half-spaces first (a workspace is six of
    them), then boxes and spheres: a sphere is a box of no size with a rounding.

    Every distance is a convex function of the point, except inside a box: what is linearised there is never too bold.
    """

    def __init__(self, tool: Tool):
        self._planes = [(*space.normal, space.offset) for space in tool.half_spaces]
        if tool.workspace is not None:
            self._planes += _faces(tool.workspace.minimum, tool.workspace.maximum)
        self._rounded = [(*_center(box.minimum, box.maximum), 0.0) for box in tool.boxes]
        self._rounded += [(*_center(ball.center, ball.center), ball.radius) for ball in tool.spheres]
        kinds = {"half-space": len(tool.half_spaces), "workspace": len(self._planes) - len(tool.half_spaces)}
        kinds |= {"box": len(tool.boxes), "sphere": len(tool.spheres)}
        self.kinds = [kind for kind, count in kinds.items() for _ in range(count)]
        """What each of them is."""

    def distances(self, point: Vector3) -> list[float]:
        """m from the point to every border."""
        x, y, z = point
        found = [nx * x + ny * y + nz * z - offset for nx, ny, nz, offset in self._planes]
        for cx, cy, cz, hx, hy, hz, radius in self._rounded:
            bx, by, bz = abs(x - cx) - hx, abs(y - cy) - hy, abs(z - cz) - hz
            outside = math.hypot(max(bx, 0.0), max(by, 0.0), max(bz, 0.0))
            found.append(outside + min(max(bx, by, bz), 0.0) - radius)
        return found

    def normal(self, index: int, point: Vector3) -> Vector3:
        """The gradient of one distance at the point: the unit vector that leads away from the border."""
        if index < len(self._planes):
            return self._planes[index][:3]
        cx, cy, cz, hx, hy, hz, _ = self._rounded[index - len(self._planes)]
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
