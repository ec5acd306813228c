"""What benchmarks of chunk policies share: Push-T from the starts on which it is reported, in our simulator and in
gym-pusht; what one policy loses against another on the same episodes; one decision of the exported graph on one core.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from common import Row

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus_datasets.format.episode import Episode
from isthmus_datasets.format.features import Feature
from isthmus_datasets.format.writer import DatasetWriter
from isthmus_deploy.chunk_executor import ExecutorConfig
from isthmus_deploy.policy.policy_file import seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.ros.realtime import PRIORITY, freeze_garbage
from isthmus_policies.chunks.chunk_policy import ChunkPolicy
from isthmus_policies.chunks.columns import STATE_COLUMN, RobotColumns
from isthmus_policies.chunks.export.contract import make_chunk_contract
from isthmus_policies.chunks.export.graph import compile_chunks
from isthmus_policies.chunks.export.replay import ChunkRecording, Inferred, make_chunk_vectors
from isthmus_policies.chunks.runner import Execution, history, network_runner, policy_driver, see_
from isthmus_policies.chunks.training.config import Learning, default_config
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import ChunkRun, make_policy, policy_files
from isthmus_policies.chunks.training.trainer import ChunkTrainer
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_policies.evaluation.intervals import Z95, Interval, mean_interval, wilson
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import NOWHERE
from isthmus_sim.description import RobotDescription
from isthmus_sim.env import Env, Step
from isthmus_sim.robots.pusher.description import CAMERA_ROBOT, ROBOT
from isthmus_sim.specs import SignalSpec
from isthmus_sim.task import Task
from isthmus_sim.tasks.push_t import STANDARD_SEEDS, SUCCESS, PushT, PushTConfig, gym_pusht_start
from isthmus_sim.threads import one_torch_thread

ROOT = Path(__file__).parents[1]
PYTHON = ROOT / ".gym-pusht/bin/python"
PEER = ROOT / "benchmarks/peers/gym_pusht_worlds.py"
SEED = 0  # of the noise that policies draw
PICTURE = 96
"""Pixels of a side of gym-pusht's pictures."""
BLOCK = 50
"""Decisions of one graph, before it is the next one's turn."""

Vector = NDArray[np.float64]
Matrix = NDArray[np.float32]
Name = TypeVar("Name", bound=Hashable)


# --- Push-T ---


def gym_starts(episodes: int, steps: int = 300, robot: RobotDescription = ROBOT) -> Task:
    """Push-T here, from where gym-pusht begins with the first of the standard seeds."""
    starts = tuple(gym_pusht_start(seed) for seed in STANDARD_SEEDS[:episodes])
    return PushT(robot, PushTConfig(starts=starts, episode_steps=steps))


def coverage_here(policy: ChunkPolicy, task: Task, episodes: int, execution: Execution) -> Vector:
    """(episodes,): the greatest coverage of each episode in our simulator."""
    kept: list[_Kept] = []

    def runner(env: Env) -> PolicyRunner:
        kept.append(_Kept(network_runner(policy, env, execution), env))
        return kept[0]

    evaluate(task, runner, episodes, execution.seed)
    return kept[0].greatest.double().cpu().numpy()


class _Kept(PolicyRunner):
    """Another runner, and the greatest coverage of the first episode of each world."""

    def __init__(self, runner: PolicyRunner, env: Env) -> None:
        self._runner = runner
        self.greatest = torch.zeros(env.num_envs, device=env.device)
        self._going = torch.ones(env.num_envs, dtype=torch.bool, device=env.device)

    def step(self, env: Env) -> Step:
        step = self._runner.step(env)
        reached = torch.fmax(self.greatest, step.metrics["coverage"])
        self.greatest = torch.where(self._going, reached, self.greatest)
        self._going &= ~(step.terminated | step.truncated)
        return step

    def restart(self, ids: Tensor) -> None:
        self._runner.restart(ids)


