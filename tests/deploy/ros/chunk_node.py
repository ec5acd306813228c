"""The policy node, with a stand-in for its runtime: chunks that turn the quadrotor's rotors too slowly to lift it.

`python -m chunk_node LOG [COUNT [ON_ALARM [ALSO]]]` writes the node's summary to LOG; its inferences raise from the
COUNT-th on, or, where it is said what an alarm does, its monitor says from then on that the policy is out of its depth.
ALSO is the file of a policy that may take its place.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import hand_made_policy
import numpy as np
from chunk_models import Model, with_chunks

from isthmus_deploy.contracts.monitor_data import Monitor, Score
from isthmus_deploy.ros import ros2
from isthmus_deploy.safety.monitor import OnAlarm

HORIZON = 200  # 2 s, so that a busy test machine is no fault
SPEED = 900.0  # rad/s
MONITOR = Monitor(
    scores=(Score(name="novelty", description="new", threshold=1.0),), window=1, false_alarms=0.1, episodes=40
)


def model(raises_from: int | None, alarms_from: int | None) -> Model:
    """The stand-in."""
    count, scored = itertools.count(1), itertools.count(1)

    def give(windows: Any, begin: Any) -> dict[str, np.ndarray]:
        if next(count) == raises_from:
            raise RuntimeError("no more chunks")
        return {"rotor_speed": np.full((HORIZON, 4), SPEED, np.float32)}

    def scores(windows: Any) -> np.ndarray:
        return np.array([2.0 if alarms_from and next(scored) >= alarms_from else 0.0])

    contract = with_chunks(hand_made_policy.contract(), horizon=HORIZON, execute=10)
    return Model(replace(contract, monitor=MONITOR if alarms_from else None), give, scores if alarms_from else None)


def main(log: str, count: str = "0", on_alarm: OnAlarm | Literal[""] = "", *also: str) -> NoReturn:
    """Run the node, and end the process."""
    ros2.require()
    from isthmus_deploy.policy.runtime import Runtime
    from isthmus_deploy.ros.node import policy_process
    from isthmus_deploy.ros.node.policy_node import Config

    raises_from, alarms_from = (None, int(count)) if on_alarm else (int(count), None)
    stand_in = Path("stand_in")
    policy_process.Runtime = lambda path: (  # type: ignore[assignment]
        model(raises_from, alarms_from) if path == stand_in else Runtime(path)
    )
    config = Config(policy=stand_in, also=tuple(map(Path, also)), log=Path(log), on_alarm=on_alarm or "tell")
    ros2.run(lambda: policy_process.drive(config), name="chunk_node")


if __name__ == "__main__":
    main(*sys.argv[1:])  # pyright: ignore[reportArgumentType]
