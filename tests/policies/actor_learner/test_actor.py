"""The actor drives a robot by the learner's policy, lets others take over, and tells what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event
from isthmus_datasets.recording.robot import Observation
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_policies.actor_learner.actor import Actor
from isthmus_policies.actor_learner.command import make_actor
from isthmus_policies.actor_learner.driver import ActorDriver, LearningRun
from isthmus_policies.actor_learner.experience import Experience
from isthmus_policies.actor_learner.shared_file import ExchangeError
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.training.config import TrainConfig
from isthmus_policies.training.trainer import Trainer
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env

Made = Callable[..., TrainConfig[Any, Any, Any]]


@pytest.fixture
def learner(config: Made) -> Iterator[Trainer]:
    """One that has shown its policy."""
    trainer = Trainer(config())
    yield trainer
    trainer.algorithm.close()  # pyright: ignore[reportAttributeAccessIssue]
    trainer.close()


@pytest.fixture
def robot(learner: Trainer) -> Iterator[EnvRobot]:
    made = EnvRobot(learner.task)
    yield made
    made.close()


def drive(robot: EnvRobot, actor: Actor, steps: int, seed: int = 3) -> list[Decision]:
    """An episode, or so many steps of it; all decisions, of which the last one was not sent where it ends it."""
    robot.reset(seed)
    actor.reset(seed)
    decisions = []
    for _ in range(steps + 1):
        decisions.append(actor.decide(robot.observe()))
        if decisions[-1].event not in (Event.NONE, Event.START):
            break
        robot.act(decisions[-1].action)
    return decisions


def rows_of(actor: Actor) -> np.ndarray:
    return actor._experience.read(0, 1000)


def test_it_sees_what_training_in_simulation_shows_and_does_the_same(run: Callable[..., Path], robot: EnvRobot):
    """One world of the Env with the same seed and the actor's actions: the same observations and rewards."""
    actor = make_actor(LearningRun.of(run()), robot, patience_s=60)
    drive(robot, actor, 12)
    rows = rows_of(actor)
    task = LearningRun.of(run()).task
    env = Env(task, make_engine(task.scene, 1, task.engines[0]), seed=0)
    env.reset()
    env.generator.manual_seed(3)
    seen = env.reset()
    assert len(rows) == 12
    for row in rows:
        np.testing.assert_allclose(row["before"]["actor"], seen["actor"][0], atol=1e-6)
        step = env.step(torch.from_numpy(row["action"].copy())[None])
        seen = step.observations
        np.testing.assert_allclose(row["after"]["actor"], seen["actor"][0], atol=1e-6)
        assert row["reward"] == pytest.approx(float(step.reward[0]), abs=1e-6)
    assert rows["first"].tolist() == [True] + [False] * 11
    env.close()
    actor.close()


class Person:
    """Takes over at the third decision and lets go at the sixth; pushes towards one corner meanwhile."""

    name = "person"

    def reset(self, seed: int) -> None:
        self.decisions = 0

    @property
    def wants_control(self) -> bool | None:
        return {3: True, 6: False}.get(self.decisions)

    def align(self, observation: Observation, **_: object) -> None:
        pass

    def decide(self, observation: Observation) -> Decision:
        self.decisions += 1
        return Decision(action=np.array([300.0, 310.0], np.float32), control=Controller.HUMAN)

    def close(self) -> None:
        pass


def taken_over(run: LearningRun, robot: EnvRobot, steps: int) -> Actor:
    driver = ActorDriver(run, robot.signals, patience_s=60)
    experience = Experience(
        run.exchange, run.task, {"actor": run.task.groups["actor"]}, run.algorithm.replay_steps, make=False, write=True
    )
    return Actor(TakeOver(Person(), driver), driver, experience, steps=steps)


def test_what_a_person_did_is_told_as_such(run: Callable[..., Path], robot: EnvRobot):
    found = LearningRun.of(run())
    actor = taken_over(found, robot, 100)
    decisions = drive(robot, actor, 8)
    rows = rows_of(actor)
    assert [d.control is Controller.HUMAN for d in decisions] == [False] * 2 + [True] * 3 + [False] * 4
    assert rows["intervened"].tolist() == [False, False, True, True, True, False, False, False]
    assert rows["taken"].tolist() == [False, True] + [False] * 6, "blamed is the step before the person takes over"
    assert actor.interventions == 3 and actor.transitions == 8
    asked = decisions[3].action
    task = found.task
    signals = {name: torch.from_numpy(np.array(v))[None] for name, v in robot.signals(robot.observe()).items()}
    again = task.act(torch.from_numpy(rows["action"][3:4].copy()), signals, {})
    assert np.abs(rows["action"]).max() <= 1.0
    if (np.abs(rows["action"][3]) < 1.0).all():
        np.testing.assert_allclose(next(iter(again.values()))[0].numpy(), asked, rtol=1e-4)
    for before, after in zip(rows[:-1], rows[1:], strict=True):
        assert (before["after"]["actor"] == after["before"]["actor"]).all()
    actor.close()


def test_time_is_over_after_the_tasks_steps(run: Callable[..., Path], robot: EnvRobot):
    actor = taken_over(LearningRun.of(run()), robot, 5)
    decisions = drive(robot, actor, 50)
    assert decisions[-1].event is Event.TIME and len(decisions) == 6
    rows = rows_of(actor)
    assert rows["truncated"].tolist() == [False] * 4 + [True] and not rows["terminated"].any()
    drive(robot, actor, 50, seed=4)
    assert rows_of(actor)["first"].tolist() == ([True] + [False] * 4) * 2
    actor.close()


def test_it_takes_the_newest_policy_between_two_steps(run: Callable[..., Path], robot: EnvRobot, learner: Trainer):
    found = LearningRun.of(run())
    actor = taken_over(found, robot, 100)
    robot.reset(0)
    actor.reset(0)
    actor.decide(robot.observe())
    before = found.policy.output(actor._driver.observed).clone()
    while learner.algorithm._consumed < 5:  # pyright: ignore[reportAttributeAccessIssue]
        robot.act(actor.decide(robot.observe()).action)
        learner.iterate()
    robot.act(actor.decide(robot.observe()).action)
    shown = actor._driver.observed
    assert torch.equal(found.policy.output(shown), learner.policy.output(shown))  # pyright: ignore
    assert not torch.equal(found.policy.output(shown), before)
    actor.close()


def test_a_learner_that_is_silent_stops_the_robot(
    run: Callable[..., Path], robot: EnvRobot, monkeypatch: pytest.MonkeyPatch
):
    actor = taken_over(LearningRun.of(run()), robot, 100)
    drive(robot, actor, 2)
    silent = type("Silent", (), {"__get__": lambda *_: 61.0})()
    monkeypatch.setattr("isthmus_policies.actor_learner.board.PolicyBoard.silence_s", silent)
    with pytest.raises(DeviceError, match="learner: silent for 61 s; its last good policy is kept"):
        actor.decide(robot.observe())
    actor.close()


def test_a_second_actor_is_refused(run: Callable[..., Path], robot: EnvRobot):
    actor = taken_over(LearningRun.of(run()), robot, 5)
    with pytest.raises(ExchangeError, match="has an actor already"):
        taken_over(LearningRun.of(run()), robot, 5)
    actor.close()


def test_other_runs_have_no_actor(tmp_path: Path, run_folder: Path):
    with pytest.raises(FileNotFoundError, match="start its learner first: isthmus-train TASK --algorithm sac-robot"):
        LearningRun.of(tmp_path / "nothing")
