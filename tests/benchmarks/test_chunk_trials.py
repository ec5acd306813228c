"""What a policy loses against another, and how long it takes, is worked out as it is said to be."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pusher_chunks import untrained_chunks, write_untrained_run
from torch import nn

from isthmus_deploy.policy.policy_file import PolicyFileError
from isthmus_policies.chunks.runner import network_runner, usual_executor
from isthmus_policies.chunks.training.roll_outs import usual_execution
from isthmus_policies.chunks.training.run import load_chunk_run
from isthmus_policies.evaluation.evaluate import evaluate
from isthmus_sim.tasks import make_task


@pytest.fixture
def trials(benchmarks: Path) -> Any:
    """benchmarks/chunk_trials.py."""
    return importlib.import_module("chunk_trials")


def test_coverage_lost_is_the_mean_over_starts_of_what_each_policy_loses(trials: Any):
    # Of two policies: 0.1, 0.0 and 0.2 lost on the starts; standard deviation 0.1, 1.959964 * 0.1 / sqrt(3) = 0.11316.
    full = np.array([[0.5, 0.7, 0.9], [0.5, 0.7, 0.9]])
    fewer = np.array([[0.3, 0.7, 0.7], [0.5, 0.7, 0.7]])
    assert trials.coverage_lost(full, fewer) == pytest.approx((-1.316, 10.0, 21.316), abs=1e-3)


def test_success_lost_counts_half_a_start_for_each_way_in_which_a_pair_can_come_out(trials: Any):
    # 3 of 10 starts lost, 1 gained; with the added ones 12, difference 2/12 = 0.16667,
    # variance (3.5 + 1.5 - 2**2 / 12) / 12**2 = 0.032407, 1.959964 * 0.18002 = 0.35284.
    full = np.array([[0.96, 0.97, 0.98, 0.95] + [0.96] * 3 + [0.1] * 3])
    fewer = np.array([[0.95, 0.90, 0.10, 0.96] + [0.99] * 3 + [0.5] * 3])
    assert trials.success_lost(full, fewer) == pytest.approx((-18.617, 20.0, 51.950), abs=1e-3)
    # No start differs: 1.959964 * sqrt(1 / 12**2) = 0.16333, not nothing.
    assert trials.success_lost(full, full) == pytest.approx((-16.333, 0.0, 16.333), abs=1e-3)


def test_bounds_hold_for_the_mean_and_the_interval_is_aimed_at(trials: Any):
    full, fewer = np.full((1, 8), 0.90), np.full((1, 8), 0.88)
    fewer[0, :4] = 0.86
    told = {row.metric: row for row in trials.lost_rows("few", full, fewer, "<= 3")}
    meets = importlib.import_module("common").meets
    assert told["few: coverage lost"].value == pytest.approx(3.0)
    assert meets(replace(told["few: coverage lost"], value=2.99), "<= 3")
    assert not meets(told["few: coverage lost, 95 % interval"], "<= 3")
    assert told["few: coverage lost, 95 % interval"].must is None
    assert (told["few: success lost"].must, told["few: success lost"].peer) == ("<= 3", "of 0.0")


def test_scores_count_all_episodes_and_success_is_more_than_the_bound(trials: Any):
    coverage, success = trials.score_rows("it", np.array([[0.5, 0.95], [0.96, 0.99]]))
    assert (coverage.value, success.value) == (pytest.approx(0.85), 50.0)
    assert success.spread == (pytest.approx(15.0, abs=0.1), pytest.approx(85.0, abs=0.1))


def test_coverage_of_episodes_is_that_of_the_evaluation(trials: Any):
    policy, task = untrained_chunks("cloning"), trials.gym_starts(3, steps=12)
    execution = usual_execution(policy, 0)
    found = trials.coverage_here(policy, task, 3, execution)
    peak = evaluate(task, lambda env: network_runner(policy, env, execution), 3, 0).peak["coverage"]
    assert peak is not None
    assert float(found.mean()) == pytest.approx(peak[1], abs=1e-6)


class Told:
    """A runner whose steps are given."""

    def __init__(self, steps: list[tuple[list[float], list[bool]]]) -> None:
        self._steps = iter(steps)

    def step(self, env: Any) -> Any:
        coverage, ended = (torch.tensor(each) for each in next(self._steps))
        return SimpleNamespace(metrics={"coverage": coverage}, terminated=ended, truncated=torch.zeros_like(ended))


def test_what_comes_after_the_first_episode_does_not_count(trials: Any):
    env: Any = SimpleNamespace(num_envs=2, device="cpu")
    steps = [([0.1, 0.2], [False, False]), ([0.3, 0.1], [True, False]), ([0.9, 0.4], [False, False])]
    kept = trials._Kept(Told(steps), env)
    for _ in steps:
        kept.step(env)
    torch.testing.assert_close(kept.greatest, torch.tensor((0.3, 0.4)))


def test_settings_change_evaluations_and_not_weights(trials: Any, tmp_path: Path):
    run = load_chunk_run(write_untrained_run(tmp_path, "flow"))
    policy = trials.with_settings(run, {"steps": 8})
    assert (trials.evaluations(run.policy), trials.evaluations(policy)) == (2, 8)
    assert trials.evaluations(policy, near=True) == 2
    assert all(torch.equal(a, b) for a, b in zip(run.policy.parameters(), policy.parameters(), strict=True))
    assert trials.evaluations(untrained_chunks("mip")) == 2
    assert trials.evaluations(untrained_chunks("act")) == 1


def test_products_are_counted_as_by_hand(trials: Any):
    # On (1, 2, 5): 3 kernels of 2 * 3 at 5 places are 90, then 3 rows of 5 to 4 are 60.
    network = nn.Sequential(nn.Conv1d(2, 3, 3, padding=1), nn.Linear(5, 4))
    bare = trials.BareProducts(lambda: network(torch.zeros(1, 2, 5)), network)
    assert bare.millions == pytest.approx(150e-6)
    bare()
    # Stride 2: 2 * 3 * 4 at the 5 places that it reads, though it writes 10.
    grow = nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1)
    assert trials.BareProducts(lambda: grow(torch.zeros(1, 2, 5)), grow).millions == pytest.approx(120e-6)


def test_all_take_turns_and_have_as_many_calls_as_were_asked_for(trials: Any):
    order: list[str] = []
    calls = {"a": (lambda: order.append("a"), trials.BLOCK + 10), "b": (lambda: order.append("b"), 3)}
    times = trials.in_turns(calls)
    assert {name: len(each) for name, each in times.items()} == {"a": trials.BLOCK + 10, "b": 3}
    assert "".join(order) == "a" * 5 + "b" * 3 + "a" * trials.BLOCK + "b" * 3 + "a" * 10


def test_a_decision_is_that_of_the_network_or_it_is_refused(trials: Any, monkeypatch: pytest.MonkeyPatch):
    policy, task = untrained_chunks("few_step"), make_task("push_t")
    executor = usual_executor(policy.spec.horizon, strategy="warm_start")
    compiled, compile_chunks = [], trials.compile_chunks
    monkeypatch.setattr(trials, "compile_chunks", lambda *given: compiled.append(compile_chunks(*given)) or compiled[0])
    warm = trials.Decision(task, policy, executor)
    warm.graph()
    assert warm.network().shape == (1, policy.spec.horizon, 2)
    monkeypatch.setattr(trials, "compile_chunks", lambda *_: compiled[0])
    with torch.no_grad():
        next(policy.parameters()).add_(0.5)
    with pytest.raises(PolicyFileError, match="does not reproduce"):
        trials.Decision(task, policy, executor)
