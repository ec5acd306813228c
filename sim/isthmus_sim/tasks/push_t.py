"""Push-T: push a T-shaped block into its goal, as in Chi et al., "Diffusion Policy" (2023), and PyPI's gym-pusht.

300 steps at 10 Hz; the action is where the disc shall go; the reward is the share of the goal that the block covers,
over 0.95; done above that. Signals and command are in pixels, as published data sets have them (`robots/pusher.py`),
and the actor's observation is their `observation.state`: disc, block, the block's angle from 0 to 2π.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from isthmus_sim.description import RobotDescription
from isthmus_sim.engine import Commands, Engine, Params, State
from isthmus_sim.on_device import Constant
from isthmus_sim.robots.pusher.description import (
    AGENT_JOINTS,
    BAR,
    BLOCK_AREA,
    BLOCK_CENTRE,
    GOAL,
    MIDDLE,
    OUTLINE,
    PIXEL,
    STEM,
    to_metres,
    to_pixels,
)
from isthmus_sim.robots.pusher.mjcf import BLOCK_JOINTS, TIMESTEP
from isthmus_sim.scene import Scene, joint_motion
from isthmus_sim.scenes.polygons import area_in_box, rotation
from isthmus_sim.sensors import Signals
from isthmus_sim.task import Goal, Group, Memory, Reward, Task, Transition
from isthmus_sim.terms.terminations import not_finite

SUCCESS = 0.95
"""Share of the goal that must be covered, and more."""
STANDARD_SEEDS = tuple(range(100_000, 100_050))
"""Seeds of the start states on which Push-T is reported."""

Start = tuple[float, float, float, float, float]
"""Where an episode begins: disc x, y and block x, y in px, the block's angle in rad."""

_OUTLINE = Constant(torch.tensor(OUTLINE, dtype=torch.float64))
_LOW, _HIGH = (Constant(torch.tensor(corners, dtype=torch.float64)) for corners in zip(BAR, STEM, strict=True))
_GOAL_PLACE = Constant(torch.tensor(GOAL[:2], dtype=torch.float64))
_GOAL_TURN = Constant(rotation(torch.tensor(GOAL[2], dtype=torch.float64)))


def coverage(position: Tensor, angle: Tensor) -> Tensor:
    """(n,) float64: share of the goal under blocks with the origin at `position` (n, 2) px, turned by `angle` (n, 1)
    rad."""
    turned, place = rotation(angle.double()[:, 0]), position.double()
    outline = _OUTLINE.to(place) @ turned.mT + (place - _GOAL_PLACE.to(place)).unsqueeze(1)
    outline = outline @ _GOAL_TURN.to(place)  # in the goal's frame, where it is two boxes
    return area_in_box(outline.unsqueeze(1), _LOW.to(place), _HIGH.to(place)).sum(-1) / BLOCK_AREA


def paper_start(seed: int) -> Start:
    """Where the paper's environment begins with `seed`, as its evaluation and its human demonstrations do."""
    random = np.random.RandomState(seed)
    agent_x, agent_y = random.randint(50, 450), random.randint(50, 450)
    x, y = random.randint(100, 400), random.randint(100, 400)
    return _turned_about_centre(agent_x, agent_y, x, y, random.randn() * 2 * math.pi - math.pi)


def gym_pusht_start(seed: int) -> Start:
    """Where gym-pusht begins with `seed`."""
    random = np.random.default_rng(seed)
    agent_x, agent_y = int(random.integers(50, 450)), int(random.integers(50, 450))
    x, y = int(random.integers(100, 400)), int(random.integers(100, 400))
    return _turned_about_centre(agent_x, agent_y, x, y, random.uniform(-math.pi, math.pi))


def _turned_about_centre(agent_x: float, agent_y: float, x: float, y: float, angle: float) -> Start:
    """Both put the block's origin at x, y first and then turn the block about its centre of mass."""
    x, y = x + BLOCK_CENTRE * math.sin(angle), y + BLOCK_CENTRE * (1 - math.cos(angle))
    return float(agent_x), float(agent_y), float(x), float(y), float(angle)


@dataclass(frozen=True, kw_only=True)
class PushTConfig:
    """starts: where episodes begin, world i of n at the (i mod n)-th; none: drawn as the published environments do."""

    episode_steps: int = 300
    starts: tuple[Start, ...] = ()


def standard() -> PushTConfig:
    """The paper's 50 start states for evaluation."""
    return PushTConfig(starts=tuple(paper_start(seed) for seed in STANDARD_SEEDS))


