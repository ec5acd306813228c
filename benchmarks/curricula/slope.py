"""A cart is to be pushed to a flag on a slope and be slow there: half of the slopes are steeper than its motor is
strong.

Everything is planar and known in closed form, so that hundreds of episodes take a second. The level is how far away the
flag is and how steep the slope.
"""

# pyright: reportIncompatibleMethodOverride=false

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, Resets, State
from isthmus_sim.scene import Scene
from isthmus_sim.specs import CommandSpec, SignalSpec
from isthmus_sim.task import Group, Reward, Task

PERIOD_S = 0.1
STRENGTH = 2.0
"""m/s²: what the motor accelerates the cart by at most, and so the steepest slope on which it can stand."""
DISTANCE, SLOPE = (0.4, 3.0), (0.0, 2 * STRENGTH)
"""m; m/s². On the steeper half of the slopes there is no success."""
_WITHIN, _SLOW = 0.4, 1.0  # m, m/s
_SETTABLE = ("position", "velocity", "flag", "slope")


def _signal(name: str, unit: str) -> SignalSpec:
    return SignalSpec(
        name=name, unit=unit, frame="world", order=("x", "y"), minimum=(-100.0,) * 2, maximum=(100.0,) * 2,
        max_jump=(100.0,) * 2, max_age_s=0.2,
    )  # fmt: skip


ROBOT = RobotDescription(
    name="cart",
    control_period_s=PERIOD_S,
    signals=(_signal("offset", "m"), _signal("velocity", "m/s"), _signal("downhill", "m/s^2")),
    commands=(
        CommandSpec(
            name="push", unit="m/s^2", frame="world", order=("x", "y"), minimum=(-STRENGTH,) * 2,
            maximum=(STRENGTH,) * 2, max_rate=(1000.0,) * 2, safe=(0.0,) * 2, standby=(0.0,) * 2,
        ),
    ),
)  # fmt: skip


class Slopes(Engine):
    """n carts, each on a slope of its own that goes up towards its flag."""

    def __init__(self, n: int) -> None:
        self.num_envs, self.device = n, torch.device("cpu")
        self.capabilities = frozenset({"snapshots"})
        self.force, self.torque, self.params = torch.zeros(n, 3), torch.zeros(n, 3), {}
        self._state = {name: torch.zeros(n, 2) for name in _SETTABLE}

    def advance(self, commands: Commands | None, resets: Resets | None = None) -> State:
        s = self._state
        if resets is not None:
            s = {name: value.index_copy(0, resets.ids, resets.state[name]) for name, value in s.items()}
        if commands is not None:
            push = commands["push"]
            push = push * (STRENGTH / push.norm(dim=-1, keepdim=True).clamp_min(STRENGTH))
            velocity = s["velocity"] + PERIOD_S * (push + s["slope"])
            s = s | {"velocity": velocity, "position": s["position"] + PERIOD_S * velocity}
        self._state = s
        return dict(s)

    def failed(self) -> Tensor:
        return ~torch.isfinite(self._state["position"].sum(-1))

    def snapshot(self) -> dict[str, Tensor]:
        return {name: value.clone() for name, value in self._state.items()}

    def state_dict(self) -> dict[str, Tensor]:
        return dict(self._state)

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._state = {name: state[name].clone() for name in _SETTABLE}

    def set_params(self, ids: Tensor, params: Params) -> None:
        pass

    def apply_wrench(self, force: Tensor, torque: Tensor) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(frozen=True, kw_only=True)
class SlopeConfig:
    """Nothing but the length of an episode, in control steps."""

    episode_steps: int = 80


class Slope(Task):
    """Reward: 1 at the flag, once, at no more than a metre per second; nothing before."""

    name = "slope"
    robot, scene = ROBOT, Scene(robot=ROBOT, timestep_s=PERIOD_S, quantities=())
    groups = {"actor": Group(shape=(6,)), "critic": Group(shape=(6,))}
    action_size = 2
    has_goal = True
    graded = {"distance": DISTANCE, "slope": SLOPE}

    def __init__(self, config: SlopeConfig | None = None) -> None:
        self.config = config or SlopeConfig()
        self.episode_steps = self.config.episode_steps
        self.rewards = {
            "there": Reward(weight=1.0, function=lambda step: self.succeeded(step.state, step.goal).float())
        }

    def observe(self, signals, memory):
        return {"actor": torch.cat((signals["offset"], signals["velocity"], signals["downhill"]), dim=-1)}

    def act(self, action, signals, memory):
        return {"push": STRENGTH * action}

    def sense(self, state, goal):
        offset = state["flag"] - state["position"]
        return {"offset": offset, "velocity": state["velocity"], "downhill": state["slope"]}

    def privileged(self, state, goal, engine, ids):
        return {"critic": self.observe(self.sense(state, goal), {})["actor"]}

    def terminated(self, state, goal):
        return ~torch.isfinite(state["position"].sum(-1))

    def succeeded(self, state, goal):
        near = (state["flag"] - state["position"]).norm(dim=-1) <= _WITHIN
        return near & (state["velocity"].norm(dim=-1) <= _SLOW)

    def start(self, ids, level, params, generator):
        angle = 2 * torch.pi * torch.rand(len(ids), 1, generator=generator)
        ahead, zero = torch.cat((angle.cos(), angle.sin()), dim=-1), torch.zeros(len(ids), 2)
        flag, downhill = params["distance"] * ahead, -params["slope"] * ahead
        return {"position": zero, "velocity": zero, "flag": flag, "slope": downhill}
