"""A monitor of a policy without chunks: other commands follow where the body is another one; it travels in the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import untrained
from torch import Tensor

from isthmus_deploy.drivers.step import StepDriver
from isthmus_deploy.policy.policy_file import seal
from isthmus_deploy.policy.runtime import Runtime
from isthmus_deploy.policy.scores import TOLERANCE
from isthmus_policies.export.conditions import Margins
from isthmus_policies.export.contract import make_contract
from isthmus_policies.export.graph import PolicyGraph, compile_graph
from isthmus_policies.export.monitor import compile_step_scores
from isthmus_policies.export.replay import make_test_vectors, record
from isthmus_policies.files import plain
from isthmus_policies.monitor.novelty import Novelty
from isthmus_policies.monitor.step_episodes import watched_steps
from isthmus_policies.monitor.steps import (
    Foresight,
    StepMonitorConfig,
    StepScorer,
    WatchedSteps,
    fit_step_monitor,
)
from isthmus_policies.networks.policy import Policy
from isthmus_policies.training.run import load_run
from isthmus_sim.robots.quadrotor.description import ROBOT
from isthmus_sim.tasks import TASKS
from isthmus_sim.tasks.hover import Hover, HoverConfig

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # torch's exporter's own
CONFIG = StepMonitorConfig(false_alarms=0.25, episodes=12, window=2, every=3, learning=20)


def swinging(rate: float, phase: float, steps: int = 60) -> WatchedSteps:
    """What is seen turns by `rate` (rad) a control period, and what is done follows it with noise."""
    angle = phase + rate * torch.arange(steps)
    noise = 0.01 * torch.randn(steps, 2, generator=torch.Generator().manual_seed(round(1e6 * phase)))
    seen, done = torch.stack((angle.cos(), angle.sin()), dim=-1), torch.stack((angle.sin(), angle.cos()), dim=-1)
    return WatchedSteps(embeddings=list(seen), commands=list(0.5 + 0.3 * done + noise), succeeded=True)


@pytest.fixture(scope="module")
def foresight() -> Foresight:
    known = [swinging(0.1, 0.3 * index) for index in range(20)]
    novelty = Novelty.fit(torch.cat([torch.stack(each.embeddings) for each in known]), seed=0, steps=20)
    return Foresight.fit(known, novelty, every=3, seed=0, steps=600)


def surprises(foresight: Foresight, episode: WatchedSteps) -> Tensor:
    seen, done = torch.stack(episode.embeddings[::3]), torch.stack(episode.commands[::3])
    return foresight.surprise(foresight(seen[:-1], done[:-1]), done[1:])


def test_what_follows_otherwise_than_usual_is_surprising(foresight: Foresight):
    usual = surprises(foresight, swinging(0.1, 1.234))
    assert usual.mean() < 0.2, "as a share of how much commands change"
    assert surprises(foresight, swinging(0.2, 1.234)).mean() > 5 * usual.mean(), "all that is seen is known"
    assert surprises(foresight, swinging(-0.1, 1.234)).mean() > 5 * usual.mean()


def test_the_surprise_by_hand():
    foresight = Foresight(features=1, commands=2, seed=0)
    foresight.spread.copy_(torch.tensor([0.1, 0.2]))
    found = foresight.surprise(torch.tensor([[0.5, 0.5]]), torch.tensor([[0.6, 0.1]]))
    assert float(found) == pytest.approx((1.0 + 4.0) / 2)


def test_what_no_foresight_can_be_made_of_is_refused():
    short = [swinging(0.1, 0.0, steps=3)]
    novelty = Novelty.fit(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), seed=0, steps=1)
    with pytest.raises(ValueError, match="lasts longer than 3 control periods"):
        Foresight.fit(short, novelty, every=3, seed=0, steps=1)
    with pytest.raises(ValueError, match="every 1 or more control periods, not 0"):
        StepMonitorConfig(every=0)


@pytest.fixture(scope="module")
def task() -> Hover:
    """Episodes so short that whoever flies lasts, from so near that a robot's goal is not held to what was trained."""
    return Hover(ROBOT, HoverConfig(episode_steps=20, start_position=0.05, start_velocity=0.1))


@pytest.fixture(scope="module")
def policy(run_folder: Path) -> Policy:
    return load_run(run_folder).policy


@pytest.fixture(scope="module")
def watched(task: Hover, policy: Policy) -> tuple[StepScorer, Any]:
    return fit_step_monitor(policy, ROBOT, CONFIG, watched_steps(task, policy, CONFIG.episodes, seed=3))


@pytest.fixture(scope="module")
def path(
    task: Hover, policy: Policy, watched: tuple[StepScorer, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A policy file with a monitor."""
    scorer, monitor = watched
    nowhere = untrained.provenance("quadrotor", task_config=plain(TASKS["quadrotor"].config))
    contract = replace(make_contract(task, policy, nowhere), monitor=monitor)
    graph, margins = PolicyGraph(task, policy), Margins(task)
    vectors = make_test_vectors(graph, contract, record(task, policy, 1), margins.of)
    scores, vectors = compile_step_scores(scorer, task, contract, vectors, seed=1)
    file = tmp_path_factory.mktemp("watched") / "policy.onnx"
    file.write_bytes(seal(compile_graph(graph), contract, vectors, margins.model, scores))
    return file


def test_the_robot_scores_what_it_does_as_the_export_did(
    path: Path, task: Hover, policy: Policy, watched: tuple[StepScorer, Any]
):
    """Two episodes one after the other, every third control period, the memory of the policy and of the graph with
    them."""
    scorer, recording = watched[0], record(task, policy, seed=7)
    ends = [t + 1 for t, ended in enumerate(recording.ended) if 0 in ended][:2]
    driver, begin = StepDriver(Runtime(path)), 0
    for end in ends:
        driver.begin()
        found = []
        for t in range(begin, end):
            driver.wanted({name: value[0] for name, value in recording.signals[t].items()}, 0)
            scores = driver.take_scores()
            assert (scores is not None) == ((t - begin) % 3 == 0)
            found += [] if scores is None else [scores]
            assert driver.take_scores() is None
        expected = scorer.of(episode_of(task, policy, scorer, recording, begin, end)).numpy()
        assert expected[0, 1] == 0.0, "nothing was foreseen"
        assert (expected[1:] > 0.0).all()
        error = np.abs(np.array(found) - expected) / (1.0 + np.abs(expected))
        assert error.max() <= TOLERANCE
        begin = end


def episode_of(
    task: Hover, policy: Policy, scorer: StepScorer, recording: Any, begin: int, end: int
) -> WatchedSteps:
    """World 0 of a recording."""
    episode = WatchedSteps()
    for t in range(begin, end):
        signals, memory, commands = (
            {name.removeprefix("memory_"): torch.from_numpy(value[:1]) for name, value in rows.items()}
            for rows in (recording.signals[t], recording.memory[t], recording.commands[t])
        )
        episode.embeddings.append(policy.embed(task.observe(signals, memory))[0].detach())
        episode.commands.append(scorer.shares(commands)[0])
    return episode


def test_the_contract_says_how_it_is_watched(path: Path):
    monitor = Runtime(path).contract.monitor
    assert monitor is not None
    assert [score.name for score in monitor.scores] == ["novelty", "surprise"]
    assert (monitor.every, monitor.carried, monitor.window, monitor.noise) == (3, 5, 2, None)
    assert (monitor.false_alarms, monitor.episodes) == (0.25, 6)
