"""A policy with a loss of its own, and an algorithm, of a package that no file here knows: they are registered, trained
by the command, resumed and judged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from isthmus_policies.training.logs import read_metrics

ENTRY_POINTS = """
[isthmus.policies]
calm = outside_learning:CALM

[isthmus.algorithms]
search = outside_learning:SEARCH

[isthmus.engines]
forgetful = outside_learning:FORGETFUL
"""

PACKAGE = '''
"""A policy that is rewarded for small actions, an algorithm that tries others at random, and an engine whose state
cannot be had."""

from dataclasses import dataclass

import torch

from isthmus_policies.algorithms.algorithm import AlgorithmEntry
from isthmus_policies.algorithms.episodes import EpisodeStatistics
from isthmus_policies.networks.actor_critic import ActorCritic, ActorCriticConfig
from isthmus_policies.networks.policy import PolicyEntry
from isthmus_sim.engines import EngineEntry
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor


@dataclass(frozen=True, kw_only=True)
class CalmConfig(ActorCriticConfig):
    calm: float = 0.1


class Calm(ActorCritic):
    def __init__(self, groups, action_size, config):
        super().__init__(groups, action_size, config)
        self.auxiliary["calm"] = lambda seen, features: config.calm * self.actor(features).square().mean()


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    steps: int = 4
    size: float = 0.1


class Search:
    """Keeps a random change of the weights when it earned more."""

    columns = ("search/best",)

    def __init__(self, env, policy, config, generator):
        self.env, self.policy, self.config, self.generator = env, policy, config, generator
        self.best, self.kept = float("-inf"), [p.detach().clone() for p in policy.parameters()]
        self.seen = env.reset()

    def collect(self):
        statistics, self.earned = EpisodeStatistics(names=self.env.reward_terms), 0.0
        for _ in range(self.config.steps):
            step = self.env.step(self.policy.act(self.seen, {}, {})[0].detach())
            self.seen, self.earned = step.observations, self.earned + float(step.reward.sum())
            statistics.add(step)
        return statistics

    def update(self, progress):
        if self.earned > self.best:
            self.best, self.kept = self.earned, [p.detach().clone() for p in self.policy.parameters()]
        for parameter, kept in zip(self.policy.parameters(), self.kept):
            parameter.data = kept + self.config.size * torch.randn(kept.shape, generator=self.generator)
        return {"search/best": self.best}

    def state_dict(self):
        kept = {f"kept.{i}": value for i, value in enumerate(self.kept)}
        seen = {f"seen.{name}": value for name, value in self.seen.items()}
        return {"generator": self.generator.get_state(), "best": torch.tensor(self.best), **kept, **seen}

    def load_state_dict(self, state):
        self.generator.set_state(state["generator"])
        self.best = float(state["best"])
        self.kept = [state[f"kept.{i}"] for i in range(len(self.kept))]
        self.seen = {name: state[f"seen.{name}"] for name in self.seen}


class Forgetful(AnalyticQuadrotor):
    def __init__(self, scene, num_envs):
        super().__init__(scene, num_envs)
        self.capabilities -= {"snapshots"}

    def snapshot(self):
        raise AssertionError("it has none")

    state_dict = snapshot


FORGETFUL = EngineEntry(make=Forgetful)
CALM = PolicyEntry(config=CalmConfig(), make=lambda config, groups, size: Calm(groups, size, config))
SEARCH = AlgorithmEntry(config=SearchConfig(), make=Search, world_bytes=lambda policy, groups, size, config: 1000)
'''


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "outside_learning.py").write_text(PACKAGE)
    info = folder / "outside_learning-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-learning\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def run(outside: Path, module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A program of ours where that package is installed."""
    path = os.pathsep.join([str(outside), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "column"),
    [
        ("--policy calm --policy.calm 0.5 --policy.actor 8 --policy.critic 8", "learner/calm"),
        ("--algorithm search --algorithm.size 0.05 --policy.actor 8 --policy.critic 8", "search/best"),
        ("--engine forgetful --policy.actor 8 --policy.critic 8", "learner/kl"),
    ],
)
def test_what_another_package_brings_is_trained_resumed_and_judged(
    outside: Path, tmp_path: Path, options: str, column: str
):
    train, folder = "isthmus_policies.training.train", tmp_path / "run"
    begun = run(outside, train, "quadrotor", *options.split(), "--num-envs", 16, "--iterations", 3, "--run", folder)
    assert begun.returncode == 0, begun.stderr
    longer = run(outside, train, "quadrotor", "--run", folder, "--resume", "--iterations", 5)
    assert longer.returncode == 0, longer.stderr
    assert ("cannot save its worlds" in longer.stdout) == ("forgetful" in options)
    assert [column in row for row in read_metrics(folder)] == [True] * 5
    judged = run(outside, "isthmus_policies.evaluation.play", folder, "--episodes", 2, "--no-video")
    assert judged.returncode == 0, judged.stderr
    assert (folder / "evaluation.json").is_file()


def test_without_the_package_its_run_says_what_is_missing(outside: Path, tmp_path: Path):
    folder = tmp_path / "run"
    line = "--policy calm --num-envs 16 --iterations 1 --policy.actor 8 --policy.critic 8 --run"
    begun = run(outside, "isthmus_policies.training.train", "quadrotor", *line.split(), folder)
    assert begun.returncode == 0, begun.stderr
    missed = run(tmp_path, "isthmus_policies.evaluation.play", folder)
    assert missed.returncode == 1
    assert "unknown policy 'calm'; there are: " in missed.stderr
    assert "Traceback" not in missed.stderr
