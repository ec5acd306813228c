"""The learner improves a policy by what an actor wrote, goes on where it was killed, and never shows a bad policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus_policies.actor_learner.board import PolicyBoard
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.learner import RobotSAC, acting
from isthmus_policies.algorithms.algorithm import LearningError
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer

Made = Callable[..., TrainConfig[Any, Any, Any]]


@contextmanager
def learning(config: TrainConfig[Any, Any, Any], resume: Path | None = None) -> Iterator[Trainer]:
    trainer = Trainer.resume(resume, config) if resume else Trainer(config)
    with closing(trainer), closing(algorithm_of(trainer)):
        yield trainer


def algorithm_of(trainer: Trainer) -> RobotSAC:
    assert isinstance(trainer.algorithm, RobotSAC)
    return trainer.algorithm


class Robot:
    """An actor's part: its action should be as the first number that it sees."""

    def __init__(self, config: TrainConfig[Any, Any, Any], trainer: Trainer) -> None:
        task = trainer.task
        self._size = task.groups["actor"].size
        self.experience = Experience(
            config.algorithm.exchange, task, {"actor": task.groups["actor"]}, config.algorithm.replay_steps,
            make=False, write=True,
        )  # fmt: skip
        self._random = np.random.default_rng(0)

    def act(self, steps: int, **others: object) -> None:
        for _ in range(steps):
            seen = self._random.standard_normal((2, self._size)).astype(np.float32)
            action = self._random.uniform(-1, 1, 2).astype(np.float32)
            reward = -abs(float(action[0]) - np.sign(seen[0, 0]))
            self.experience.write(
                {"before": {"actor": seen[0]}, "after": {"actor": seen[1]}, "action": action, "reward": reward,
                 "terminated": True, "first": True, **others}
            )  # fmt: skip


