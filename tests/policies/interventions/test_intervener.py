"""When somebody takes over, for how long, and what is said of one who never lets go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus_policies.algorithms.algorithm import LearningError
from isthmus_policies.interventions.config import InterventionsConfig
from isthmus_policies.interventions.intervener import Intervener, make_intervener
from isthmus_policies.interventions.rules import Anything, ValueGap
from isthmus_policies.interventions.watched import COLUMNS, WATCHED, Watched
from isthmus_policies.networks.policy import Policy, Tensors
from isthmus_policies.networks.squashed import SquashedActorCritic, SquashedConfig
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer
from isthmus_policies.training.worlds import make_task
from isthmus_sim.task import Group
from isthmus_sim.tasks import make_task as registered

GROUPS = {"actor": Group(shape=(3,)), "critic": Group(shape=(4,))}


class Teacher(Policy):
    """Always does the same."""

    def act(self, observations: Tensors, memory: Tensors, noise: Tensors) -> tuple[Tensor, Tensors]:
        return torch.full((len(observations["actor"]), 2), 0.5), {}


class Minds:
    """Minds the actions of some worlds."""

    groups = ("critic",)

    def __init__(self, *worlds: int) -> None:
        self.worlds = list(worlds)

    def objects(self, observations: Tensors, action: Tensor) -> Tensor:
        minded = torch.zeros(len(action), dtype=torch.bool)
        minded[self.worlds] = True
        return minded


def watching(rule: object, worlds: int = 3, **config: object) -> Intervener:
    settings = InterventionsConfig(**{"probability": 1.0, "duration": 2} | config)  # pyright: ignore
    return Intervener(Teacher(), rule, settings, worlds, torch.Generator().manual_seed(0))  # pyright: ignore


def step(intervener: Intervener, ended: tuple[int, ...] = (), transitions: int = 0) -> tuple[list[float], list[int]]:
    """What is done of zeros that the learner proposes, and in which worlds it takes over upon that."""
    n = len(intervener.left)
    seen = {"actor": torch.zeros(n, 3), "critic": torch.zeros(n, 4)}
    action = intervener.act(seen, torch.zeros(n, 2))
    done = torch.zeros(n, dtype=torch.bool)
    done[list(ended)] = True
    taken = intervener.watch(seen, action, done, transitions)
    return action[:, 0].tolist(), taken.nonzero().flatten().tolist()


def test_it_drives_after_what_it_minds_and_lets_go():
    intervener = watching(Minds(1))
    assert step(intervener) == ([0.0, 0.0, 0.0], [1])
    assert step(intervener) == ([0.0, 0.5, 0.0], []), "it does not take over from itself"
    assert intervener.let_go.tolist() == [False] * 3
    assert step(intervener) == ([0.0, 0.5, 0.0], [])
    assert intervener.let_go.tolist() == [False, True, False]
    assert intervener.driven.tolist() == [0, 2, 0]
    assert step(intervener) == ([0.0, 0.0, 0.0], [1])
    assert intervener.driven.tolist() == [0, 0, 0]


def test_it_lets_go_where_an_episode_ends():
    intervener = watching(Minds(0, 1), duration=5)
    assert step(intervener, ended=(0,)) == ([0.0, 0.0, 0.0], [1]), "it is over anyway"
    step(intervener)
    step(intervener, ended=(1,))
    assert intervener.let_go.tolist() == [False, True, False]
    assert int(intervener.driven[1]) == 2
    assert not bool(intervener.driving[1])


def test_at_random_it_takes_over_as_often_as_said():
    intervener = watching(Anything(), worlds=4000, probability=0.3)
    assert len(step(intervener)[1]) == pytest.approx(1200, abs=120)


@pytest.mark.parametrize(("transitions", "expected"), [(0, 4000), (500, 2000), (1000, 0), (2000, 0)])
def test_it_fades(transitions: int, expected: int):
    intervener = watching(Anything(), worlds=4000, fades_after=1000)
    assert len(step(intervener, transitions=transitions)[1]) == pytest.approx(expected, abs=150)


def test_its_state_is_taken_back():
    one, other = watching(Minds(1)), watching(Minds(1))
    step(one)
    other.load_state_dict(one.state_dict())
    assert step(other) == step(one)
    one.begin()
    assert not bool(one.driving.any())


def test_an_action_is_minded_by_what_it_is_worth_less():
    torch.manual_seed(0)
    judge = SquashedActorCritic(GROUPS, 2, SquashedConfig(actor=(8,), critic=(8,)))
    seen = {name: torch.randn(50, *group.shape) for name, group in GROUPS.items()}
    action = 2 * torch.rand(50, 2) - 1
    with torch.no_grad():
        known, own = judge.critic_encoder(seen), judge.act(seen, {}, {})[0]
        best, done = (judge.critics(torch.cat((known, each), -1)).min(0).values for each in (own, action))
        gap = best - done
        margin = float(gap.median())
        assert torch.equal(ValueGap(judge, margin).objects(seen, action), gap > margin)
        assert not bool(ValueGap(judge, 1e-6).objects(seen, own).any())


# Never letting go
# ---------------------------------------------------------------------------------------------------------------------
def test_rates_are_told():
    watched = Watched()
    watched.add(torch.tensor([True, False, False, False]), torch.tensor([False, True, False, False]))
    assert watched.summary() == dict(zip(COLUMNS, (0.25, 1 / 3), strict=True))
    watched.add(torch.tensor([False] * 4), torch.tensor([False] * 4))
    assert watched.summary() == dict(zip(COLUMNS, (0.0, 0.0), strict=True))


def driven(watched: Watched, intervener: Intervener, steps: int) -> None:
    for _ in range(steps):
        driving = intervener.driving
        _, taken = step(intervener)
        upon = torch.zeros_like(driving)
        upon[taken] = True
        watched.add(driving, upon)
        watched.summary()


@pytest.mark.parametrize("duration", [2, 10**9])
def test_one_who_never_lets_go_is_reported(duration: int):
    intervener = watching(Anything(), worlds=100, duration=duration)
    with pytest.raises(LearningError, match=rf"never lets go: of the last {WATCHED} .* 100.0%;.* Raise "):
        driven(Watched(), intervener, WATCHED // 100 + 1)


def test_one_who_often_takes_over_is_not():
    driven(Watched(), watching(Anything(), worlds=100, probability=0.8), 2 * WATCHED // 100 + 1)


# A task's script
# ---------------------------------------------------------------------------------------------------------------------
def test_a_script_takes_over_where_the_task_sees_trouble():
    task = registered("peg")
    config = InterventionsConfig(teacher="script", when="trouble", probability=1.0, duration=2)
    made = make_intervener(config, task, 3, torch.Generator())
    assert made is not None
    assert made.groups == ("actor", "trouble")
    seen = {"actor": torch.zeros(3, *task.groups["actor"].shape), "trouble": torch.tensor([[0.9], [1.0], [3.0]])}
    nobody, proposed = torch.zeros(3, dtype=torch.bool), torch.full((3, 3), 0.123)
    assert made.watch(seen, proposed, nobody, 0).tolist() == [False, True, True]
    assert (made.act(seen, proposed) == proposed).all(dim=-1).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("task", "when", "told"),
    [
        ("peg", "value-gap", "a script has no values of actions to judge by: name a run"),
        ("reach_cube", "random", "'reach_cube' has no demonstration"),
        ("pick_place", "random", "'pick_place' has no policy; tasks that have: peg"),
    ],
)
def test_a_script_that_cannot_is_refused(task: str, when: Any, told: str):
    with pytest.raises(ValueError, match=told):
        make_intervener(InterventionsConfig(teacher="script", when=when), registered(task), 2, torch.Generator())


def test_a_task_that_tells_no_trouble_is_refused(small: Callable[..., TrainConfig], run_folder: Path):
    config = InterventionsConfig(teacher=run_folder, when="trouble")
    with pytest.raises(ValueError, match="unknown observation group 'trouble'; the task has: "):
        make_intervener(config, make_task(small()), 4, torch.Generator())


# From runs
# ---------------------------------------------------------------------------------------------------------------------
def test_a_run_takes_over_at_random(small: Callable[..., TrainConfig], run_folder: Path):
    config = InterventionsConfig(teacher=run_folder, when="random")
    made = make_intervener(config, make_task(small()), 4, torch.Generator())
    assert made is not None
    assert made.groups == ("actor",)
    assert make_intervener(InterventionsConfig(), make_task(small()), 4, torch.Generator()) is None


@pytest.mark.parametrize(
    ("config", "error", "told"),
    [
        ({}, ValueError, "is a ActorCritic, which has no values of actions to judge by: name a run of --algorithm sac"),
        ({"teacher": Path("nowhere")}, FileNotFoundError, "no checkpoint at nowhere"),
    ],
)
def test_a_run_that_cannot_is_refused(
    small: Callable[..., TrainConfig], run_folder: Path, config: dict, error: type[Exception], told: str
):
    asked = InterventionsConfig(**{"teacher": run_folder, **config})  # pyright: ignore
    with pytest.raises(error, match=told):
        make_intervener(asked, make_task(small()), 4, torch.Generator())


def test_a_run_of_another_task_is_refused(small: Callable[..., TrainConfig], run_folder: Path):
    other = make_task(replace(small(), task=replace(small().task, episode_steps=77)))
    with pytest.raises(ValueError, match=r"trained on another task than is learned here: config.episode_steps: \d+"):
        make_intervener(InterventionsConfig(teacher=run_folder, when="random"), other, 4, torch.Generator())


def test_a_policy_with_a_memory_is_refused(small: Callable[..., TrainConfig], tmp_path: Path):
    from isthmus_policies.networks.policy import POLICIES

    trainer = Trainer(small(policy_name="gru", policy=POLICIES["gru"].config))
    trainer.save(tmp_path)
    with pytest.raises(ValueError, match="its policy remembers or draws"):
        make_intervener(InterventionsConfig(teacher=tmp_path, when="random"), trainer.task, 4, torch.Generator())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"probability": 1.5}, r"probability must lie within \[0, 1\], got 1.5"),
        ({"duration": 0}, "duration and fades_after must be at least 1, got 0, None"),
        ({"judge": Path("x")}, "name the teacher's run too"),
    ],
)
def test_a_configuration_that_cannot_be_is_named(changes: dict, told: str):
    with pytest.raises(ValueError, match=told):
        InterventionsConfig(**changes)
