"""A run by "sac-robot", as its actor needs it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from isthmus_policies.actor_learner.config import RobotSACConfig
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.learner import improvable
from isthmus_policies.networks.policy import make_policy
from isthmus_policies.networks.squashed import SquashedActorCritic
from isthmus_policies.training.config import config_from_json
from isthmus_policies.training.worlds import make_task
from isthmus_sim.task import Task

CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class LearningRun:
    """What is learned, by whom, and what actor and learner share."""

    task: Task
    policy: SquashedActorCritic
    """Not trained yet."""
    algorithm: RobotSACConfig
    exchange: Path

    @classmethod
    def of(cls, folder: Path) -> LearningRun:
        """Read the run in `folder`. Raises ValueError where it is none, OSError where there is none."""
        path = folder / CONFIG
        if not path.is_file():
            raise FileNotFoundError(
                f"no run in {folder}: start its learner first: "
                f"isthmus-train TASK --algorithm sac-robot --algorithm.exchange FOLDER --run {folder}"
            )
        config = config_from_json(json.loads(path.read_text()))
        if not isinstance(config.algorithm, RobotSACConfig) or config.algorithm.exchange is None:
            raise ValueError(f"{folder} is learned by {config.algorithm_name!r}; an actor needs a run of sac-robot")
        task = make_task(config)
        policy = improvable(make_policy(config.policy_name, config.policy, task.groups, task.action_size), task)
        return cls(task=task, policy=policy.eval(), algorithm=config.algorithm, exchange=config.algorithm.exchange)

    def experience(self) -> Experience:
        """Where its actor writes. Raises ExchangeError where the learner has not made it, or there is an actor
        already."""
        groups = {name: self.task.groups[name] for name in self.policy.learns_from()}
        return Experience(self.exchange, self.task, groups, self.algorithm.replay_steps, make=False, write=True)
