"""gym-pusht replays actions, in a Python of its own: `PYTHON gym_pusht_replay.py IN.npz OUT.npz`.

In: starts (n, 5) float64, disc, block, angle, in px and rad; actions (n, t, 2) px. Out: coverage (n, t) after each
action; steps_per_s, of the environment alone, coverage included.
"""

# Imports nothing of ours, and gym-pusht is nobody's dependency.
# pyright: reportMissingImports=false

from __future__ import annotations

import sys
import time

import numpy as np
from gym_pusht.envs.pusht import PushTEnv


def replay(env: PushTEnv, start: np.ndarray, actions: np.ndarray) -> list[float]:
    """Coverage after each action (t, 2) px, from a start (5,) at rest. It goes on where an episode would be done."""
    env.reset(seed=0)
    env.agent.position, env.agent.velocity = tuple(start[:2]), (0, 0)
    env.block.angle = float(start[4])  # before its position: it turns about its centre of mass
    env.block.position = tuple(start[2:4])
    env.block.velocity, env.block.angular_velocity = (0, 0), 0
    return [env.step(action)[4]["coverage"] for action in actions]


def main() -> None:
    """Entry point."""
    given, result = sys.argv[1:]
    data, env = np.load(given), PushTEnv()
    begun = time.perf_counter()
    coverage = [replay(env, start, actions) for start, actions in zip(data["starts"], data["actions"], strict=True)]
    rate = data["actions"].shape[0] * data["actions"].shape[1] / (time.perf_counter() - begun)
    np.savez(result, coverage=np.array(coverage), steps_per_s=rate)


if __name__ == "__main__":
    main()
