"""What a policy is, and the policies by name.

A policy reads named observation groups, keeps a memory of its own, and gives an action. It knows neither the robot nor
how it is trained. Anyone registers one under the entry point `isthmus.policies`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from isthmus_sim.registry import Registry
from isthmus_sim.task import Group

Tensors = dict[str, Tensor]
Groups = Mapping[str, Group]

DTYPES = {"float32": torch.float32, "uint8": torch.uint8}


class Policy(nn.Module, ABC):
    """Observations and memory to an action and the next memory, batched over the first axis.

    `act` is also what the export compiles: tensor operations only, no Python branch on a tensor's value, and nothing
    kept between calls but the memory.
    """

    groups: tuple[str, ...]
    """Observation groups that `act` reads."""
    memory: dict[str, Group]
    """What the policy carries from one control step to the next, by name; zero where an episode begins."""
    noise: dict[str, Group]
    """Inputs of standard normal numbers, drawn afresh for every control step."""

    def __init__(self) -> None:
        super().__init__()
        self.groups, self.memory, self.noise = (), {}, {}

    @abstractmethod
    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        """The mean action (n, action_size), 1 being as far as the robot goes, and the next memory.

        Args:
            observations: The groups by name, raw, (n, *shape).
            memory: As this method last gave it, (n, *shape).
            noise: Standard normal numbers, (n, *shape).
        """

    def embed(self, observations: Tensors) -> Tensor:
        """(n, features): what it makes of what it sees, for a monitor that tells what is new to it: by default all
        numbers of its groups."""
        return torch.cat([observations[name].flatten(1).float() for name in self.groups], dim=-1)

    def initial_memory(self, n: int, device: torch.device | str = "cpu") -> Tensors:
        """The memory where n episodes begin."""
        return zeros(self.memory, n, device)

    def draw_noise(self, n: int, generator: torch.Generator) -> Tensors:
        """Noise for one control step of n worlds, on the generator's device."""
        return {
            name: torch.randn(n, *group.shape, generator=generator, device=generator.device)
            for name, group in self.noise.items()
        }


@dataclass(frozen=True, kw_only=True)
class PolicyEntry:
    """A registered policy.

    config: The default configuration, a frozen dataclass; its type is what the command line and a run's files hold.
    make: Configuration, the task's observation groups and the action's size -> policy. Raises ValueError where they do
        not fit.
    """

    config: Any
    make: Callable[[Any, Groups, int], Policy]


POLICIES = Registry("isthmus.policies", "policy", PolicyEntry)
"""The policies by name."""


def make_policy(name: str, config: Any, groups: Groups, action_size: int) -> Policy:
    """The policy `name` for a task with these observation groups.

    Raises:
        ValueError: There is no such policy, the configuration is another's, or the two do not fit the task's groups;
            the message names the policy, the valid names and the fix.
    """
    entry = POLICIES[name]
    if type(config) is not type(entry.config):
        raise ValueError(f"policy {name!r} takes a {type(entry.config).__name__}, not a {type(config).__name__}")
    try:
        policy = entry.make(config, groups, action_size)
        check_policy(policy, groups, action_size)
    except ValueError as error:
        raise ValueError(f"policy {name!r}: {error}") from error
    return policy


def check_policy(policy: Policy, groups: Groups, action_size: int) -> None:
    """Raise ValueError where a policy reads what is not there, gives what it did not declare, or does not trace."""
    require_groups(policy.groups, groups)
    read = {name: groups[name] for name in policy.groups}
    with torch.no_grad():
        inputs = zeros(read, 2), zeros(policy.memory, 2), zeros(policy.noise, 2)
        try:
            outputs = policy.act(*inputs)
        except KeyError as error:
            declared = (*policy.groups, *policy.memory, *policy.noise)
            raise ValueError(
                f"act() reads {error}, which it does not declare; it declares: {', '.join(declared)}"
            ) from None
        _check_outputs(policy, action_size, *outputs)
        _check_purity(policy, inputs)
        _check_tracing(policy, inputs)


def _check_outputs(policy: Policy, action_size: int, action: Tensor, memory: Tensors) -> None:
    if action.shape != (2, action_size):
        raise ValueError(f"its action for 2 robots is {tuple(action.shape)}, it must be {(2, action_size)}")
    expected = {name: ((2, *group.shape), DTYPES[group.dtype]) for name, group in policy.memory.items()}
    found = {name: (tuple(value.shape), value.dtype) for name, value in memory.items()}
    if found != expected:
        raise ValueError(f"act() gives the next memory {found}, declared is {expected} for 2 robots")


def _check_purity(policy: Policy, inputs: tuple[Tensors, Tensors, Tensors]) -> None:
    first, second = (policy.act(*inputs) for _ in range(2))
    if not torch.equal(first[0], second[0]):
        raise ValueError(
            "act() answers the same inputs differently: it keeps something outside its memory "
            f"({', '.join(policy.memory) or 'it declares none'}) or draws random numbers; declare memory or noise"
        )


def _check_tracing(policy: Policy, inputs: tuple[Tensors, Tensors, Tensors]) -> None:
    """Act on tensors without values: a branch on a value, or its way through NumPy, fails."""
    try:
        model = copy.deepcopy(policy).to("meta")
        model.act(*({name: value.to("meta") for name, value in group.items()} for group in inputs))
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"act() does not trace, so it could not be exported (memory: {', '.join(policy.memory) or 'none'}): "
            f"{str(error).splitlines()[0]}; use tensor operations only: no branch on a tensor's value, no .item(), "
            "no NumPy"
        ) from error


def require_groups(names: tuple[str, ...], groups: Groups) -> None:
    """Raise ValueError naming those that are no observation groups, and those that are."""
    unknown = [name for name in names if name not in groups]
    if unknown:
        raise ValueError(
            f"unknown observation group {', '.join(map(repr, unknown))}; the task has: {', '.join(groups)}"
        )


def zeros(groups: Groups, n: int, device: torch.device | str = "cpu") -> Tensors:
    """n rows of zeros of every group: (n, *shape)."""
    return {
        name: torch.zeros(n, *group.shape, dtype=DTYPES[group.dtype], device=device) for name, group in groups.items()
    }


def restart(memory: Tensors, ids: Tensor) -> None:
    """Set the memory of worlds `ids` (k,), whose episodes begin anew, to zero, in place."""
    for value in memory.values():
        value[ids] = 0
