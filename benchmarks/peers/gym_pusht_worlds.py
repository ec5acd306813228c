"""gym-pusht in a Python of its own, for `benchmarks/gym_pusht.py`: requests and answers are JSON, one a line.

{"begin": [a seed, or disc x, y, block x, y, angle in px and rad, …]} -> {"states": [[the same five], …]}
{"step": [[x, y] px, or null for a world that stays as it is, …]} -> {"states", "coverage": [0 to 1 or null, …],
"seconds"}
{"pictures": true} -> {"pictures": all of them as the environment observes them, (n, 96, 96, 3) uint8 RGB in base64}
"""

# Imports nothing of ours, and gym-pusht is nobody's dependency.
# pyright: reportMissingImports=false

from __future__ import annotations

import base64
import json
import os
import sys
import time

os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"  # standard output is for answers

import numpy as np
from gym_pusht.envs.pusht import PushTEnv


def begun(start: int | list[float]) -> PushTEnv:
    """An environment as its own reset leaves it, or at rest in a given state."""
    env = PushTEnv()
    env.reset(seed=start if isinstance(start, int) else 0)
    if isinstance(start, list):
        env.agent.position, env.agent.velocity = tuple(start[:2]), (0, 0)
        env.block.angle = start[4]  # before its position: it turns about its centre of mass
        env.block.position = tuple(start[2:4])
        env.block.velocity, env.block.angular_velocity = (0, 0), 0
    return env


def stepped(envs: list[PushTEnv], actions: list[list[float] | None]) -> dict:
    """Coverage after an action each. It goes on where an episode would be done: the other side decides that."""
    begin = time.perf_counter()
    coverage = [
        None if action is None else env.step(np.array(action))[4]["coverage"]
        for env, action in zip(envs, actions, strict=True)
    ]
    return {"coverage": coverage, "seconds": time.perf_counter() - begin}


def pictures(envs: list[PushTEnv]) -> str:
    """What each shows, in base64."""
    return base64.b64encode(np.stack([env._render() for env in envs]).tobytes()).decode()


def main() -> None:
    """Entry point; ends with its input."""
    envs: list[PushTEnv] = []
    for line in sys.stdin:
        request = json.loads(line)
        answer = {}
        if "begin" in request:
            envs = [begun(start) for start in request["begin"]]
        elif "step" in request:
            answer = stepped(envs, request["step"])
        else:
            answer = {"pictures": pictures(envs)}
        states = [env.get_obs().tolist() for env in envs]
        print(json.dumps(answer | {"states": states}), flush=True)


if __name__ == "__main__":
    main()
