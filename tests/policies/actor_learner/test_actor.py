"""The actor drives a robot by the learner's policy, lets others take over, and tells what came of it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from isthmus_datasets.recording.operator import Controller, Decision, DeviceError, Event
from isthmus_datasets.recording.robot import Observation, RobotError
from isthmus_datasets.teleop.operators.take_over import TakeOver
from isthmus_policies.actor_learner.actor import Actor
from isthmus_policies.actor_learner.driver import ActorDriver
from isthmus_policies.actor_learner.learning_run import LearningRun
from isthmus_policies.actor_learner.shared_file import ExchangeError
from isthmus_policies.demonstrate.env_robot import EnvRobot
from isthmus_policies.files import write_json
from isthmus_policies.training.config import TrainConfig, default_config
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


@contextmanager
def acting(run: LearningRun, robot: EnvRobot, steps: int, person: Person | None = None) -> Iterator[Actor]:
    driver = ActorDriver(run, robot.signals, patience_s=60)
    hands = driver if person is None else TakeOver(person, driver)
    with closing(run.experience()) as experience, closing(Actor(hands, driver, experience, steps=steps)) as actor:
        yield actor


def test_it_sees_what_training_in_simulation_shows_and_does_the_same(run: Callable[..., Path], robot: EnvRobot):
    """One world of the Env with the same seed and the actor's actions: the same observations and rewards."""
    found = LearningRun.of(run())
    with acting(found, robot, 100) as actor:
        drive(robot, actor, 12)
        rows = rows_of(actor)
    env = Env(found.task, make_engine(found.task.scene, 1, found.task.engines[0]), seed=0)
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


def test_what_a_person_did_is_told_as_such(run: Callable[..., Path], robot: EnvRobot):
    with acting(LearningRun.of(run()), robot, 100, Person()) as actor:
        decisions = drive(robot, actor, 8)
        rows = rows_of(actor)
    assert [d.control is Controller.HUMAN for d in decisions] == [False] * 2 + [True] * 3 + [False] * 4
    assert rows["intervened"].tolist() == [False, False, True, True, True, False, False, False]
    assert rows["taken"].tolist() == [False, True] + [False] * 6, "blamed is the step before the person takes over"
    assert actor.interventions == 3
    assert actor.transitions == 8
    for before, after in itertools.pairwise(rows):
        assert (before["after"]["actor"] == after["before"]["actor"]).all()


def test_a_persons_command_is_the_action_that_asks_for_it(run: Callable[..., Path], robot: EnvRobot):
    found = LearningRun.of(run())
    with acting(found, robot, 100) as actor:
        robot.reset(3)
        actor.reset(3)
        actor.decide(robot.observe())
        driver = actor._driver
        wanted = torch.tensor([[0.3, -0.7]])
        commands = found.task.act(wanted, driver._read, driver._memory)
        sent = np.concatenate([value[0].numpy() for value in commands.values()])
        np.testing.assert_allclose(driver.action_of(sent), wanted, atol=1e-5)


def test_time_is_over_after_the_tasks_steps(run: Callable[..., Path], robot: EnvRobot):
    with acting(LearningRun.of(run()), robot, 5) as actor:
        decisions = drive(robot, actor, 50)
        assert decisions[-1].event is Event.TIME
        assert len(decisions) == 6
        rows = rows_of(actor)
        assert rows["truncated"].tolist() == [False] * 4 + [True]
        assert not rows["terminated"].any()
        drive(robot, actor, 50, seed=4)
        assert rows_of(actor)["first"].tolist() == ([True] + [False] * 4) * 2


def test_an_episode_that_is_discarded_is_cut(run: Callable[..., Path], robot: EnvRobot):
    class Leaves(Person):
        def decide(self, observation: Observation) -> Decision:
            return replace(super().decide(observation), event=Event.DISCARD if self.decisions == 4 else Event.NONE)

    with acting(LearningRun.of(run()), robot, 50, Leaves()) as actor:
        drive(robot, actor, 50)
        assert rows_of(actor)["truncated"].tolist() == [False, False, True]


def test_a_success_is_an_end(run: Callable[..., Path], robot: EnvRobot):
    class Robot(EnvRobot):
        def observe(self) -> Observation:
            seen = super().observe()
            done = self._steps == 4
            return replace(seen, success=done, ended=done, reward=1.5 if done else seen.reward)

    succeeding = Robot(LearningRun.of(run()).task)
    with acting(LearningRun.of(run()), succeeding, 50) as actor:
        drive(succeeding, actor, 50)
        rows = rows_of(actor)
        assert rows["terminated"].tolist() == rows["succeeded"].tolist() == [False] * 3 + [True]
        assert rows["reward"][-1] == 1.5
        assert not rows["truncated"].any()
    succeeding.close()


def test_what_is_no_number_is_not_told(run: Callable[..., Path], robot: EnvRobot):
    class Broken(EnvRobot):
        def observe(self) -> Observation:
            seen = super().observe()
            if self._steps == 2:
                return replace(seen, reward=float("nan"))
            if self._steps == 3:
                return replace(seen, columns={"state": np.full_like(seen.columns["state"], np.nan)})
            return seen

    broken = Broken(LearningRun.of(run()).task)
    with acting(LearningRun.of(run()), broken, 50) as actor:
        with pytest.raises(RobotError, match="a reward of nan"):
            drive(broken, actor, 50)
        broken.act(np.zeros(2, np.float32))
        with pytest.raises(RobotError, match="what is observed is no number, in actor"):
            actor.decide(broken.observe())
        rows = rows_of(actor)
        assert len(rows) == 1
        assert np.isfinite(rows["after"]["actor"]).all()
    broken.close()


def test_it_takes_the_newest_policy_between_two_steps(run: Callable[..., Path], robot: EnvRobot, learner: Trainer):
    found = LearningRun.of(run())
    with acting(found, robot, 100) as actor:
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


def test_a_learner_that_is_silent_stops_the_robot(
    run: Callable[..., Path], robot: EnvRobot, monkeypatch: pytest.MonkeyPatch
):
    with acting(LearningRun.of(run()), robot, 100) as actor:
        drive(robot, actor, 2)
        silent = type("Silent", (), {"__get__": lambda *_: 61.0})()
        monkeypatch.setattr("isthmus_policies.actor_learner.board.PolicyBoard.silence_s", silent)
        with pytest.raises(DeviceError, match="learner: silent for 61 s; its last good policy is kept"):
            actor.decide(robot.observe())


def test_a_second_actor_is_refused(run: Callable[..., Path], robot: EnvRobot):
    with acting(LearningRun.of(run()), robot, 5), pytest.raises(ExchangeError, match="has an actor already"):
        LearningRun.of(run()).experience()


def test_other_runs_have_no_actor(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="start its learner first: isthmus-train TASK --algorithm sac-robot"):
        LearningRun.of(tmp_path / "nothing")
    folder = tmp_path / "other"
    folder.mkdir()
    write_json(folder / "config.json", default_config("push_t"))
    with pytest.raises(ValueError, match="is learned by 'ppo'; an actor needs a run of sac-robot"):
        LearningRun.of(folder)
