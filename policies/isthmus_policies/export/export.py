"""`isthmus-export RUN`: one ONNX graph from raw signals to motor commands, with its contract, replayed before it is
written."""

from __future__ import annotations

import datetime
import io
import logging
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import onnxruntime
import torch
import tyro
from torch import Tensor, nn

from isthmus_deploy.contract import Command, Contract, Joint, Memory, Provenance, Signal
from isthmus_deploy.policy_file import TOLERANCE, ReplayStep, parse, seal
from isthmus_deploy.runtime import session_options
from isthmus_policies.evaluation.evaluate import Arrays, Evaluation, PolicyActor, evaluate, initial_memory, run_graph
from isthmus_policies.files import code_revision, write_atomically
from isthmus_policies.networks.actor_critic import ActorCritic
from isthmus_policies.training.trainer import load_policy
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.task import Task
from isthmus_sim.tasks import make_task
from isthmus_sim.threads import use_thread_budget

POLICY_FILE = "policy.onnx"
REPLAY_WORLDS, REPLAY_STEPS = 64, 64
TEST_VECTOR_STEPS, TEST_VECTOR_RESET = 12, 4
EVALUATION_EPISODES, EVALUATION_SEED = 500, 10_000


class ExportError(RuntimeError):
    """The graph does not do what the trained policy does. Nothing was written."""


class PolicyGraph(nn.Module):
    """The task's own observation and action functions around the network: signals and memory in, commands and memory
    out."""

    def __init__(self, task: Task, policy: ActorCritic) -> None:
        super().__init__()
        self._task = task
        self._policy = policy
        self.signals = [spec.name for spec in task.robot.signals]
        self.memory = [spec.name for spec in task.memory]
        self.commands = [spec.name for spec in task.robot.commands]

    @property
    def input_names(self) -> list[str]:
        return [*self.signals, *(f"memory_{name}" for name in self.memory)]

    @property
    def output_names(self) -> list[str]:
        return [*self.commands, *(f"next_memory_{name}" for name in self.memory)]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        signals = dict(zip(self.signals, inputs, strict=False))
        memory = dict(zip(self.memory, inputs[len(self.signals) :], strict=True))
        action = self._policy.act(self._task.observe(signals, memory)).clamp(-1.0, 1.0)
        commands = self._task.act(action, signals, memory)
        following = self._task.remember(memory, signals, action)
        return tuple(commands[name] for name in self.commands) + tuple(following[name] for name in self.memory)

    def example(self, n: int) -> tuple[Tensor, ...]:
        """Inputs of the right shapes for n worlds."""
        signals = tuple(torch.zeros(n, spec.size) for spec in self._task.robot.signals)
        return signals + tuple(torch.full((n, *spec.shape), spec.initial) for spec in self._task.memory)


