"""Every episode counts once, success is what the task says, and metrics are of the robot that was judged."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from isthmus_policies.evaluation import evaluate as module
from isthmus_policies.evaluation.evaluate import Evaluation, evaluate, levels
from isthmus_policies.evaluation.runners import PolicyRunner
from isthmus_policies.files import write_json
from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.env import Env, Step
from isthmus_sim.scene import Scene
from isthmus_sim.specs import CommandSpec, SignalSpec
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition

CLOCK = RobotDescription(
    name="clock",
    control_period_s=0.1,
    signals=(
        SignalSpec(
            name="clock", unit="1", frame="world", order=("t",), minimum=(-1e6,), maximum=(1e6,), max_jump=(1e6,),
            max_age_s=1.0,
        ),
    ),
    commands=(
        CommandSpec(
            name="nothing", unit="1", frame="world", order=("x",), minimum=(-1.0,), maximum=(1.0,), max_rate=(1e3,),
            safe=(0.0,), standby=(0.0,),
        ),
    ),
)  # fmt: skip


class ClockEngine:
    """Worlds that count their control steps."""

    capabilities: frozenset[str] = frozenset()
    device = torch.device("cpu")

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.clock = torch.zeros(num_envs, 1)
        self.params: Params = {}
        self.force = self.torque = torch.zeros(num_envs, 3)

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        if resets is not None:
            self.clock[resets.ids] = 0.0
        if commands is not None:
            self.clock += 1.0
        return {"clock": self.clock.clone()}

    def failed(self) -> Tensor:
        return torch.zeros(self.num_envs, dtype=torch.bool)

    def close(self) -> None:
        pass


class Deadline(Task):
    """World i fails after `fails[i]` steps and succeeds after `succeeds[i]`; the metric is the clock."""

    name = "deadline"
    action_size = 1
    groups = {"actor": Group(shape=(1,))}
    robot = CLOCK
    scene = Scene(robot=CLOCK, timestep_s=0.1, quantities=())

    def __init__(self, *, fails: list[int], succeeds: list[int] | None = None, steps: int = 10) -> None:
        self.episode_steps = steps
        self.rewards = {"step": Reward(weight=1.0, function=_one)}
        self._fails = torch.tensor(fails)
        self._succeeds = torch.tensor(succeeds) if succeeds else None
        self.has_goal = succeeds is not None

    def observe(self, signals: dict[str, Tensor], memory: Memory) -> dict[str, Tensor]:
        return {"actor": signals["clock"]}

    def act(self, action: Tensor, signals: dict[str, Tensor], memory: Memory) -> Commands:
        return {"nothing": action}

    def sense(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"clock": state["clock"]}

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        return {}

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"clock": state["clock"][:, 0]}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return state["clock"][:, 0] >= self._fails

    def succeeded(self, state: State, goal: Goal) -> Tensor | None:
        return None if self._succeeds is None else state["clock"][:, 0] >= self._succeeds


def _one(step: Transition) -> Tensor:
    return torch.ones(len(step.state["clock"]))


class Idle(PolicyRunner):
    """Does nothing."""

    def __init__(self, env: Env) -> None:
        env.reset()
        self._action = torch.zeros(env.num_envs, env.task.action_size)

    def step(self, env: Env) -> Step:
        return env.step(self._action)

    def restart(self, ids: Tensor) -> None:
        pass


@pytest.fixture(autouse=True)
def clock_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(scene: Scene, num_envs: int, name: str) -> Engine:
        return ClockEngine(num_envs)  # pyright: ignore[reportReturnType]

    monkeypatch.setattr(module, "make_engine", make)


def judged(**task: Any) -> Evaluation:
    return evaluate(Deadline(**task), Idle, len(task["fails"]), seed=0)


NEVER = 1000


def test_running_out_of_time_is_no_success_where_there_is_something_to_achieve():
    score = judged(fails=[NEVER] * 4, succeeds=[NEVER, NEVER, NEVER, 3])
    assert (score.success[1], score.timed_out[1], score.failed[1]) == (0.25, 0.75, 0.0)
    assert score.success_is == "goal reached"


def test_lasting_is_success_where_a_task_has_nothing_else_to_achieve():
    score = judged(fails=[NEVER, NEVER, NEVER, 4])
    assert (score.success[1], score.timed_out[1], score.failed[1]) == (0.75, 0.75, 0.25)
    assert score.success_is == "lasted to the end"


def test_metrics_are_of_the_state_before_a_reset_and_of_lived_steps_only():
    # Both succeed: one after 5 steps, whose clock reads 1 to 5 and then 0 again for its next episode; one after 10.
    score = judged(fails=[NEVER] * 2, succeeds=[5, 10])
    assert score.final["clock"] is not None
    assert score.final["clock"][1] == pytest.approx((5 + 10) / 2)
    # The last 40 % of each episode's own length: clocks 4 and 5, and 7 to 10.
    assert score.steady["clock"] is not None
    assert score.steady["clock"][1] == pytest.approx((4.5 + 8.5) / 2)
    mean_squares = ((1 + 4 + 9 + 16 + 25) / 5, sum(k * k for k in range(1, 11)) / 10)
    assert score.rmse["clock"] is not None
    assert score.rmse["clock"][1] == pytest.approx(sum(value**0.5 for value in mean_squares) / 2)


def test_an_episode_of_one_step_has_its_steady_value():
    score = judged(fails=[NEVER] * 2, succeeds=[1, 2])
    assert score.steady["clock"] is not None
    assert score.steady["clock"][1] == pytest.approx((1 + 2) / 2)


def test_a_diverged_world_leaves_the_others_values(tmp_path: Path):
    class Broken(Deadline):
        def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
            clock = state["clock"][:, 0]
            return {"clock": torch.where(torch.arange(len(clock)) == 0, torch.nan, clock)}

    score = evaluate(Broken(fails=[2, NEVER, NEVER]), Idle, 3, seed=0)
    assert score.final["clock"] is not None
    assert score.final["clock"][1] == 10
    write_json(tmp_path / "evaluation.json", score)


def test_a_task_that_forgets_to_say_that_it_has_a_goal_is_refused():
    task = Deadline(fails=[NEVER] * 2, succeeds=[3, 3])
    task.has_goal = False
    with pytest.raises(ValueError, match=r"'deadline': has_goal is False, but succeeded\(\) gives who has succeeded"):
        evaluate(task, Idle, 2, seed=0)


def test_only_the_first_episode_of_a_world_counts():
    score = judged(fails=[3, NEVER], steps=10)
    # The step that fails earns nothing; the world's next episodes do not count.
    assert score.total_reward[1] == pytest.approx((2 + 10) / 2)
    assert score.failed[1] == 0.5


def test_steady_values_are_of_episodes_without_a_failure():
    assert judged(fails=[3, 3]).steady["clock"] is None


def test_levels_and_kinds_are_judged_evenly():
    task = Deadline(fails=[NEVER] * 12)
    task.levels, task.kinds = 2, ("flat", "steps", "waves")
    level = levels(task, 12)
    cells = sorted(zip((torch.arange(12) % 3).tolist(), level.tolist(), strict=True))
    assert cells == sorted([(kind, i) for kind in range(3) for i in range(2)] * 2)


def test_few_episodes_see_the_hardest_level_too():
    task = Deadline(fails=[NEVER] * 6)
    task.levels, task.kinds = 8, ("flat", "steps")
    assert levels(task, 6).tolist() == [0, 0, 3, 3, 7, 7]
    score = evaluate(task, Idle, 6, seed=0)
    assert [i for i, cell in enumerate(score.surroundings["steps"]) if cell is not None] == [0, 3, 7]


def test_success_by_kind_and_level():
    # Worlds 0 to 3 are kinds 0, 1, 0, 1 and levels 0, 0, 1, 1; world 3 falls.
    task = Deadline(fails=[NEVER, NEVER, NEVER, 2])
    task.levels, task.kinds = 2, ("flat", "steps")
    table = evaluate(task, Idle, 4, seed=0).surroundings
    assert {kind: [cell[1] if cell else None for cell in cells] for kind, cells in table.items()} == {
        "flat": [1.0, 1.0],
        "steps": [1.0, 0.0],
    }


def test_one_episode_has_no_interval():
    with pytest.raises(ValueError, match="at least 2"):
        judged(fails=[1])


def test_the_evaluation_is_json(tmp_path: Path):
    score = judged(fails=[NEVER, 3])
    write_json(tmp_path / "evaluation.json", score)
    read = json.loads((tmp_path / "evaluation.json").read_text())
    assert read["success"] == list(score.success)
    assert set(read) == set(asdict(score))
