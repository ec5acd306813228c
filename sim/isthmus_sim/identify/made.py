"""Logs of a servo that is known, as a testbench would write them: to try what motions can tell before one is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from isthmus_sim.identify.log import Array, ServoLog
from isthmus_sim.identify.servo import Bench, Friction, names

LENGTH_S = 6.0
PERIOD_S = 0.0054
TICK = 2 * np.pi / 4096
"""rad: what an encoder of 12 bits resolves."""
_JITTER_S = 2e-4
_NOISE = 1e-3  # rad

GOALS: Mapping[str, Callable[[Array], Array]] = {
    "two_sines": lambda t: 1.2 * np.sin(1.1 * t) + 0.5 * np.sin(4.7 * t),
    "chirp": lambda t: np.sin(t * t),
    "up_and_down": lambda t: 1.5 * np.minimum(t / 2.5, 1.0) - 0.3 * np.maximum(t - 3.0, 0.0) / 3.0,
    "lift_and_drop": lambda t: -1.5 * np.minimum(t / 2.0, 1.0),
}
"""What the goals are, rad, by time, s; after 2 s `lift_and_drop` switches the motor off."""


def made_log(
    truth: Mapping[str, float], friction: Friction, goal: str, firmware_gain: float, random: np.random.Generator
) -> ServoLog:
    """The log of a servo with these parameters, read by an encoder of 12 bits with some noise at uneven times.

    Raises ValueError where a parameter is missing.
    """
    missing = [name for name in names(friction) if name not in truth]
    if missing:
        raise ValueError(f"a servo with friction {friction} needs {', '.join(missing)}")
    times = np.arange(0.0, LENGTH_S, PERIOD_S)
    times[1:] += random.uniform(-_JITTER_S, _JITTER_S, len(times) - 1)
    goals = GOALS[goal](times)
    powered = times < 2.0 if goal == "lift_and_drop" else np.ones(len(times), bool)
    log = ServoLog(
        name=f"{goal}_{firmware_gain:g}", time_s=times, goal=goals, position=goals - goals[0], powered=powered,
        firmware_gain=firmware_gain, mass=0.49, length=0.1, supply=7.4,
    )  # fmt: skip
    exact = Bench([log], friction).positions(np.array([[truth[name] for name in names(friction)]]))[0]
    read = np.round((exact + random.normal(0.0, _NOISE, len(exact))) / TICK) * TICK
    duty = np.clip(firmware_gain * truth["duty_gain"] * (goals - read), -1.0, 1.0)
    return replace(log, position=read, duty=np.where(powered, duty, 0.0))
