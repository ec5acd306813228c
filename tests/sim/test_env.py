"""The environment: episodes end and start again without losing, mixing or hiding anything.

A bead on a line is pushed by what it is told, in metres a step, so that every number is known by hand.
"""

# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Resets, State
from isthmus_sim.env import Env, Step
from isthmus_sim.scene import Scene
from isthmus_sim.sensors import SensorModel, SignalNoise
from isthmus_sim.specs import CommandSpec, MemorySpec, SignalSpec
from isthmus_sim.task import Event, Group, Reward, Task, Transition


def _place(name: str, max_age_s: float | None) -> SignalSpec:
    return SignalSpec(
        name=name, unit="m", frame="world", order=("x",), minimum=(-100.0,), maximum=(100.0,), max_jump=(10.0,),
        max_age_s=max_age_s,
    )  # fmt: skip


ROBOT = RobotDescription(
    name="bead",
    control_period_s=0.1,
    signals=(_place("place", 0.2), _place("target", None)),
    commands=(
        CommandSpec(
            name="push", unit="m", frame="world", order=("x",), minimum=(-1.0,), maximum=(1.0,), max_rate=(100.0,),
            safe=(0.0,), standby=(0.0,),
        ),
    ),
)  # fmt: skip


class Line(Engine):
    """n beads."""

    def __init__(self, n: int, snapshots: bool = True) -> None:
        self.num_envs, self.device = n, torch.device("cpu")
        self.capabilities = frozenset({"snapshots"} if snapshots else ())
        self.force, self.torque, self.params = torch.zeros(n, 3), torch.zeros(n, 3), {}
        self.x = torch.zeros(n, 1)
        self.snapshots_taken = 0

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        if resets is not None:
            self.x[resets.ids] = resets.state["x"]
        if commands is not None:
            self.x = self.x + commands["push"]
        return {"x": self.x}

    def failed(self) -> Tensor:
        return ~torch.isfinite(self.x[:, 0])

    def snapshot(self) -> dict[str, Tensor]:
        self.snapshots_taken += 1
        return {"x": self.x.clone()}

    def state_dict(self) -> dict[str, Tensor]:
        return {"x": self.x}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.x = state["x"].clone()

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        self.force, self.torque = force, torque

    def close(self) -> None:
        pass


class Bead(Task):
    """Be where the target is, which moves by 0.1 m a step. Fails beyond 3 m; has succeeded below -2 m."""

    name, config = "bead", None
    robot, scene = ROBOT, Scene(robot=ROBOT, timestep_s=0.1, quantities=())
    groups = {"actor": Group(shape=(2,)), "critic": Group(shape=(1,))}
    action_size = 1
    episode_steps = 10
    has_goal = True
    memory = (MemorySpec(name="steps", shape=(1,), order="", initial=7.0),)
    rewards = {
        "off": Reward(weight=-1.0, function=lambda step: (step.state["x"] - step.goal["target"]).abs()[:, 0]),
        "alive": Reward(weight=2.0, function=lambda step: torch.ones(len(step.state["x"]))),
    }

    def observe(self, signals, memory):
        return {"actor": torch.cat((signals["place"], signals["target"]), dim=-1)}

    def act(self, action, signals, memory):
        return {"push": action}

    def remember(self, memory, signals, action):
        return {"steps": memory["steps"] + 1}

    def sense(self, state, goal):
        return {"place": state["x"], "target": goal["target"]}

    def goal(self, episode_step, previous, generator):
        return {"target": 0.1 * episode_step.float().unsqueeze(-1)}

    def privileged(self, state, goal, engine, ids):
        return {"critic": state["x"]}

    def metrics(self, state, goal):
        return {"x": state["x"][:, 0]}

    def terminated(self, state, goal):
        return ~(state["x"][:, 0] <= 3.0)

    def succeeded(self, state, goal) -> Tensor | None:
        return state["x"][:, 0] < -2.0

    def start(self, ids, level, params, generator):
        return {"x": torch.zeros(len(ids), 1)}


def beads(n: int, task: Task | None = None, **options: Any) -> Env:
    """Reset, at zero."""
    env = Env(task or Bead(), Line(n), seed=0, **options)
    env.reset()
    return env


def near(found: Tensor, expected: list) -> None:
    torch.testing.assert_close(found, torch.tensor(expected))


def pushed(env: Env, *pushes: float) -> Step:
    return env.step(torch.tensor(pushes).unsqueeze(-1))


