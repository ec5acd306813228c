"""The policy node, with a stand-in for its runtime: chunks that turn the quadrotor's rotors too slowly to lift it.

`python -m chunk_node LOG [COUNT]` writes the node's summary to LOG; its inferences raise from the COUNT-th on.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import hand_made_policy
import numpy as np
from chunk_models import Model, with_chunks

from isthmus_deploy.ros import ros2

HORIZON = 200  # 2 s, so that a busy test machine is no fault
SPEED = 900.0  # rad/s


def model(raises_from: int | None) -> Model:
    """The stand-in."""
    count = itertools.count(1)

    def give(windows: Any, begin: Any) -> dict[str, np.ndarray]:
        if next(count) == raises_from:
            raise RuntimeError("no more chunks")
        return {"rotor_speed": np.full((HORIZON, 4), SPEED, np.float32)}

    return Model(with_chunks(hand_made_policy.contract(), horizon=HORIZON, execute=10), give)


def main(log: str, raises_from: str | None = None) -> int:
    """Run the node; its exit status."""
    ros2.require()
    from isthmus_deploy.ros.node import policy_process
    from isthmus_deploy.ros.node.policy_node import Config

    policy_process.Runtime = lambda _: model(int(raises_from) if raises_from else None)  # type: ignore[assignment]
    return policy_process.drive(Config(policy=Path("stand-in"), log=Path(log)))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
