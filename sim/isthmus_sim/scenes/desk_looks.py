"""Visual randomisation of desks: colors, light, table and cameras, drawn anew for every episode."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.scenes.desk import CAMERAS, PATTERNS

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class VisualRandomization:
    """Least and most of what is drawn evenly; colors by hue, saturation and value, each from 0 to 1.

    The cube has any hue and the zone another, at least `hue_distance` (of 1) away. The lamp's light comes
    from at most `lamp_angle` rad off the vertical, with `lamp_value` and, tinted, `lamp_saturation`; `ambient` comes
    from everywhere. camera_shift m and camera_turn rad: most along and about each axis of a camera; camera_zoom: factor
    of its field of view.
    """

    hue_distance: float = 0.2
    object_saturation: Range = (0.55, 1.0)
    object_value: Range = (0.5, 1.0)
    table_saturation: Range = (0.0, 0.35)
    table_value: Range = (0.3, 0.95)
    lamp_angle: float = 0.9
    lamp_value: Range = (0.35, 0.8)
    lamp_saturation: Range = (0.0, 0.15)
    ambient: Range = (0.05, 0.3)
    camera_shift: float = 0.015
    camera_turn: float = 0.035
    camera_zoom: Range = (0.95, 1.05)


def draw(looks: VisualRandomization, n: int, generator: torch.Generator) -> dict[str, Tensor]:
    """n rows of the parameters of `DeskLooks`."""

    def even(bounds: Range, size: int = 1) -> Tensor:
        low, high = bounds
        return low + (high - low) * torch.rand(n, size, generator=generator)

    def color(hue: Tensor, saturation: Range, value: Range) -> Tensor:
        return rgb(torch.cat((hue, even(saturation), even(value)), dim=-1))

    hue = even((0.0, 1.0))
    away = hue + even((looks.hue_distance, 1.0 - looks.hue_distance))
    params = {
        "cube_rgb": color(hue, looks.object_saturation, looks.object_value),
        "zone_rgb": color(away, looks.object_saturation, looks.object_value),
        "table_rgb": color(even((0.0, 1.0)), looks.table_saturation, looks.table_value),
        "floor_rgb": color(even((0.0, 1.0)), looks.table_saturation, looks.table_value),
        "table_pattern": torch.randint(len(PATTERNS), (n, 1), generator=generator).float(),
        "lamp_direction": _downwards(even((0.0, looks.lamp_angle)), even((0.0, 2 * math.pi))),
        "lamp_rgb": color(even((0.0, 1.0)), looks.lamp_saturation, looks.lamp_value),
        "lamp_ambient": even(looks.ambient),
    }
    for camera in CAMERAS:
        params[f"{camera}_camera_shift"] = even((-looks.camera_shift, looks.camera_shift), 3)
        params[f"{camera}_camera_turn"] = even((-looks.camera_turn, looks.camera_turn), 3)
        params[f"{camera}_camera_zoom"] = even(looks.camera_zoom)
    return params


def rgb(hsv: Tensor) -> Tensor:
    """Hue (any number, the same again after 1), saturation and value (n, 3) -> red, green, blue (n, 3), 0 to 1."""
    hue, saturation, value = hsv.split(1, dim=-1)
    # A channel falls from full to none over a sixth of the circle, and stays there for a third.
    sixths = torch.remainder(6 * hue + torch.tensor((5.0, 3.0, 1.0)), 6)
    return value - value * saturation * torch.minimum(sixths, 4 - sixths).clamp(0, 1)


def _downwards(angle: Tensor, azimuth: Tensor) -> Tensor:
    """(n, 3): `angle` off straight down."""
    return torch.cat((angle.sin() * azimuth.cos(), angle.sin() * azimuth.sin(), -angle.cos()), dim=-1)
