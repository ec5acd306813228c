"""Soft actor-critic that learns from a robot which another process drives. The algorithm "sac-robot"."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus_policies import distributed
from isthmus_policies.actor_learner.board import PolicyBoard
from isthmus_policies.actor_learner.config import RobotSACConfig
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.received import Received
from isthmus_policies.actor_learner.shared_file import ExchangeError
from isthmus_policies.algorithms.algorithm import AlgorithmEntry, LearningError
from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.algorithms.sac.learner import LOGGED, Learner
from isthmus_policies.algorithms.sac.replay import ReplayBuffer, Transitions, transition_bytes
from isthmus_policies.algorithms.sac.taught import Taught
from isthmus_policies.export.graph import observed_groups
from isthmus_policies.networks.normalizer import moments
from isthmus_policies.networks.policy import Groups, Policy, Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic
from isthmus_sim.env import Env
from isthmus_sim.state_dicts import joined, part
from isthmus_sim.task import Task

PAUSE_S = 0.005
"""Between two looks at whether the actor has done something."""
AT_ONCE = 4096
"""Rows that are read together."""
MOST_STEPS = 4
"""Gradient steps of an iteration at most, in those of `collect_steps` transitions: a learner that cannot keep pace
makes fewer per transition, so that the actor's policy is never old."""
COLUMNS = ("robot/transitions", "robot/intervened", "robot/taken", "robot/steps_per_transition")
"""Transitions that were ever received, share that somebody else drove, share of the policy's own upon which somebody
took over, and gradient steps per transition."""