# Ends and starts
# ---------------------------------------------------------------------------------------------------------------------
def test_an_episode_by_hand():
    env = beads(2)
    env.engine.x[1] = 2.5
    first = pushed(env, 0.5, 0.25)
    near(first.observations["actor"], [[0.5, 0.1], [2.75, 0.1]])
    near(first.reward, [2.0 - 0.4, 2.0 - 2.65])
    assert not (first.terminated | first.truncated | first.succeeded).any()
    second = pushed(env, 0.5, 0.5)
    assert (second.terminated.tolist(), second.ended.tolist()) == ([False, True], [1])
    near(second.final["actor"], [[3.25, 0.2]])  # the true last one
    assert second.final["critic"].tolist() == [[3.25]]
    assert second.observations["actor"][1].tolist() == [0.0, 0.0], "already the first of the next"
    assert second.episode_length.tolist() == [2]
    third = pushed(env, 0.5, 0.5)
    near(third.observations["actor"], [[1.5, 0.3], [0.5, 0.1]])
    assert env.memory["steps"].tolist() == [[10.0], [8.0]], "its memory, too, starts anew"


def test_out_of_time_is_neither_failure_nor_success():
    env = beads(3, episode_steps=2)
    env.engine.x[1] = 2.0
    assert not pushed(env, 0.0, 0.9, 0.0).truncated.any()
    step = pushed(env, 0.0, 0.9, -1.0)
    assert step.truncated.tolist() == [True, False, True]
    assert step.terminated.tolist() == [False, True, False], "what fails in the last step has failed"
    assert step.succeeded.tolist() == [False] * 3
    assert step.ended.tolist() == [0, 1, 2]
    assert step.reward[0] == pytest.approx(2.0 - 0.2), "the last step of a full episode is rewarded"
    assert not pushed(env, 0.0, 0.0, 0.0).truncated.any(), "the clock starts anew"


def test_success_ends_an_episode_with_its_last_reward():
    env = beads(2)
    env.engine.x[:] = -1.5
    step = pushed(env, -1.0, 0.0)
    assert step.succeeded.tolist() == step.terminated.tolist() == [True, False]
    assert not step.truncated.any()
    assert float(step.reward[0]) == pytest.approx(2.0 - 2.6)
    assert step.episode_terms["off"].tolist() == pytest.approx([-2.6])


def test_what_fails_has_not_succeeded():
    class Both(Bead):
        def succeeded(self, state, goal):
            return state["x"][:, 0] > 2.9

    env = beads(1, Both())
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0)
    assert step.terminated.tolist() == [True]
    assert step.succeeded.tolist() == [False]


def test_a_task_without_a_goal_never_succeeds():
    class Endless(Bead):
        has_goal = False

        def succeeded(self, state, goal):
            return None

    env = beads(1, Endless(), episode_steps=3)
    env.engine.x[0] = -5.0
    steps = [pushed(env, 0.0) for _ in range(3)]
    assert [bool(step.succeeded) for step in steps] == [False] * 3
    assert [bool(step.truncated) for step in steps] == [False, False, True]


# Rewards and metrics
# ---------------------------------------------------------------------------------------------------------------------
def test_a_failing_step_earns_nothing():
    env = beads(1)
    pushed(env, 1.0)
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0)
    assert step.reward.tolist() == [0.0]
    assert env.reward_terms == ("off", "alive")
    assert {name: float(sums) for name, sums in step.episode_terms.items()} == pytest.approx(
        {"off": -0.9, "alive": 2.0}
    )


def test_a_failing_step_earns_what_the_task_says_and_nothing_else():
    class Costly(Bead):
        failure_reward = -5.0

    env = beads(2, Costly())
    near(pushed(env, 1.0, 1.0).reward, [1.1, 1.1])
    env.engine.x[0] = 2.5
    step = pushed(env, 1.0, 0.0)
    near(step.reward, [-5.0, 2.0 - 0.8])
    terms = {name: float(sums) for name, sums in step.episode_terms.items()}
    assert terms == pytest.approx({"off": -0.9, "alive": 2.0, "failure": -5.0})


def test_the_terms_of_an_episode_sum_to_its_return():
    class Costly(Bead):
        failure_reward = -5.0

    env, generator, checked = beads(16, Costly()), torch.Generator().manual_seed(0), 0
    returns, lengths = torch.zeros(16), torch.zeros(16)
    for _ in range(60):
        step = env.step(2 * torch.rand(16, 1, generator=generator) - 0.6)
        returns += step.reward
        lengths += 1
        torch.testing.assert_close(torch.stack(list(step.episode_terms.values())).sum(0), returns[step.ended])
        assert torch.equal(step.episode_length.float(), lengths[step.ended])
        returns[step.ended], lengths[step.ended] = 0.0, 0.0
        checked += len(step.ended)
    assert checked > 50


def test_metrics_are_of_what_the_step_led_to_and_not_of_the_next_episode():
    env = beads(2, measure=True)
    env.engine.x[:] = torch.tensor([[2.5], [1.0]])
    step = pushed(env, 1.0, 0.5)
    assert step.ended.tolist() == [0]
    assert step.metrics["x"].tolist() == [3.5, 1.5]
    assert env.state["x"].flatten().tolist() == [0.0, 1.5]


def test_metrics_are_measured_when_asked():
    assert pushed(beads(1), 0.0).metrics == {}


