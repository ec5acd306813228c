"""What drives every world of an Env: the trained network, or the graph that would run on the robot."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.sessions import session_options
from isthmus_policies.networks.policy import Policy, restart
from isthmus_sim.env import Env, Step

Arrays = dict[str, np.ndarray]


class PolicyRunner(ABC):
    """Drives every world of an Env for one control step at a time."""

    begins: Tensor | None = None
    """(n,): from which step of each world's first episode on it acts itself; None where it does from the first."""

    @abstractmethod
    def step(self, env: Env) -> Step:
        """Act in every world and advance the Env."""

    @abstractmethod
    def restart(self, ids: Tensor) -> None:
        """Worlds `ids` begin a new episode."""


class NetworkRunner(PolicyRunner):
    """The trained network, at its mean action."""

    def __init__(self, policy: Policy, env: Env) -> None:
        self._policy = copy.deepcopy(policy).to(env.device).eval()
        self._observations = env.reset()
        self._memory = self._policy.initial_memory(env.num_envs, env.device)

    def step(self, env: Env) -> Step:
        return self.took(env.step(self.action(env)))

    @torch.no_grad()
    def action(self, env: Env) -> Tensor:
        """(n, action_size): what it would do now. To be asked once a step."""
        noise = self._policy.draw_noise(env.num_envs, env.generator)
        action, self._memory = self._policy.act(self._observations, self._memory, noise)
        return action

    def took(self, step: Step) -> Step:
        """See what came of the step, whoever acted."""
        self._observations = step.observations
        return step

    def restart(self, ids: Tensor) -> None:
        restart(self._memory, ids)


class GraphRunner(PolicyRunner):
    """The exported graph itself: raw signals in, commands out, its own memory. Raises PolicyFileError."""

    def __init__(self, path: str, env: Env) -> None:
        self._session, self._contract = open_graph(path)
        self._memory = initial_memory(self._contract, env.num_envs)
        self._random = np.random.default_rng(env.generator.initial_seed())
        env.reset()

    def step(self, env: Env) -> Step:
        results = self.wanted({name: value.cpu().numpy() for name, value in env.signals.items()})
        return env.step_commands({name: torch.from_numpy(rows).to(env.device) for name, rows in results.items()})

    def wanted(self, signals: Arrays) -> Arrays:
        """What the graph makes of readings (n, *shape) by name: commands (n, size). To be asked once a step."""
        n = len(next(iter(signals.values())))
        noise = draw_noise(self._contract, n, self._random)
        results, self._memory = run_graph(self._session, self._contract, signals, self._memory | noise)
        return {command.name: results[command.name] for command in self._contract.commands}

    def restart(self, ids: Tensor) -> None:
        fresh = initial_memory(self._contract, len(ids))
        for name, value in fresh.items():
            self._memory[name][ids.cpu().numpy()] = value


def open_graph(path: str) -> tuple[onnxruntime.InferenceSession, Contract]:
    """An exported policy, verified, for batches. Raises PolicyFileError."""
    file = policy_file.read(path)
    return batch_session(file.model), file.contract


def batch_session(model: bytes) -> onnxruntime.InferenceSession:
    """A session for batches."""
    return onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])


def initial_memory(contract: Contract, n: int) -> Arrays:
    """Memory at the start of n episodes, by graph input name: (n, *shape)."""
    return {
        f"memory_{m.name}": np.broadcast_to(np.asarray(m.initial, m.dtype), (n, *m.shape)).copy()
        for m in contract.memory
    }


def draw_noise(contract: Contract, n: int, random: np.random.Generator) -> Arrays:
    """Noise for one step of n worlds, by graph input name: (n, *shape) float32."""
    return {f"noise_{noise.name}": random.standard_normal((n, *noise.shape), np.float32) for noise in contract.noise}


def run_graph(
    session: onnxruntime.InferenceSession, contract: Contract, signals: Arrays, others: Arrays
) -> tuple[Arrays, Arrays]:
    """One step of a batch. `others`: memory and noise by graph input name.

    Returns:
        Commands by name (and the next memory beside them), and the next memory by input name.
    """
    wanted = {s.name: np.ascontiguousarray(signals[s.name]) for s in contract.signals}
    names = [output.name for output in session.get_outputs()]
    results = {name: np.asarray(value) for name, value in zip(names, session.run(names, wanted | others), strict=True)}
    return results, {name: results[f"next_{name}"] for name in others if name.startswith("memory_")}