class PushT(Task):
    """A target for the disc at 10 Hz, from where the disc and the block are."""

    name = "push_t"
    action_size = 2
    has_goal = True
    groups = {"actor": Group(shape=(5,)), "critic": Group(shape=(8,))}

    def __init__(self, robot: RobotDescription, config: PushTConfig) -> None:
        self.robot, self.config = robot, config
        self.scene = Scene(
            robot=robot,
            timestep_s=TIMESTEP,
            quantities=(*joint_motion(AGENT_JOINTS, "agent_"), *joint_motion(BLOCK_JOINTS, "block_joint_")),
        )
        self._cameras = {signal.name: signal.shape[0] for signal in robot.signals if signal.dtype == "uint8"}
        self.episode_steps = config.episode_steps
        self.rewards = {"coverage": Reward(weight=1.0, function=self._covered_share)}
        self._seen: State | None = None
        self._covered = torch.zeros(0)
        self._starts = Constant(torch.tensor(config.starts, dtype=torch.float64).reshape(-1, 5))

    # --- on the robot and in simulation ---

    def observe(self, signals: Signals, memory: Memory) -> dict[str, Tensor]:
        return {
            "actor": torch.cat((signals["agent_position"], signals["block_position"], signals["block_angle"]), dim=-1)
        }

    def act(self, action: Tensor, signals: Signals, memory: Memory) -> Commands:
        return {"target_position": MIDDLE * (action + 1)}

    def action_of(self, commands: Commands, signals: Signals, memory: Memory) -> Tensor:
        return commands["target_position"] / MIDDLE - 1

    # --- in simulation only ---

    def sense(self, state: State, goal: Goal) -> Signals:
        numbers = {
            "agent_position": to_pixels(state["agent_position"]),
            "block_position": to_pixels(block_position(state)),
            "block_angle": torch.remainder(-block_angle(state), 2 * math.pi),
        }
        return numbers | {name: _pictures(numbers, size) for name, size in self._cameras.items()}

    def privileged(self, state: State, goal: Goal, engine: Engine, ids: Tensor | None) -> dict[str, Tensor]:
        angle = block_angle(state)
        seen = (state["agent_position"], state["agent_velocity"], block_position(state), angle.cos(), angle.sin())
        return {"critic": torch.cat(seen, dim=-1)}

    def _covered_share(self, step: Transition) -> Tensor:
        return (self._coverage(step.state) / SUCCESS).clamp(0.0, 1.0)

    def metrics(self, state: State, goal: Goal) -> dict[str, Tensor]:
        return {"coverage": self._coverage(state)}

    def terminated(self, state: State, goal: Goal) -> Tensor:
        return not_finite(state["agent_position"], state["block_joint_position"])

    def succeeded(self, state: State, goal: Goal) -> Tensor:
        return self._coverage(state) > SUCCESS

    def _coverage(self, state: State) -> Tensor:
        """Worked out once for a state, which is asked for it several times."""
        if state is not self._seen:
            self._seen = state
            self._covered = coverage(to_pixels(block_position(state)), -block_angle(state)).float()
        return self._covered

    def start(self, ids: Tensor, level: Tensor, params: Params, generator: torch.Generator) -> State:
        start = self._given(ids) if self.config.starts else _drawn(len(ids), generator)
        return _state(start[:, :2], start[:, 2:4], start[:, 4:])

    def state_of(self, signals: Signals) -> State:
        agent, block, angle = (signals[name].double() for name in ("agent_position", "block_position", "block_angle"))
        return _state(agent, block, angle)

    def _given(self, ids: Tensor) -> Tensor:
        """(k, 5) float64: the starts of worlds `ids` (k,)."""
        return self._starts.to(torch.empty(0, dtype=torch.float64, device=ids.device))[ids % len(self.config.starts)]


def _pictures(numbers: Signals, size: int) -> Tensor:
    """(n, size, size, 3) uint8 RGB: the table from above, as the published environments draw it."""
    from isthmus_sim.robots.pusher.drawing import image  # OpenCV is not everybody's who knows the state

    blocks = torch.cat((numbers["block_position"], numbers["block_angle"]), dim=-1).cpu().numpy()
    agents = numbers["agent_position"].cpu().numpy()
    drawn = [image(agent, block, size=size) for agent, block in zip(agents, blocks, strict=True)]
    return torch.from_numpy(np.stack(drawn)).to(numbers["block_angle"].device)


def _state(agent: Tensor, block: Tensor, angle: Tensor) -> State:
    """The state in which disc and block are at places (n, 2) px, the block turned by `angle` (n, 1) rad, as the signals
    have them."""
    centre = to_metres(block) + _to_centre_of_mass(-angle)
    return {"agent_position": to_metres(agent), "block_joint_position": torch.cat((centre, -angle), dim=-1)}


def block_position(state: State) -> Tensor:
    """(n, 2) m, world: the block's origin. Its joints move its centre of mass."""
    return state["block_joint_position"][:, :2] - _to_centre_of_mass(block_angle(state))


def block_angle(state: State) -> Tensor:
    """(n, 1) rad about world z, not wrapped."""
    return state["block_joint_position"][:, 2:]


def _to_centre_of_mass(angle: Tensor) -> Tensor:
    """(n, 2) m: from the block's origin to its centre of mass, turned by `angle` (n, 1) rad; y is up."""
    return BLOCK_CENTRE * PIXEL * torch.cat((angle.sin(), -angle.cos()), dim=-1)


def _drawn(n: int, generator: torch.Generator) -> Tensor:
    """(n, 5) float64: starts, evenly distributed over where gym-pusht begins."""
    device = generator.device
    agent = torch.randint(50, 450, (n, 2), generator=generator, device=device).double()
    block = torch.randint(100, 400, (n, 2), generator=generator, device=device).double()
    angle = math.pi * (2 * torch.rand(n, 1, generator=generator, device=device, dtype=torch.float64) - 1)
    block += BLOCK_CENTRE * torch.cat((angle.sin(), 1 - angle.cos()), dim=-1)
    return torch.cat((agent, block, angle), dim=-1)