def compile_graph(graph: PolicyGraph) -> bytes:
    """The graph as ONNX, its first axis free."""
    inputs = graph.example(2)
    batch = torch.export.Dim("batch", min=1)
    buffer = io.BytesIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own insides; the replay judges the result
        program = torch.onnx.export(
            graph.eval(), inputs, input_names=graph.input_names, output_names=graph.output_names,
            dynamic_shapes=(tuple({0: batch} for _ in inputs),), dynamo=True, verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(buffer)  # pyright: ignore[reportArgumentType] (takes a file, says a path)
    return buffer.getvalue()


def make_contract(task: Task, provenance: Provenance) -> Contract:
    """The contract of a policy for `task`: everything from the robot's specification, nothing typed again."""
    robot = task.robot
    return Contract(
        robot=robot.name,
        control_period_s=robot.control_period_s,
        trained_latency_s=task.trained_latency_s,
        signals=tuple(Signal(shape=(spec.size,), **asdict(spec)) for spec in robot.signals),
        commands=tuple(Command(shape=(spec.size,), **asdict(spec)) for spec in robot.commands),
        memory=tuple(Memory(**asdict(spec)) for spec in task.memory),
        joints={name: Joint(**asdict(spec)) for name, spec in robot.joints.items()},
        provenance=provenance,
    )


@dataclass(kw_only=True)
class Recording:
    """T steps of N worlds under the trained policy: the signals and the memory (T + 1 of them) that it saw, by graph
    input name, the commands it gave, and which episodes then ended."""

    signals: list[Arrays]
    memory: list[Arrays]
    commands: list[Arrays]
    ended: list[np.ndarray]

    @property
    def resets(self) -> int:
        return sum(len(ids) for ids in self.ended)


def record(task: Task, policy: ActorCritic, seed: int) -> Recording:
    """Run the policy as training does, episodes at all ages so that some end."""
    env = Env(task, make_engine(task, REPLAY_WORLDS), seed, spread=True)
    observation = env.reset()["actor"]
    env.episode_step[0] = task.episode_steps - REPLAY_STEPS // 2  # at least one reset in the middle
    recording = Recording(signals=[], memory=[_arrays(env.memory, "memory_")], commands=[], ended=[])
    with torch.no_grad():
        for _ in range(REPLAY_STEPS):
            recording.signals.append(_arrays(env.signals))
            action = policy.act(observation).clamp(-1.0, 1.0)
            recording.commands.append(_arrays(task.act(action, env.signals, env.memory)))
            step = env.step(action)
            recording.memory.append(_arrays(env.memory, "memory_"))
            recording.ended.append(step.ended.numpy())
            observation = step.observations["actor"]
    return recording


def _arrays(tensors: dict[str, Tensor], prefix: str = "") -> Arrays:
    return {f"{prefix}{name}": value.numpy().copy() for name, value in tensors.items()}


def replay_error(session: onnxruntime.InferenceSession, contract: Contract, recording: Recording) -> float:
    """Largest error of the graph's commands and next memory against the recorded ones, as a share of their range.

    Every step starts from the recorded memory: on its own memory, a policy that reacts strongly to its past actions
    would amplify the rounding of each step over the next ones, and the replay would measure that instead of the
    graph. After an episode's end the recorded memory must be the contract's initial one.
    """
    errors = [_difference(recording.memory[0], initial_memory(contract, REPLAY_WORLDS), {})]
    spans = {spec.name: np.asarray(spec.maximum) - np.asarray(spec.minimum) for spec in contract.commands}
    for t, ended in enumerate(recording.ended):
        commands, following = run_graph(session, contract, recording.signals[t], recording.memory[t])
        for name, initial in initial_memory(contract, len(ended)).items():
            following[name][ended] = initial
        errors.append(_difference(recording.commands[t], commands, spans))
        errors.append(_difference(recording.memory[t + 1], following, {}))
    return float(np.max(errors))  # keeps what is not a number


def _difference(expected: Arrays, found: Arrays, spans: Arrays) -> float:
    """Largest difference of what is expected, as a share of the spans (1 where none is given); 0 of nothing."""
    errors = [np.abs((found[name] - value) / spans.get(name, 1.0)).max() for name, value in expected.items()]
    return float(np.max([0.0, *errors]))


def make_test_vectors(graph: PolicyGraph, contract: Contract, recording: Recording) -> list[ReplayStep]:
    """A few short sequences from world 0, each from a reset, and what torch makes of them."""
    steps: list[ReplayStep] = []
    memory: tuple[Tensor, ...] = ()
    for t in range(TEST_VECTOR_STEPS):
        reset = t % TEST_VECTOR_RESET == 0
        if reset:
            memory = tuple(torch.from_numpy(value) for value in initial_memory(contract, 1).values())
        signals = {name: value[0] for name, value in recording.signals[t].items()}
        with torch.no_grad():
            outputs = graph(*(torch.from_numpy(signals[name]).unsqueeze(0) for name in graph.signals), *memory)
        commands = {name: value[0].numpy() for name, value in zip(graph.commands, outputs, strict=False)}
        memory = outputs[len(graph.commands) :]
        steps.append(ReplayStep(reset=reset, signals=signals, commands=commands))
    return steps


def export_policy(task: Task, policy: ActorCritic, provenance: Provenance) -> tuple[bytes, float, Recording]:
    """The policy file's bytes, the replay's worst error, and the recording it was replayed on.

    Raises:
        ExportError: the graph and the trained policy differ by more than the tolerance, or the replay saw no reset.
    """
    graph = PolicyGraph(task, policy)
    contract = make_contract(task, provenance)
    recording = record(task, policy, seed=EVALUATION_SEED + 1)
    if recording.resets == 0:
        raise ExportError("the recorded roll-out had no episode end: the memory's reset would go unchecked")
    model = seal(compile_graph(graph), contract, make_test_vectors(graph, contract, recording))
    session = onnxruntime.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
    error = replay_error(session, parse(model).contract, recording)
    if not error <= TOLERANCE:
        raise ExportError(
            f"graph and policy differ by {error:.2g} of the command's range, more than {TOLERANCE:g}: nothing written"
        )
    return model, error, recording


@dataclass(frozen=True, kw_only=True)
class Options:
    """Export the policy of a run to one ONNX file, after evaluating it and replaying the graph against it."""

    run: Annotated[Path, tyro.conf.Positional]
    """Folder of the run."""
    out: Path | None = None
    """The file to write; by default RUN/policy.onnx."""


def export_run(run: Path, out: Path | None = None, *, episodes: int = EVALUATION_EPISODES) -> tuple[Path, Evaluation]:
    """Evaluate on so many episodes, export, replay, write. Raises ExportError, CheckpointError, OSError."""
    config, policy, facts = load_policy(run)
    task = make_task(config.task)
    score = evaluate(task, lambda env: PolicyActor(policy, env), episodes, EVALUATION_SEED, model=config.model)
    provenance = Provenance(
        task=config.task,
        code_revision=facts["code_revision"],
        seed=config.seed,
        data=None,
        evaluation=asdict(score),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    )
    model, error, recording = export_policy(task, policy, provenance)
    path = out or run / POLICY_FILE
    write_atomically(path, model)
    print(
        f"{path}  {len(model) / 1024:.0f} KiB\n"
        f"  replayed {REPLAY_WORLDS * REPLAY_STEPS} recorded steps with {recording.resets} resets: "
        f"worst error {error:.1e} of the range\n"
        f"  success {score.success[1]:.1%} of {score.episodes} episodes   revision {code_revision()}"
    )
    return path, score


def main() -> None:
    """Entry point of `isthmus-export`."""
    options = tyro.cli(Options, prog="isthmus-export")
    use_thread_budget()
    try:
        export_run(options.run, options.out)
    except (ExportError, ValueError, OSError) as error:
        sys.exit(f"isthmus-export: {error}")


if __name__ == "__main__":
    main()
