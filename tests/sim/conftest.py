"""Engines and start states that the simulation's tests share."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mujoco
import pytest
import torch
from hypothesis import settings

from isthmus_sim.description import RobotSpec
from isthmus_sim.engine import ArticulatedState, State
from isthmus_sim.engines.analytic_quadrotor import AnalyticQuadrotor
from isthmus_sim.engines.mujoco_legged import MujocoLegged
from isthmus_sim.engines.mujoco_quadrotor import MujocoQuadrotor
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, FEET, JOINTS, MOTORS, SPEC, STAND_HEIGHT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.terrain import Terrain

# The first example pays for what torch sets up.
settings.register_profile("isthmus", deadline=None)
settings.load_profile("isthmus")

Quadrotors = AnalyticQuadrotor | MujocoQuadrotor
MakeEngine = Callable[..., Quadrotors]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MuJoCo writes MUJOCO_LOG.TXT where it runs."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["analytic", "mujoco"])
def make_engine(request: pytest.FixtureRequest) -> MakeEngine:
    """Either engine: number of worlds -> quadrotors."""
    if request.param == "analytic":
        return AnalyticQuadrotor
    return lambda n, *args, **options: MujocoQuadrotor(n, *args, num_threads=1, **options)


@pytest.fixture
def level() -> Callable[..., State]:
    """n worlds at rest at the origin, level, with rotors at `rotor_speed` (4,) or one number, rad/s."""

    def make(n: int, rotor_speed: float | list[float] = 0.0) -> State:
        return State(
            position=torch.zeros(n, 3),
            orientation=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
            linear_velocity=torch.zeros(n, 3),
            angular_velocity=torch.zeros(n, 3),
            actuator=torch.zeros(n, 4) + torch.tensor(rotor_speed),
        )

    return make


@pytest.fixture
def tumbling() -> Callable[..., State]:
    """n worlds anywhere, in any attitude, moving and turning."""

    def make(n: int, seed: int = 0) -> State:
        generator = torch.Generator().manual_seed(seed)

        def normal(size: int) -> torch.Tensor:
            return torch.randn(n, size, generator=generator)

        orientation = normal(4)
        return State(
            position=normal(3),
            orientation=orientation / orientation.norm(dim=-1, keepdim=True),
            linear_velocity=normal(3),
            angular_velocity=2 * normal(3),
            actuator=1000 + 500 * torch.rand(n, 4, generator=generator),
        )

    return make


def _make_legged(
    n: int, model: mujoco.MjSpec | None = None, terrain: Terrain | None = None, spec: RobotSpec = SPEC
) -> MujocoLegged:
    motors = tuple(MOTORS[name.split("_")[1]] for name in JOINTS)
    model = model or mujoco.MjSpec.from_string(quadruped_mjcf())
    return MujocoLegged(model, spec, motors, FEET, n, terrain=terrain, num_threads=1)


@pytest.fixture(scope="session")
def make_legged() -> Callable[..., MujocoLegged]:
    """Number of worlds, model, terrain, specification -> quadrupeds."""
    return _make_legged


def _standing(n: int, height: float = STAND_HEIGHT) -> ArticulatedState:
    pose, feet = torch.tensor(DEFAULT_POSE).repeat(n, 1), torch.zeros(n, 4, 3)
    return ArticulatedState(
        position=torch.tensor([0.0, 0.0, height]).repeat(n, 1),
        orientation=torch.tensor([1.0, 0.0, 0.0, 0.0]).repeat(n, 1),
        linear_velocity=torch.zeros(n, 3), angular_velocity=torch.zeros(n, 3), actuator=pose.clone(),
        joint_position=pose.clone(), joint_velocity=torch.zeros(n, 12), joint_torque=torch.zeros(n, 12),
        joint_power=torch.zeros(n, 12), foot_position=feet, foot_velocity=feet, foot_force=feet[..., 0],
    )  # fmt: skip


@pytest.fixture(scope="session")
def standing() -> Callable[..., ArticulatedState]:
    """n quadrupeds at rest in the default pose, their bases at `height` m."""
    return _standing
