"""A small simulated robot for tests, and an operator for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus_datasets.recording.robot import CameraError, Observation, RobotFeatures, quantities
from isthmus_datasets.recording.scripted import ScriptedOperator

PERIOD_NS = 100_000_000
FEATURES = RobotFeatures(
    robot_type="point_mass",
    columns={"state": quantities({"x": "m", "y": "m"}), "speed": quantities({"vx": "m/s", "vy": "m/s"})},
    cameras={"scene": (32, 48), "wrist": (16, 16)},
    action=quantities({"ax": "m/s^2", "ay": "m/s^2"}),
    reward=True,
    success=True,
    simulator_state=4,
)


class PointMass:
    """1 kg on a plane, pushed with at most 1 N per axis at 10 Hz; done where |x| < 0.05 m. Its images are grey, a
    bit lighter with every step. `lose` = (camera, step): the camera is gone from then on."""

    def __init__(self, lose: tuple[str, int] | None = None) -> None:
        self.features, self.steps, self.lose = FEATURES, 0, lose
        self.state = np.zeros(4)

    def reset(self, seed: int) -> None:
        self.state, self.steps = np.array([seed, -2.0 * seed, 0.0, 0.0]), 0

    def observe(self) -> Observation:
        if self.lose and self.steps >= self.lose[1]:
            raise CameraError(self.lose[0], "gave no image for 0.5 s")
        now = 10**18 + self.steps * PERIOD_NS
        return Observation(
            columns={"state": self.state[:2], "speed": self.state[2:]},  # float64, and views that `act` writes to
            images={name: np.full((*size, 3), self.grey, np.uint8) for name, size in FEATURES.cameras.items()},
            capture_time_ns={"state": now + 1, "speed": now + 2, "scene": now - 3_000_001, "wrist": now - 7_000_003},
            reward=-abs(float(self.state[0])) if self.steps else None,
            success=bool(abs(self.state[0]) < 0.05),
        )

    @property
    def grey(self) -> int:
        return 40 + 5 * (self.steps % 40)

    def act(self, action: NDArray[Any]) -> NDArray[Any]:
        sent = np.clip(action, -1.0, 1.0)
        action[:] = 0.0  # which is not nice of a robot
        self.state[:2] += 0.1 * self.state[2:]
        self.state[2:] += 0.1 * sent
        self.steps += 1
        return sent

    def simulator_state(self) -> NDArray[np.float64]:
        return self.state

    def close(self) -> None:
        pass


class Push(ScriptedOperator):
    """Action (k, -3) in step k, wherever the mass is."""

    def plan(self, observation: Observation, step: int) -> NDArray[np.float32]:
        return np.array([step, -3.0], np.float32)
