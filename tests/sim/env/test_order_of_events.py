"""What happens when in a step: goals, events, levels, sensors' and commands' delays, memory."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import pytest
import torch
from beads import Bead, Line, beads, near, pushed

from isthmus_sim.engine import Engine
from isthmus_sim.env import Env
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.specs import MemorySpec
from isthmus_sim.task import Event, Transition


def test_goals_do_not_jump_when_first_episodes_end_early():
    """The target goes by the episode's own time in every world, from 0 on; only the first end is spread, evenly."""
    n, ages = 2000, torch.zeros(2000)
    env = beads(n, random_initial_age=True)
    assert torch.equal(env.goal["target"], torch.zeros(n, 1))
    first_ends = torch.zeros(n)
    for t in range(1, 21):
        step = env.step(torch.zeros(n, 1))
        ages += 1
        assert (ages[step.ended] <= 10).all()
        first_ends[step.ended] = torch.where(first_ends[step.ended] == 0, float(t), first_ends[step.ended])
        whole = step.ended[first_ends[step.ended] != t]
        assert (ages[whole] == 10).all(), "later episodes last as long as they should"
        ages[step.ended] = 0
        torch.testing.assert_close(env.goal["target"][:, 0], 0.1 * ages)
        torch.testing.assert_close(step.observations["actor"][:, 1], 0.1 * ages)
    assert torch.bincount(first_ends.long(), minlength=11)[1:].min() > 120
    assert step.truncated.sum() < n


def test_a_step_says_what_was_sent():
    """Within range; and the command of an episode that ended stays what it was when the next one begins."""
    env = beads(2)
    env.engine.x[1] = 2.5
    step = env.step_commands({"push": torch.tensor([[9.0], [0.75]])})
    assert step.ended.tolist() == [1]
    assert step.commands["push"].tolist() == [[1.0], [0.75]]
    assert env.command["push"].tolist() == [[1.0], [0.0]], "the next episode begins with a command of nothing"


def test_observations_given_out_do_not_change_later():
    env, steps, copies = beads(4), [], []
    generator = torch.Generator().manual_seed(0)
    for _ in range(40):
        steps.append(env.step(2 * torch.rand(4, 1, generator=generator) - 0.5))
        copies.append({name: value.clone() for name, value in steps[-1].observations.items()})
    for step, copy in zip(steps, copies, strict=True):
        assert all(torch.equal(step.observations[name], copy[name]) for name in copy)


