"""The body that a stand-in robot's seed drew, of which nobody was told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isthmus_policies.demo.report.html import table
from isthmus_policies.demo.report.record import Demo

_FEW = 3  # numbers that are listed one by one
_SMALL = {"kg": "g", "m": "mm", "s": "ms"}  # a thousandth of the unit
_OTHERS = {"heading": "rad", "estimator_delay_s": "s"}
"""What stand-in robots draw beside the parameters of the description, and its unit."""


def body(demo: Demo) -> str:
    """A table of all parameters of the description, and of what was drawn beside them."""
    units = {parameter.name: parameter.unit for parameter in demo.description.parameters} | _OTHERS
    hidden: Mapping[str, Any] = {**demo.robot, **demo.robot["parameters"]}
    rows = [(_label(name), quantity(hidden[name], unit)) for name, unit in units.items() if name in hidden]
    return table((f"drawn with seed {demo.robot.get('seed')}", ""), rows, numbers=(1,))


def _label(name: str) -> str:
    return name.removesuffix("_s").replace("_", " ")


def quantity(value: float | list[float], unit: str) -> str:
    """A number or a few, with three digits and their unit; of many, least and most."""
    values = np.atleast_1d(np.asarray(value, np.float64))
    if unit in _SMALL and np.abs(values).max() < 0.5:
        values, unit = 1e3 * values, _SMALL[unit]
    if len(values) > _FEW:
        text = f"{values.min():.3g} … {values.max():.3g}"
    else:
        text = ", ".join(f"{number:.3g}" for number in values)
    return text if unit == "1" else f"{text} {unit}"
