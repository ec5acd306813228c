"""What a process needs that is no training, such as another simulator's worker or a stand-in robot, does without the
rest."""

from __future__ import annotations

import subprocess
import sys

MODULES = (
    "description", "actuators", "variations", "scene", "engine", "task", "env", "sensors", "commands", "registry",
    "scenes.terrain", "scenes.polygons", "rendering.offscreen", "terms.curricula", "terms.events",
    "terms.randomization", "terms.rewards", "terms.terminations", "engines.entries", "tasks.entries",
)  # fmt: skip
DESCRIBE = """
from isthmus_sim.robots import ROBOTS
from isthmus_sim.scenes.desk import desk_scene
from isthmus_sim.tasks.velocity import VelocityTracking
from isthmus_sim.tasks.velocity_config import VelocityConfig, rough

dog = ROBOTS["quadruped"]
flat, hilly = (VelocityTracking(dog, config).scene for config in (VelocityConfig(), rough()))
for scene in (flat, hilly, desk_scene(ROBOTS["so101"])):
    assert scene.quantities and scene.parameters and "<mujoco" in scene.source()
"""
FLY = """
import torch
from isthmus_sim.engines import make_engine
from isthmus_sim.env import Env
from isthmus_sim.tasks.hover import Hover, HoverConfig

task = Hover(ROBOTS["crazyflie"], HoverConfig())
env = Env(task, make_engine(task.scene, 2, "analytic"), seed=0)
env.reset()
assert env.step(torch.zeros(2, 4)).reward.shape == (2,)
"""


def test_tasks_scenes_and_the_analytic_engine_do_without_mujoco():
    """Only the model of a scene is MuJoCo's affair, and it is text."""
    imports = "\n".join(f"import isthmus_sim.{module}" for module in MODULES)
    code = f"import sys; sys.modules['mujoco'] = None\n{imports}\n{DESCRIBE}\n{FLY}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_descriptions_and_stand_ins_of_them_do_without_torch():
    """It takes seconds to load, and another simulator's Python may have none."""
    code = """
import sys; sys.modules['torch'] = None
import isthmus_sim.engines
from isthmus_deploy.ros.stand_in_robot.worlds.world import make_world
from isthmus_sim.robots import ROBOTS

for name in ("quadruped", "biped", "so101"):
    world = make_world(ROBOTS[name], seed=1)
    world.step({command.name: None for command in ROBOTS[name].commands}, 5)
    assert world.sense().keys() >= {"joint_position", "joint_velocity"}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