class GymPushT:
    """Worlds of gym-pusht in another Python; a context manager.

    Args:
        python: Which has it.
    """

    def __init__(self, python: Path) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process: subprocess.Popen[str] = subprocess.Popen([str(python), str(PEER)], **pipes)
        self.seconds = 0.0
        """How long gym-pusht itself has taken for its steps."""

    def __enter__(self) -> GymPushT:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()  # the end of its input ends it

    def begin(self, starts: Sequence[int] | Sequence[Sequence[float]]) -> Vector:
        """A world for each: as gym-pusht's reset with a seed leaves it, or at rest in a state (5,) px and rad. Returns
        states (n, 5)."""
        return np.array(self._ask({"begin": list(starts)})["states"])

    def step(self, actions: Vector, going: NDArray[np.bool_] | None = None) -> tuple[Vector, Vector]:
        """A control step towards actions (n, 2) px, in the worlds that are `going` (n,), by default all.

        Returns states (n, 5) and coverage (n,), which is not a number in worlds that are not going.
        """
        goes = np.ones(len(actions), bool) if going is None else going
        told = [action if go else None for action, go in zip(actions.tolist(), goes, strict=True)]
        answer = self._ask({"step": told})
        self.seconds += answer["seconds"]
        return np.array(answer["states"]), np.array(answer["coverage"], float)

    def pictures(self) -> Tensor:
        """(n, 3, 96, 96) uint8 RGB: how the worlds look, as gym-pusht observes them."""
        told = base64.b64decode(self._ask({"pictures": True})["pictures"])
        drawn = torch.frombuffer(bytearray(told), dtype=torch.uint8)
        return drawn.view(-1, PICTURE, PICTURE, 3).movedim(-1, 1)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises RuntimeError where it has ended, after saying why."""
        assert self._process.stdin
        assert self._process.stdout
        print(json.dumps(request), file=self._process.stdin, flush=True)
        if not (line := self._process.stdout.readline()):
            raise RuntimeError("gym-pusht has ended; what it said is above")
        return json.loads(line)


def greatest_coverage(
    policy: ChunkPolicy, worlds: GymPushT, seeds: Sequence[int], steps: int, execution: Execution | None = None
) -> Vector:
    """(n,): of an episode in gym-pusht from each seed, which ends where the goal is covered."""
    states = worlds.begin(seeds)
    driver = policy_driver(policy, len(seeds), execution or usual_execution(policy, SEED))
    seen = history(_row(states, worlds, policy), policy.spec.observed)
    none = torch.zeros(len(seeds), dtype=torch.bool)
    greatest, going = np.zeros(len(seeds)), np.ones(len(seeds), bool)
    for _ in range(steps):
        with one_torch_thread():
            actions = driver.actions(seen)
        states, covered = worlds.step(actions.double().numpy(), going)
        see_(seen, _row(states, worlds, policy), fresh=none)
        greatest, going = np.fmax(greatest, covered), going & (covered <= SUCCESS)
        if not going.any():
            break
    return greatest


def _row(states: Vector, worlds: GymPushT, policy: ChunkPolicy) -> dict[str, Tensor]:
    """What a policy sees of the worlds as they are."""
    numbers = {STATE_COLUMN: torch.from_numpy(states).float()} if policy.spec.columns else {}
    return numbers | ({camera: worlds.pictures() for camera in policy.spec.cameras})


def robot_of(policy: ChunkPolicy, file: Path) -> RobotDescription:
    """The robot of Push-T that has what a policy observes. Raises ValueError where neither has it, or the policy sees
    pictures of another size."""
    robot = CAMERA_ROBOT if policy.spec.cameras else ROBOT
    RobotColumns(policy.spec, robot)
    if any(size != (PICTURE, PICTURE) for size in policy.spec.cameras.values()):
        raise ValueError(f"{file} sees pictures of {policy.spec.cameras}: Push-T's have {PICTURE} by {PICTURE} pixels")
    return robot


def require_state(policy: ChunkPolicy, file: Path) -> None:
    """Raise ValueError for a policy that is not for Push-T, or observes more than the state."""
    if robot_of(policy, file) is not ROBOT:
        raise ValueError(f"{file} observes {', '.join(policy.spec.cameras)}: only the state is shown here")


def policies_of(run: Path) -> list[Path]:
    """The last policies of a run. Ends the benchmark where there are none."""
    return policy_files(run) or sys.exit(f"{run} holds no run of isthmus-train-chunks: it has no policies")


def made_up(folder: Path, method: str = "flow") -> Path:
    """A run that has learned a little of nothing."""
    random = np.random.default_rng(0)
    features = {name: Feature(dtype="float32", shape=(size,)) for name, size in ((STATE_COLUMN, 5), ("action", 2))}
    with DatasetWriter.create(folder / "data", fps=10, features=features, robot_type=ROBOT.name) as writer:
        for _ in range(4):
            rows = {name: random.uniform(0.0, 500.0, (20, *feature.shape)) for name, feature in features.items()}
            columns = {name: row.astype(np.float32) for name, row in rows.items()}
            writer.append(Episode(columns=columns, task="push the T"))
    learning = Learning(steps=20, batch_size=16)
    trainer = ChunkTrainer(default_config((folder / "data",), method, validation=0.25, learning=learning))
    for _ in range(learning.steps):
        trainer.step()
    trainer.save(folder / "run")
    return folder / "run"


# --- samplers ---


def with_settings(run: ChunkRun, settings: Mapping[str, Any]) -> ChunkPolicy:
    """The run's policy, whose chunks are drawn with other settings. Raises ValueError where they cannot be."""
    config = replace(run.config, method=replace(run.config.method, **settings))
    policy = make_policy(config, run.policy.spec, run.policy.normalizer)
    policy.load_state_dict(run.policy.state_dict())
    return policy.eval()


