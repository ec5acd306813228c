"""The tasks that the project ships, as they are registered."""

from __future__ import annotations

from isthmus_sim.tasks import TaskEntry
from isthmus_sim.tasks.hover import Hover, HoverConfig, following_figure_eight, randomized
from isthmus_sim.tasks.peg import Peg, PegConfig
from isthmus_sim.tasks.pick_place import PickPlace, PickPlaceConfig
from isthmus_sim.tasks.pick_place import randomized as other_desks
from isthmus_sim.tasks.push_t import PushT, PushTConfig, standard
from isthmus_sim.tasks.reach_cube import ReachCube, ReachCubeConfig
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig, rough, two_legs

_WALKING = {
    "iterations": 900,
    "episode_steps": None,
    "policy": {
        "actor": (128, 128), "critic": (128, 128), "activation": "elu", "hidden_gain": 0.85, "initial_std": 0.5,
    },
    "algorithm": {
        "num_steps": 24, "epochs": 2, "minibatches": 4, "lam": 0.95, "kl_target": (0.02, 0.006), "symmetry": True,
    },
}  # fmt: skip
_ARM = "isthmus_policies.demonstrate.tasks.pick_place:DEMONSTRATION"
_DISC = "isthmus_policies.demonstrate.tasks.push_t:DEMONSTRATION"

QUADROTOR = TaskEntry(
    make=Hover,
    robot="crazyflie",
    config=HoverConfig(),
    summary="hold a position by direct motor commands",
    mission="isthmus_policies.demo.report.missions.flight:FLIGHT",
)
# A policy for a real airframe follows trajectories rather than saves itself from the worst starts: longer episodes, and
# more of the curriculum, which is where precision comes from.
QUADROTOR_RANDOMIZED = TaskEntry(
    make=Hover,
    robot="crazyflie",
    config=randomized(),
    training={"iterations": 700, "episode_steps": 200, "curriculum_end": 0.6},
    summary="the same for a real airframe: another one every episode",
)
FIGURE_EIGHT_SLOW = TaskEntry(
    make=Hover,
    robot="crazyflie",
    config=following_figure_eight(10.0),
    training=None,
    summary="follow a figure eight of 10 s",
)
FIGURE_EIGHT_FAST = TaskEntry(
    make=Hover,
    robot="crazyflie",
    config=following_figure_eight(5.5),
    training=None,
    summary="follow a figure eight of 5.5 s",
)
QUADRUPED = TaskEntry(
    make=VelocityTracking,
    robot="quadruped",
    config=VelocityConfig(),
    training=_WALKING,
    summary="walk as told on flat ground",
    mission="isthmus_policies.demo.report.missions.walk:WALK",
)
QUADRUPED_ROUGH = TaskEntry(
    make=VelocityTracking,
    robot="quadruped",
    config=rough(),
    training={**_WALKING, "num_envs": 1024},
    summary="walk as told on rough ground",
    mission="isthmus_policies.demo.report.missions.walk:WALK",
)
BIPED = TaskEntry(
    make=VelocityTracking,
    robot="biped",
    config=two_legs(),
    training={
        **_WALKING,
        "num_envs": 1024,
        "iterations": 400,
        # It cannot measure how fast it is; what it is off on average would lead it astray.
        "policy_name": "averaging_estimator",
        "policy": {
            **_WALKING["policy"],
            "initial_std": 0.8,
            "target": "tracking_error",
            "estimator": (128, 64),
        },
        "algorithm": {**_WALKING["algorithm"], "epochs": 4},
    },
    summary="walk as told on two legs",
    mission="isthmus_policies.demo.report.missions.walk:WALK",
)
PUSH_T = TaskEntry(
    make=PushT,
    robot="pusher",
    config=PushTConfig(),
    summary="push a T into its goal",
    demonstration=_DISC,
    mission="isthmus_policies.demo.report.missions.push:PUSH",
)
PUSH_T_STANDARD = TaskEntry(
    make=PushT,
    robot="pusher",
    config=standard(),
    training=None,
    summary="the same from the 50 published starts",
)
PUSH_T_CAMERA = TaskEntry(
    make=PushT,
    robot="pusher_camera",
    config=PushTConfig(),
    training=None,
    summary="the same, with a picture of the table among the robot's readings",
)
PICK_PLACE = TaskEntry(
    make=PickPlace,
    robot="so101",
    config=PickPlaceConfig(),
    summary="put the cube into the zone",
    demonstration=_ARM,
    mission="isthmus_policies.demo.report.missions.place:PLACE",
)
PICK_PLACE_RANDOMIZED = TaskEntry(
    make=PickPlace,
    robot="so101",
    config=other_desks(),
    summary="the same at desks that look different",
    demonstration=_ARM,
)
PICK_PLACE_CAMERAS = TaskEntry(
    make=PickPlace,
    robot="so101_cameras",
    config=other_desks(),
    training=None,
    summary="the same there, with both cameras among the robot's readings",
)
REACH_CUBE = TaskEntry(
    make=ReachCube,
    robot="so101_camera",
    config=ReachCubeConfig(),
    # What sees learns where the cube is from simulation's truth, apart from the actions: far fewer images than by
    # reward alone. Short episodes show more cubes in as many images.
    training={
        "iterations": 500,
        "num_envs": 128,
        "episode_steps": 75,
        "policy_name": "estimator",
        "policy": {
            "actor_groups": ("actor", "image"),
            "direct_groups": ("actor",),
            "target": "cube",
            "learning_rate": 3e-3,
            "activation": "elu",
            "hidden_gain": 1.0,
            "initial_std": 0.5,
        },
        "algorithm": {"num_steps": 16, "epochs": 2, "minibatches": 4, "lam": 0.95, "kl_target": (0.02, 0.005)},
    },
    summary="bring the tip to a cube that only the camera shows",
)
PEG = TaskEntry(
    make=Peg,
    robot="so101_peg",
    config=PegConfig(),
    # As people teach it, on a quarter of an hour of one arm: few worlds, many gradient steps.
    training={
        "iterations": 1125,
        "num_envs": 4,
        "policy": {"critic_groups": ("actor", "critic"), "actor": (64, 64), "critic": (64, 64)},
        "algorithm_name": "sac",
        "algorithm": {"update_ratio": 1.0, "gamma": 0.98, "warm_up": 512, "initial_temperature": 0.05},
    },
    summary="bring the peg into a hole that only touch finds",
    demonstration="isthmus_policies.demonstrate.tasks.peg:DEMONSTRATION",
    mission="isthmus_policies.demo.report.missions.insert:INSERT",
)
