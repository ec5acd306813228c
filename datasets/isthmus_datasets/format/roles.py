"""What a column is to learners, by its name: LeRobot's policies and ours take what begins with "observation" for input
and with "action" for output (https://github.com/huggingface/lerobot, `dataset_to_policy_features`)."""

from __future__ import annotations

from collections.abc import Mapping

from isthmus_datasets.format.features import Feature

SIMULATED = frozenset(
    {"environment_state", "env_state", "simulator_state", "sim_state", "privileged", "ground_truth",
     "object", "objects", "object_state", "object-state", "object_obs", "object_pose", "object_position",
     "object_positions", "object_orientations", "cube_positions", "cube_orientations", "keypoint", "keypoints"}
)  # fmt: skip
"""Parts of names by which robosuite, robomimic, Isaac Lab, Push-T and LeRobot call what only a simulator knows."""


def better_names(features: Mapping[str, Feature]) -> dict[str, str]:
    """Those whose names say another role than they have -> what they would be called here: simulation.NAME for what
    only a simulator knows, WHAT_action beside the `action`."""
    others = {name: _other_action(name) for name in features if name.startswith("action") and name != "action"}
    simulated = {name: _simulation(name) for name, feature in features.items() if is_simulated(name, feature)}
    wanted = simulated | (others if "action" in features else {})
    return {name: new for name, new in wanted.items() if new not in features}


def is_simulated(name: str, feature: Feature) -> bool:
    """Whether the name of an observation says that only a simulator knows it."""
    prefix, *parts = name.split(".")
    return prefix == "observation" and not feature.is_image and not SIMULATED.isdisjoint(parts)


def _simulation(name: str) -> str:
    return f"simulation.{name.removeprefix('observation.')}"


def _other_action(name: str) -> str:
    """action.sent and actions_sent become sent_action."""
    rest = name.removeprefix("action").removeprefix("s").strip("._-")
    return f"{rest}_action" if rest else "other_action"