def error(trainer: Trainer) -> float:
    seen = torch.randn(200, trainer.task.groups["actor"].size, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        action, _ = trainer.policy.act({"actor": seen}, {}, {})
    return float((action[:, 0] - seen[:, 0].sign()).abs().mean())


def test_it_learns_from_what_another_process_did(config: Made):
    made = config(update_ratio=4.0, batch_size=64, learning_rate=1e-2, initial_temperature=0.05, gamma=0.5)
    with learning(made) as trainer:
        robot = Robot(made, trainer)
        before = error(trainer)
        for _ in range(30):
            robot.act(10)
            row = trainer.iterate()
        assert row["robot/transitions"] == trainer.steps == 300
        assert row["robot/steps_per_transition"] == 4.0
        assert row["episode/length"] == 1.0
        assert before > 0.8
        assert error(trainer) < 0.5
        board = PolicyBoard(made.algorithm.exchange, acting(algorithm_of(trainer).policy), write=False)
        shown = board.read()
        assert shown is not None
        assert all(torch.equal(shown[n], v) for n, v in acting(algorithm_of(trainer).policy).items())
        robot.experience.close()


def test_without_an_actor_nothing_is_learned_and_nothing_hangs(config: Made):
    with learning(config()) as trainer:
        row = trainer.iterate()
        assert row["steps"] == 0
        assert row["robot/transitions"] == 0
        assert algorithm_of(trainer).learner.steps == 0


def test_interventions_are_in_both_replays_and_blame_is_the_reward(config: Made):
    with learning(config(reward="takeovers")) as trainer:
        robot = Robot(config(), trainer)
        robot.act(3)
        robot.act(1, terminated=False, taken=True)
        robot.act(2, terminated=False, first=False, intervened=True)
        robot.act(1, terminated=True, succeeded=True, first=False)
        row = trainer.iterate()
        algorithm = algorithm_of(trainer)
        assert row["robot/intervened"] == pytest.approx(2 / 7)
        assert row["robot/taken"] == pytest.approx(1 / 5)
        reward = algorithm.received.replay._kept["reward"][:7, 0].tolist()
        assert reward == [-1, -1, -1, -1, 0, 0, 0], "failures and takeovers, and nothing else"
        assert algorithm.taught.interventions is not None
        assert algorithm.taught.interventions.taken == 2
        robot.experience.close()


def test_a_learner_that_was_killed_loses_nothing_that_was_done(config: Made, tmp_path: Path):
    """Its checkpoint is of after 20 transitions; 15 more came until it was killed, and 5 after that."""
    made, folder = config(), tmp_path / "run"
    with learning(made) as trainer:
        robot = Robot(made, trainer)
        for _ in range(2):
            robot.act(10)
            trainer.iterate()
        folder.mkdir()
        trainer.save(folder)
        weights = {name: value.clone() for name, value in acting(algorithm_of(trainer).policy).items()}
        steps = algorithm_of(trainer).learner.steps
        robot.act(15)
        trainer.iterate()
    robot.act(5)
    with learning(made, folder) as trainer:
        algorithm = algorithm_of(trainer)
        assert algorithm.learner.steps == steps
        assert len(algorithm.received.replay) == 20
        assert all(torch.equal(value, weights[name]) for name, value in acting(algorithm.policy).items())
        trainer.iterate()
        assert len(algorithm.received.replay) == 40
        written = robot.experience.read(0, 40)["action"]
        np.testing.assert_array_equal(algorithm.received.replay._kept["action"][:40, 0].numpy(), written)
    robot.experience.close()


def test_one_that_was_killed_before_its_first_checkpoint_begins_with_all_that_was_done(config: Made):
    made = config()
    with learning(made) as trainer:
        robot = Robot(made, trainer)
        robot.act(12)
    with learning(made) as trainer:
        trainer.iterate()
        assert len(algorithm_of(trainer).received.replay) == 12
    robot.experience.close()


def test_a_learner_that_diverges_stops_and_the_actor_keeps_the_last_good_policy(config: Made):
    made = config()
    with learning(made) as trainer:
        robot = Robot(made, trainer)
        robot.act(10)
        trainer.iterate()
        board = PolicyBoard(made.algorithm.exchange, acting(algorithm_of(trainer).policy), write=False)
        good, version = board.read(), board.version
        robot.act(10, reward=float("nan"))
        with pytest.raises(LearningError, match=r"learning has diverged after .* the actor keeps the last good policy"):
            trainer.iterate()
        shown = board.read()
        assert good is not None
        assert shown is not None
        assert board.version == version
        assert all(torch.equal(shown[name], value) and bool(value.isfinite().all()) for name, value in good.items())
        robot.experience.close()


def test_a_robot_that_is_too_fast_gets_fewer_gradient_steps(config: Made):
    with learning(config(update_ratio=2.0)) as trainer:
        robot = Robot(config(), trainer)
        robot.act(100)
        row = trainer.iterate()
        assert row["robot/steps_per_transition"] == pytest.approx(2.0 * 4 * 5 / 100)
        robot.experience.close()


def test_a_learner_that_is_too_late_says_so(config: Made):
    with learning(config()) as trainer:
        robot = Robot(config(), trainer)
        robot.act(501)
        with pytest.raises(LearningError, match=r"more than the learner could take in: .* row 0 was overwritten"):
            trainer.iterate()
        robot.experience.close()


def test_what_cannot_be_learned_so_is_refused(config: Made):
    usual = config()
    with pytest.raises(ValueError, match=r"name it with --algorithm\.exchange FOLDER"):
        Trainer(replace(usual, algorithm=replace(usual.algorithm, exchange=None)))
    told = replace(usual, policy=replace(usual.policy, critic_groups=("critic",)))
    with pytest.raises(ValueError, match="'critic', which only simulation has; a robot has: actor"):
        Trainer(told)
    with learning(usual), pytest.raises(ValueError, match="has a learner already"):
        Trainer(usual)
    with pytest.raises(ValueError, match="patience_s must be above 0"):
        config(patience_s=0.0)