@torch.no_grad()
def evaluations(policy: ChunkPolicy, near: bool = False) -> int:
    """How often a chunk evaluates the policy's network, counted; near to another chunk, or afresh. A method without a
    denoiser is evaluated once."""
    denoiser = getattr(policy, "denoiser", None)
    if denoiser is None:
        return 1
    calls: list[int] = []
    hook = denoiser.register_forward_hook(lambda *_: calls.append(1))
    seen = {name: torch.zeros(1, policy.spec.observed, size) for name, size in policy.spec.columns.items()}
    for name, size in policy.spec.cameras.items():
        seen[name] = torch.zeros(1, policy.spec.observed, 3, *size, dtype=torch.uint8)
    begin = torch.zeros(1, policy.spec.horizon, policy.spec.action_size) if near else None
    policy.sample(seen, init=begin)
    hook.remove()
    return len(calls)


# --- scores ---


def score_rows(name: str, coverage: Vector, where: str = "") -> list[Row]:
    """Coverage and success of one or several policies, (policies, episodes), with 95 % intervals of all episodes."""
    n, there = coverage.size, f" {where}" if where else ""
    low, mean, high = mean_interval(torch.from_numpy(coverage.ravel()))
    least, share, most = (100 * end for end in wilson(int((coverage > SUCCESS).sum()), n))
    return [
        Row(metric=f"{name}: coverage{there}", value=mean, unit="", spread=(low, high), seeds=n),
        Row(metric=f"{name}: success{there}", value=share, unit="%", spread=(least, most), seeds=n),
    ]


def coverage_lost(full: Vector, fewer: Vector) -> Interval:
    """By how many points of a hundred the coverage `fewer` (policies, starts) is below `full`, start by start: 95 %
    interval over the starts, of the mean over policies."""
    low, value, high = mean_interval(torch.from_numpy(full.mean(0) - fewer.mean(0)))
    return 100 * low, 100 * value, 100 * high


def success_lost(full: Vector, fewer: Vector) -> Interval:
    """The same of successes, told by coverage.

    Where no start comes out differently, that does not mean that none ever will: half a start is added for each of the
    four ways in which a pair can come out (Agresti & Min 2005, "Simple improved confidence intervals for comparing
    matched proportions").
    """
    difference = (full > SUCCESS).mean(0) - (fewer > SUCCESS).mean(0)
    n, total, value = len(difference) + 2, float(difference.sum()), float(difference.mean())
    variance = (float((difference**2).sum()) + 1 - total**2 / n) / n**2
    middle, half = total / n, Z95 * variance**0.5
    return 100 * min(middle - half, value), 100 * value, 100 * max(middle + half, value)


def lost_rows(name: str, full: Vector, fewer: Vector, must: str | None = None) -> list[Row]:
    """What is lost of coverage and of success, both told by greatest coverage (policies, starts). A bound holds for the
    mean; that it also holds at the far end of the interval is the aim."""
    rows, starts = [], full.shape[1]
    for kind, interval, whole in (
        ("coverage", coverage_lost(full, fewer), full), ("success", success_lost(full, fewer), full > SUCCESS)
    ):  # fmt: skip
        low, value, high = interval
        told = {"value": value, "unit": "points", "seeds": starts, "peer": f"of {100 * whole.mean():.1f}"}
        rows.append(Row(metric=f"{name}: {kind} lost", must=must, **told))
        rows.append(Row(metric=f"{name}: {kind} lost, 95 % interval", spread=(low, high), aim=must, **told))
    return rows


# --- one decision ---


@contextmanager
def one_core() -> Iterator[str]:
    """Meanwhile, this thread stays on one core, has a robot's real-time scheduling where the machine permits it, and
    collects no garbage of the start-up. Gives words for how it is scheduled."""
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    torch.set_num_threads(1)
    freeze_garbage()
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield _real_time()
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cores)
        torch.set_num_threads(threads)
        gc.unfreeze()


def _real_time() -> str:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return "ordinary scheduling: this machine does not permit real-time"
    return "real-time scheduling"


