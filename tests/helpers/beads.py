"""A bead on a line is pushed by what it is told, in metres a step, so that every number is known by hand."""

# pyright: reportAttributeAccessIssue=false, reportIncompatibleMethodOverride=false

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.env import Env, Step
from isthmus_sim.scene import Scene
from isthmus_sim.specs import CommandSpec, MemorySpec, SignalSpec
from isthmus_sim.task import Group, Reward, Task


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

    def set_params(self, ids: Tensor, params: Params) -> None:
        self.params |= params

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