class Counted(Event):
    """Counts the control steps that it sees."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, engine: Engine, episode_step: torch.Tensor, generator: torch.Generator) -> None:
        self.steps += 1


@pytest.mark.parametrize("training", [True, False])
def test_events_of_training_happen_in_training_only(training: bool):
    task, always, trained = Bead(), Counted(), Counted()
    task.events, task.training_events = (always,), (trained,)
    env = Env(task, Line(2), seed=0, training=training)
    env.reset()
    for _ in range(3):
        env.step(torch.zeros(2, 1))
    assert (always.steps, trained.steps) == (3, 3 if training else 0)


class Told(Bead):
    """Keeps what the environment tells it."""

    levels = 3

    def __init__(self) -> None:
        self.transitions: list[Transition] = []
        self.ages: list[list[int]] = []
        self.started: list[list[int]] = []
        self.regraded: list[tuple[list[int], list[int], list[bool], list[float]]] = []
        told = self

        class Watch(Event):
            def step(self, engine, episode_step, generator):
                told.ages.append(episode_step.tolist())

        self.events = (Watch(),)

    def start(self, ids, level, params, generator):
        self.started.append(level.tolist())
        return super().start(ids, level, params, generator)

    def reward(self, step):
        self.transitions.append(step)
        return super().reward(step)

    def next_level(self, level, failed, state, goal, ids):
        self.regraded.append((ids.tolist(), level.tolist(), failed.tolist(), state["x"][:, 0].tolist()))
        return (level + 1).clamp_max(2)


def test_a_task_is_told_of_ages_commands_and_levels():
    """Its events know how old episodes are; rewards see this command and the one before; worlds that ended are graded
    by how they ended, and start at their new level."""
    task = Told()
    env = beads(3, task, episode_steps=3)
    env.engine.x[1] = 2.5
    for push in (0.25, 0.5, 0.75, 0.25):
        pushed(env, push, push, push)
    assert task.ages == [[0, 0, 0], [1, 1, 1], [2, 0, 2], [0, 1, 0]]
    assert task.regraded == [([1], [0], [True], [3.25]), ([0, 2], [0, 0], [False, False], [1.5, 1.5])]
    assert task.started == [[0, 0, 0], [1], [1, 1]]
    assert env.level.tolist() == [1, 1, 1]
    sent, previous = ([getattr(t, which)["push"].flatten().tolist() for t in task.transitions]
                      for which in ("commands", "previous"))  # fmt: skip
    assert sent == [[0.25] * 3, [0.5] * 3, [0.75] * 3, [0.25] * 3]
    assert previous == [[0.0] * 3, [0.25] * 3, [0.5, 0.0, 0.5], [0.0, 0.75, 0.0]]


def test_what_a_task_tracks_is_of_the_episode():
    """Here for how many steps the bead has been beyond 1 m: it is done after two of them, and the next one begins."""

    class Holding(Bead):
        def goal(self, episode_step, previous, generator):
            return (previous or {}) | {"target": torch.zeros(len(episode_step), 1)}

        def track(self, goal, state):
            beyond = state["x"] > 1.0
            held = goal.get("held", torch.zeros(beyond.shape))
            return goal | {"held": torch.where(beyond, held + 1, 0.0)}

        def succeeded(self, state, goal):
            return goal["held"][:, 0] >= 2

    env = beads(2, Holding())
    steps = [pushed(env, push, 0.5) for push in (1.0, 1.0, 0.0, 0.0)]
    assert [step.succeeded.tolist() for step in steps] == [[False] * 2, [False] * 2, [True, False], [False, True]]
    assert env.goal["held"].tolist() == [[0.0], [0.0]]


def test_sensors_reach_the_actor_and_not_the_critic():
    """The place is read two steps late; the operator's target at once."""
    task = Bead()
    task.sensors = {"place": SensorModel(latency_s=(0.2, 0.2))}
    env = beads(1, task)
    seen = [pushed(env, 0.5).observations for _ in range(4)]
    near(torch.cat([step["actor"] for step in seen]), [[0.0, 0.1], [0.0, 0.2], [0.5, 0.3], [1.0, 0.4]])
    near(torch.cat([step["critic"] for step in seen]), [[0.5], [1.0], [1.5], [2.0]])


def test_the_first_observation_is_noisy_too():
    task = Bead()
    task.noise = {"place": SignalNoise(noise=0.1)}
    first = Env(task, Line(2000), seed=0).reset()
    assert float((first["actor"][:, 0] - first["critic"][:, 0]).std()) == pytest.approx(0.1, rel=0.1)


def test_a_command_acts_after_its_delay():
    """Until the first arrives there is that of an action of zero."""
    task = Bead()
    task.command_delay_steps = (2, 2)
    env = beads(1, task)
    places = [float(pushed(env, push).observations["critic"]) for push in (0.5, 0.25, 1.0, 1.0)]
    assert places == pytest.approx([0.0, 0.0, 0.5, 0.75])


def test_actions_beyond_the_range_are_clipped_and_remembered_so():
    class Remembering(Bead):
        memory = (MemorySpec(name="action", shape=(1,), order="", initial=0.0),)

        def act(self, action, signals, memory):
            return {"push": 0.1 * action}

        def remember(self, memory, signals, action):
            return {"action": action}

    env = beads(2, Remembering())
    near(pushed(env, 3.0, -5.0).observations["critic"], [[0.1], [-0.1]])
    near(env.memory["action"], [[1.0], [-1.0]])


def test_commands_in_their_unit_are_actions_without_a_memory():
    """The way of an exported graph, which keeps its own."""
    first, second = beads(2), beads(2)
    for push in (0.5, -0.25, 0.75):
        ours, theirs = pushed(first, push, push), second.step_commands({"push": torch.full((2, 1), push)})
        assert torch.equal(ours.observations["critic"], theirs.observations["critic"])
        assert torch.equal(ours.reward, theirs.reward)
    assert (first.memory["steps"].tolist(), second.memory["steps"].tolist()) == ([[10.0]] * 2, [[7.0]] * 2)