def test_progress_reaches_the_reward():
    seen = []

    class Watching(Bead):
        def reward(self, step: Transition):
            seen.append(step.progress)
            return super().reward(step)

    env = beads(1, Watching())
    pushed(env, 0.0)
    env.progress = 0.25
    pushed(env, 0.0)
    assert seen == [1.0, 0.25]


# What happens when
# ---------------------------------------------------------------------------------------------------------------------
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


# What the robot has, and when
# ---------------------------------------------------------------------------------------------------------------------
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


# What is refused
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("function", "wrong", "names"),
    [
        ("observe", {"actor": torch.zeros(2, 5)}, "actor float32[5]"),
        ("observe", {"actor": torch.zeros(2, 2), "image": torch.zeros(2, 3)}, "image"),
        ("observe", {"actor": torch.zeros(2, 2, dtype=torch.float64)}, "actor float64"),
        ("act", {"pull": torch.zeros(2, 1)}, "pull"),
        ("act", {}, "nothing"),
        ("sense", {"place": torch.zeros(2, 1)}, "target float32[1]"),
    ],
)
def test_a_task_that_gives_other_than_it_declares_is_refused_at_once(function: str, wrong: dict, names: str):
    task = Bead()
    setattr(task, function, lambda *_: wrong)
    with pytest.raises(ValueError, match=function) as refusal:
        Env(task, Line(2), seed=0).reset()
    assert names in str(refusal.value)


def test_sensors_that_the_robot_does_not_have_are_refused():
    task = Bead()
    task.sensors = {"lidar": SensorModel()}
    with pytest.raises(ValueError, match="place, target"):
        Env(task, Line(1), seed=0)


# Divergence
# ---------------------------------------------------------------------------------------------------------------------
def test_a_diverged_world_is_reset_counted_and_alone():
    env = beads(3)
    step = pushed(env, 0.5, float("nan"), 0.5)
    assert step.diverged == 1
    assert (step.terminated.tolist(), step.ended.tolist()) == ([False, True, False], [1])
    near(step.reward, [1.6, 0.0, 1.6])
    near(step.observations["actor"], [[0.5, 0.1], [0.0, 0.0], [0.5, 0.1]])
    assert pushed(env, 0.5, 0.5, 0.5).diverged == 0


@pytest.mark.parametrize(("keep", "snapshots"), [(False, True), (True, False)])
def test_divergences_are_kept_only_when_asked_and_possible(keep: bool, snapshots: bool):
    env = Env(Bead(), Line(2, snapshots), seed=0, keep_divergences=keep)
    env.reset()
    assert pushed(env, float("nan"), 0.0).divergence is None
    assert env.engine.snapshots_taken == 0, "no step pays for what nobody wants"  # pyright: ignore


def test_a_kept_divergence_says_what_was_before():
    env = beads(3, keep_divergences=True)
    assert pushed(env, 0.5, 0.25, 0.5).divergence is None
    divergence = pushed(env, 0.5, 0.25, float("nan")).divergence
    assert divergence is not None
    assert (divergence.worlds.tolist(), divergence.episode_step.tolist()) == ([2], [1])
    assert divergence.engine["x"].tolist() == [[0.5]]
    assert divergence.commands["push"].isnan().all()


# Saved states
# ---------------------------------------------------------------------------------------------------------------------
def test_a_saved_environment_goes_on_bit_for_bit():
    """Ages, ends, sums, memory, commands and sensors on their way included, across ends of episodes."""
    late = Bead()
    late.sensors = {"place": SensorModel(rate_hz=7.0, latency_s=(0.0, 0.2), jitter_s=0.02, drop=0.1)}
    late.command_delay_steps = (0, 2)
    first, second = (Env(late, Line(8), seed, random_initial_age=True) for seed in (0, 9))
    rows = 2 * torch.rand(60, 8, 1, generator=torch.Generator().manual_seed(1)) - 0.8
    first.reset()
    second.reset()
    for row in rows[:5]:
        first.step(row)
    second.step(rows[0])
    second.load_state_dict({name: value.clone() for name, value in first.state_dict().items()})
    ends = 0
    for row in rows[5:]:
        ours, theirs = first.step(row), second.step(row)
        for name in ("reward", "terminated", "truncated", "succeeded", "ended", "episode_length"):
            assert torch.equal(getattr(ours, name), getattr(theirs, name)), name
        for name in ("observations", "final", "commands", "episode_terms"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            assert all(torch.equal(mine[key], other[key]) for key in mine), name
        ends += len(ours.ended)
    assert ends > 20


def test_worlds_of_another_seed_differ():
    def places(seed: int) -> Tensor:
        task = Bead()
        task.sensors = {"place": SensorModel(latency_s=(0.0, 0.2))}
        env = Env(task, Line(4), seed)
        env.reset()
        return torch.stack([pushed(env, 0.1, 0.2, 0.3, 0.4).observations["actor"] for _ in range(5)])

    assert torch.equal(places(3), places(3))
    assert not torch.equal(places(3), places(4))
