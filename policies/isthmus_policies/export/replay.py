"""Replaying a graph against the trained policy on recorded roll-outs, before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.policy.policy_file import ReplayStep
from isthmus_policies.evaluation.runners import Arrays, initial_memory, run_graph
from isthmus_policies.export.graph import POLICY_MEMORY, PolicyGraph
from isthmus_policies.networks.policy import Policy, restart
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task

REPLAY_WORLDS, REPLAY_STEPS = 64, 64
TEST_VECTOR_STEPS, TEST_VECTOR_RESET = 12, 4


@dataclass(kw_only=True)
class Recording:
    """T steps of N worlds under the trained policy: the signals, the memory (T + 1 of them) and the noise that it saw,
    by graph input name, the commands it gave, and which episodes then ended."""

    signals: list[Arrays]
    memory: list[Arrays]
    noise: list[Arrays]
    commands: list[Arrays]
    ended: list[np.ndarray]

    @property
    def resets(self) -> int:
        """How many episodes ended."""
        return sum(len(ids) for ids in self.ended)


@torch.no_grad()
def record(task: Task, policy: Policy, seed: int, engine: str | None = None) -> Recording:
    """Run the policy as training does, episodes at all ages so that some end."""
    engine = engine or task.engines[0]
    env = Env(task, make_engine(task.scene, REPLAY_WORLDS, engine), seed, random_initial_age=True)
    observations = env.reset()
    env.last_step[0] = REPLAY_STEPS // 2  # at least one reset in the middle
    policy = policy.to(env.device)
    own = policy.initial_memory(env.num_envs, env.device)
    recording = Recording(signals=[], memory=[_memory(env, own)], noise=[], commands=[], ended=[])
    for _ in range(REPLAY_STEPS):
        noise = policy.draw_noise(env.num_envs, env.generator)
        recording.signals.append(_arrays(env.signals))
        recording.noise.append(_arrays(noise, "noise_"))
        action, own = policy.act(observations, own, noise)
        recording.commands.append(_arrays(task.act(action.clamp(-1.0, 1.0), env.signals, env.memory)))
        step = env.step(action)
        restart(own, step.ended)
        recording.memory.append(_memory(env, own))
        recording.ended.append(step.ended.cpu().numpy())
        observations = step.observations
    env.close()
    return recording


def _memory(env: Env, own: dict[str, Tensor]) -> Arrays:
    return _arrays(env.memory, "memory_") | _arrays(own, f"memory_{POLICY_MEMORY}")


def _arrays(tensors: dict[str, Tensor], prefix: str = "") -> Arrays:
    return {f"{prefix}{name}": value.cpu().numpy().copy() for name, value in tensors.items()}


def replay_error(session: onnxruntime.InferenceSession, contract: Contract, recording: Recording) -> float:
    """Largest error of the graph's commands and next memory against the recorded ones, as a share of their range.

    Every step starts from the recorded memory: on its own memory, a policy that reacts strongly to its past actions
    would amplify the rounding of each step over the next ones, and the replay would measure that instead of the
    graph. After an episode's end the recorded memory must be the contract's initial one.
    """
    errors = [_difference(recording.memory[0], initial_memory(contract, REPLAY_WORLDS), {})]
    spans = {spec.name: np.asarray(spec.maximum) - np.asarray(spec.minimum) for spec in contract.commands}
    for t, ended in enumerate(recording.ended):
        others = recording.memory[t] | recording.noise[t]
        commands, following = run_graph(session, contract, recording.signals[t], others)
        for name, initial in initial_memory(contract, len(ended)).items():
            following[name][ended] = initial
        errors.append(_difference(recording.commands[t], commands, spans))
        errors.append(_difference(recording.memory[t + 1], following, {}))
    return float(np.max(errors))  # keeps what is not a number


def _difference(expected: Arrays, found: Arrays, spans: Arrays) -> float:
    """Largest difference of what is expected, as a share of the spans (1 where none is given); 0 of nothing."""
    errors = [np.abs((found[name] - value) / spans.get(name, 1.0)).max() for name, value in expected.items()]
    return float(np.max([0.0, *errors]))


@torch.no_grad()
def make_test_vectors(
    graph: PolicyGraph, contract: Contract, recording: Recording, margins: Callable[[Arrays], np.ndarray]
) -> list[ReplayStep]:
    """A few short sequences from world 0, each from a reset, and what torch makes of them. `margins`: those of the
    conditions, of one world's signals."""
    steps: list[ReplayStep] = []
    memory: tuple[Tensor, ...] = ()
    for t in range(TEST_VECTOR_STEPS):
        reset = t % TEST_VECTOR_RESET == 0
        if reset:
            memory = tuple(torch.from_numpy(value) for value in initial_memory(contract, 1).values())
        signals = {name: value[0] for name, value in recording.signals[t].items()}
        noise = {name: recording.noise[t][f"noise_{name}"][0] for name in graph.noise}
        given = [signals[name] for name in graph.signals], [noise[name] for name in graph.noise]
        before, after = ([torch.from_numpy(value).unsqueeze(0) for value in values] for values in given)
        outputs = graph(*before, *memory, *after)
        commands = {name: value[0].numpy() for name, value in zip(graph.commands, outputs, strict=False)}
        memory = outputs[len(graph.commands) :]
        steps.append(ReplayStep(reset=reset, signals=signals, commands=commands, noise=noise, margins=margins(signals)))
    return steps
