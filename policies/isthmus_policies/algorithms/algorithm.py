"""What a learning algorithm is, and the algorithms by name.

The trainer runs `collect` and `update` in turns and knows nothing else of an algorithm. Anyone registers one under the
entry point `isthmus.algorithms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.networks.policy import Groups, Policy
from isthmus_sim.env import Env
from isthmus_sim.registry import Registry


class LearningError(RuntimeError):
    """Nothing good would come of going on; the message says why. The last checkpoint stays as it is."""


class Algorithm(Protocol):
    """Improves a policy by what it does in an `Env`. In every process of `distributed` it makes the same policy, from
    the experience of all of them."""

    columns: tuple[str, ...]
    """Names of what `update` returns."""

    def collect(self) -> EpisodeStatistics:
        """Let the policy act in the worlds for a while, and keep what came of it."""
        ...

    def update(self, progress: float) -> dict[str, float]:
        """Improve the policy by what was collected; what to log. progress: share of the training that is done. Raises
        LearningError."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that going on bit for bit needs, beside the policy's and the Env's state."""
        ...

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take back what `state_dict` gave; the policy and the Env have theirs already."""
        ...


@dataclass(frozen=True, kw_only=True)
class AlgorithmEntry:
    """A registered algorithm.

    config: The default configuration, a frozen dataclass; its type is what the command line and a run's files hold.
    make: Env, policy on the Env's device, configuration, generator of everything that it draws -> algorithm. Raises
        ValueError for a policy that it cannot improve.
    world_bytes: Policy, the task's observation groups, the action's size, configuration -> memory that one world takes
        while learning, in bytes. Raises ValueError as `make` does.
    training: What differs from the trainer's defaults when it trains, by field, nested as the trainer's configuration
        is; such as the policy that it improves (policy_name).
    """

    config: Any
    make: Callable[[Env, Policy, Any, torch.Generator], Algorithm]
    world_bytes: Callable[[Policy, Groups, int, Any], int]
    training: Mapping[str, Any] = field(default_factory=dict)


ALGORITHMS = Registry("isthmus.algorithms", "algorithm", AlgorithmEntry)
"""The algorithms by name."""


def find_algorithm(name: str, config: Any) -> AlgorithmEntry:
    """The algorithm `name`, for this configuration. Raises ValueError for an unknown name, with the valid ones, and a
    configuration that is another's."""
    entry = ALGORITHMS[name]
    if type(config) is not type(entry.config):
        raise ValueError(f"algorithm {name!r} takes a {type(entry.config).__name__}, not a {type(config).__name__}")
    return entry