class RobotSAC:
    """`Algorithm`: takes in what the actor has done, makes as many gradient steps as that is worth, and shows the
    actor the new policy. The Env is there for its task; nobody acts in it."""

    columns = (*(f"learner/{name}" for name in LOGGED), *COLUMNS)

    def __init__(self, env: Env, policy: Policy, config: RobotSACConfig, generator: torch.Generator) -> None:
        """Raises ValueError for a policy or demonstrations that it cannot learn with, and an exchange that is another
        one's or has a learner already."""
        self.policy, self.config, self._generator = improvable(policy, env.task), config, generator
        if config.exchange is None:
            raise ValueError("actor and learner share a folder: name it with --algorithm.exchange FOLDER")
        if distributed.size() > 1:
            raise ValueError("sac-robot learns in one process: start it without torchrun")
        env.reset()
        task, room = env.task, config.replay_steps
        groups = {name: task.groups[name] for name in self.policy.learns_from()}
        self.learner = Learner(self.policy, config, generator)
        self.taught = Taught(
            config.demonstrations, task, groups,
            rewarded=config.reward == "robot", interventions=room, device=env.device,
        )  # fmt: skip
        assert self.taught.interventions is not None
        self.received = Received(ReplayBuffer(task, groups, 1, room, env.device))
        self._intervened = Received(self.taught.interventions)
        with ExitStack() as held:
            self._board = PolicyBoard(config.exchange, acting(self.policy), write=True)
            held.callback(self._board.close)
            self._experience = Experience(config.exchange, task, groups, room, make=True, write=False)
            held.pop_all()
        self._consumed = self._steps = 0
        self._last_intervened = False
        self._new: NDArray[Any] = self._experience.read(0, 0)
        self._length, self._return = 0, 0.0
        if self.taught.demonstrations is not None:
            self._normalize(self.taught.demonstrations.replay.all())
        self._board.write(acting(self.policy))

    def collect(self) -> EpisodeStatistics:
        """Take in what the actor has done; after a while in which it did nothing, that is nothing."""
        self._new = self._await()
        self._receive(self._new)
        if len(self._new):
            self._normalize({name: torch.from_numpy(self._new["before"][name].copy()) for name in self._groups})
        return self._statistics(self._new)

    def _await(self) -> NDArray[Any]:
        """`collect_steps` rows, or more where more have come; fewer where no more come. Raises LearningError where some
        were overwritten meanwhile, or are damaged."""
        there, until = self._waiting, time.monotonic() + self.config.patience_s
        while self._waiting < self.config.collect_steps and time.monotonic() < until:
            self._board.beat()
            time.sleep(PAUSE_S)
            if self._waiting > there:
                there, until = self._waiting, time.monotonic() + self.config.patience_s
        try:
            return self._experience.read(self._consumed, AT_ONCE)
        except ExchangeError as error:
            raise LearningError(f"the actor has done more than the learner could take in: {error}") from error

    @property
    def _waiting(self) -> int:
        """Rows that were not taken in yet."""
        return len(self._experience) - self._consumed

    @property
    def _groups(self) -> tuple[str, ...]:
        return self._new.dtype["before"].names or ()

    def _receive(self, rows: NDArray[Any]) -> None:
        """Into the replay, and into that of interventions what somebody else did."""
        reward = rows["reward"]
        if self.config.reward == "takeovers":
            reward = -(rows["taken"] | rows["terminated"] & ~rows["succeeded"]).astype(np.float32)
        self.received.add(rows, reward, rows["first"])
        others, before = rows["intervened"], np.append(self._last_intervened, rows["intervened"][:-1])
        begins = rows["first"] | ~before[: len(rows)]
        self._intervened.add(rows[others], reward[others], begins[others])
        if len(rows):
            self._last_intervened = bool(others[-1])
        self._consumed += len(rows)

    @torch.no_grad()
    def _normalize(self, seen: Tensors) -> None:
        for name, normalizer in self.policy.normalizers():
            rows = seen[name].flatten(1)
            mean, variance = moments(rows)
            normalizer.merge(mean, variance, len(rows))

    def _statistics(self, rows: NDArray[Any]) -> EpisodeStatistics:
        statistics = EpisodeStatistics(names=("robot",), steps=len(rows))
        for row in rows:
            if row["first"]:
                self._length, self._return = 0, 0.0
            self._length += 1
            self._return += float(row["reward"])
            if row["terminated"] or row["truncated"]:
                statistics.lengths.append(torch.tensor([self._length]))
                statistics.timed_out.append(torch.tensor([bool(row["truncated"])]))
                statistics.succeeded.append(torch.tensor([bool(row["succeeded"])]))
                statistics.terms.append(torch.tensor([[self._return]]))
        return statistics

    def update(self, progress: float) -> dict[str, float]:
        """Gradient steps, and the new policy for the actor. Raises LearningError where it is not finite: the actor
        keeps the last good one."""
        new, c = len(self._new), self.config
        told = self._told()
        if self._consumed < c.warm_up or new == 0:
            self._board.beat()
            return told
        steps = max(1, round(c.update_ratio * min(new, MOST_STEPS * c.collect_steps)))
        sums = torch.zeros(len(LOGGED))
        for _ in range(steps):
            sums += self.learner.step(self._batch())
            self._board.beat()
        self._steps += steps
        tensors = acting(self.policy)
        if not bool(torch.isfinite(sums).all()) or not all(bool(value.isfinite().all()) for value in tensors.values()):
            raise LearningError(
                f"learning has diverged after {self.learner.steps} gradient steps: losses or weights are no numbers; "
                "the actor keeps the last good policy. Lower algorithm.learning-rate or algorithm.update-ratio"
            )
        self._board.write(tensors)
        means = (sums / steps).tolist()
        return dict(zip(self.columns, means, strict=False)) | told | {COLUMNS[3]: steps / new}

    def _told(self) -> dict[str, float]:
        told = {COLUMNS[0]: float(self._consumed)}
        if new := len(self._new):
            others = int(self._new["intervened"].sum())
            told |= {COLUMNS[1]: others / new, COLUMNS[2]: int(self._new["taken"].sum()) / max(1, new - others)}
        return told

    def close(self) -> None:
        """Let go of the exchange."""
        self._board.close()
        self._experience.close()

    def _batch(self) -> Transitions:
        c = self.config
        return Transitions.joined(
            [
                replay.sample(size, c.n_step, c.gamma, self._generator)
                for replay, size in self.taught.shares(self.received.replay, c.batch_size)
            ]
        )

    def state_dict(self) -> dict[str, Tensor]:
        """What was received stays in the exchange: here is only how much of it was."""
        learner = joined(learner=self.learner.state_dict())
        own = {"generator": self._generator.get_state(), "consumed": torch.tensor(self._consumed)}
        shown = self.taught.demonstrations
        return {**learner, **own, **({"demonstrations": shown.state_dict()["digest"]} if shown else {})}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Raises ValueError where the exchange has less than was received, and for demonstrations that have changed."""
        if self.taught.demonstrations is not None:
            self.taught.demonstrations.load_state_dict({"digest": state["demonstrations"]})
        self.learner.load_state_dict(part(state, "learner"))
        consumed = int(state["consumed"])
        self._consumed = max(0, min(consumed, len(self._experience) - self._experience.capacity))
        while self._consumed < consumed:
            self._receive(self._experience.read(self._consumed, min(AT_ONCE, consumed - self._consumed)))
        self._generator.set_state(state["generator"])
        self._board.write(acting(self.policy))


def acting(policy: SquashedActorCritic) -> Tensors:
    """What an actor needs of a policy."""
    return {name: value for name, value in policy.state_dict().items() if name.startswith("actor")}


def improvable(policy: Policy, task: Task) -> SquashedActorCritic:
    """The policy. Raises ValueError for one without values of actions, or that learns from what no robot has."""
    if not isinstance(policy, SquashedActorCritic) or policy.memory:
        raise ValueError(
            "sac-robot learns from the values of single actions: take --policy squashed, this is a "
            f"{type(policy).__name__}"
        )
    seen = observed_groups(task)
    if unseen := [name for name in policy.learns_from() if name not in seen]:
        raise ValueError(
            f"the policy reads {', '.join(map(repr, unseen))}, which only simulation has; a robot has: "
            f"{', '.join(seen)}: say so with --policy.actor-groups and --policy.critic-groups"
        )
    return policy


def world_bytes(policy: Policy, groups: Groups, action_size: int, config: RobotSACConfig) -> int:
    """Memory of the replay, and of that of interventions. Raises ValueError for a policy that it cannot improve."""
    if not isinstance(policy, SquashedActorCritic):
        return 0  # said when it is made
    learned = {name: groups[name] for name in policy.learns_from()}
    return 2 * (config.replay_steps + 1) * transition_bytes(learned, action_size)


ENTRY = AlgorithmEntry(
    config=RobotSACConfig(),
    make=RobotSAC,
    world_bytes=world_bytes,
    training={
        "policy_name": "squashed",
        "policy": {"critic_groups": ("actor",)},
        "num_envs": 1,
        "iterations": 1_000_000,  # until it is told to stop
        "torch_threads": 1,
        "checkpoint_every": 50,
    },
)