class Decision:
    """One decision of a policy, by the graph that would run on the robot and by the trained network.

    Loading replays a chunk of each kind: a graph that does something else than the network is refused.

    Args:
        task: Whose robot.
        policy: What decides.
        executor: How its chunks are run; one that begins near to the chunk before is asked to.

    Raises:
        PolicyFileError: graph and network differ.
        ValueError: the policy is for another robot.
    """

    def __init__(self, task: Task, policy: ChunkPolicy, executor: ExecutorConfig) -> None:
        contract = make_chunk_contract(task, policy, executor, NOWHERE)
        columns, generator = RobotColumns(policy.spec, task.robot), torch.Generator().manual_seed(SEED)
        seen = {spec.name: _readings(spec, policy.spec.observed, generator) for spec in columns.signals}
        self._policy, self._observed = policy, columns.observations(seen)
        self._noise, self._init = policy.noise(1, generator), None
        recording = ChunkRecording()
        for near in (False, True) if executor.begins_near else (False,):
            self._init = recording.inferred[0].chunks if near else None
            chunks = self.network()
            recording.inferred.append(Inferred(seen=seen, noise=self._noise, init=self._init, chunks=chunks))
        margins = Margins(task)
        vectors = make_chunk_vectors(task.robot, contract, recording, margins.of)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "policy.onnx"
            path.write_bytes(seal(compile_chunks(policy, task.robot, contract), contract, vectors, margins.model))
            self._runtime = Runtime(path, seed=SEED)
        self._signals, self._begin = vectors[-1].signals, vectors[-1].begin or None

    def graph(self) -> None:
        """Decide as on the robot."""
        self._runtime.step(self._signals, begin=self._begin)

    @torch.no_grad()
    def network(self) -> Tensor:
        """Decide in torch: a chunk (1, horizon, action_size)."""
        return self._policy.sample(self._observed, noise=self._noise, init=self._init)

    def bare(self) -> BareProducts:
        """The matrix products of this decision."""
        return BareProducts(self.network, self._policy)


def _readings(spec: SignalSpec, observed: int, generator: torch.Generator) -> Tensor:
    """(1, observed, *shape): any that the robot may have."""
    shape = (1, observed, *spec.shape)
    if spec.dtype == "uint8":
        return torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    low, high = torch.tensor(spec.minimum), torch.tensor(spec.maximum)
    return low + (high - low) * torch.rand(shape, generator=generator)


class BareProducts:
    """The matrix products of one decision and nothing between them: a yardstick and no floor. ONNX Runtime can multiply
    faster, and need not do at every decision what depends on no input.

    A convolution is the product of its kernels with as many columns as it has places. Weights are as many as the
    network has, each in its place, so that they come from memory as the network's do. NumPy multiplies: a matrix and a
    vector it does faster than torch.
    """

    def __init__(self, decide: Callable[[], object], policy: nn.Module) -> None:
        self._pairs: list[tuple[Matrix, Matrix]] = []
        weights: dict[nn.Module, Matrix] = {}
        random = np.random.default_rng(SEED)
        kinds = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)

        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            weight = module.weight
            assert isinstance(weight, Tensor)
            if module not in weights:
                weights[module] = random.standard_normal((weight.shape[0], weight[0].numel()), np.float32)
            places = inputs[0] if isinstance(module, nn.ConvTranspose1d) else output
            columns = places.numel() // places.shape[-1 if isinstance(module, nn.Linear) else 1]
            inner = weights[module].shape[1]
            given = random.standard_normal(inner if columns == 1 else (inner, columns), np.float32)
            self._pairs.append((weights[module], given))

        hooks = [module.register_forward_hook(note) for module in policy.modules() if isinstance(module, kinds)]
        decide()
        for hook in hooks:
            hook.remove()

    @property
    def millions(self) -> float:
        """Multiplications, in millions."""
        return sum(len(matrix) * columns.size for matrix, columns in self._pairs) / 1e6

    def __call__(self) -> None:
        for matrix, columns in self._pairs:
            np.matmul(matrix, columns)


def in_turns(calls: Mapping[Name, tuple[Callable[[], object], int]]) -> dict[Name, Vector]:
    """Times in ms of so many calls of each, a block of one after a block of the other, so that what else the machine
    does meanwhile meets all alike; a few before them do not count."""
    found: dict[Name, list[float]] = {name: [] for name in calls}
    longest = max(count for _, count in calls.values())
    with torch.no_grad():
        for turn in range(-1, -(-longest // BLOCK)):
            for name, (call, count) in calls.items():
                wanted = min(BLOCK, count - len(found[name])) if turn >= 0 else min(5, count)
                times = [_timed(call) for _ in range(wanted)]
                found[name] += times if turn >= 0 else []
    return {name: np.array(times) for name, times in found.items()}


def _timed(call: Callable[[], object]) -> float:
    """ms. Then a pause: Linux halts real-time threads that leave less than a twentieth of the time to others."""
    begun = time.perf_counter_ns()
    call()
    taken = time.perf_counter_ns() - begun
    time.sleep(0.2e-9 * taken)
    return taken / 1e6


def p50_p99(times: Vector) -> tuple[float, float]:
    """Median and 99th percentile."""
    return float(np.percentile(times, 50)), float(np.percentile(times, 99))
