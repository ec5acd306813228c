"""The process of a simulator: what is shared is what was meant, and whatever goes wrong there is one error in words."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import mujoco
import numpy as np
import pytest
import torch
from quadrupeds import POSE, begin, hold, standing, step
from workers import SIMULATORS, MakeWorker, imports, opened, stand_in

from isthmus_sim.engine import UnsupportedError
from isthmus_sim.engines.mujoco_model import compile_scene
from isthmus_sim.engines.worker.engine import WorkerEngine
from isthmus_sim.engines.worker.process import Simulator, WorkerError
from isthmus_sim.engines.worker.robot_of_scene import robot_of_scene
from isthmus_sim.robots import ROBOTS
from isthmus_sim.robots.quadruped.description import ROBOT
from isthmus_sim.robots.quadruped.mjcf import quadruped_mjcf
from isthmus_sim.scene import legged_scene
from isthmus_sim.worker.robot import from_json, to_json
from isthmus_sim.worker.urdf import urdf

PYTHON38 = os.environ.get("ISTHMUS_TEST_PYTHON38", "python3.8")


@pytest.fixture
def floating() -> Iterator[MakeWorker]:
    yield from opened(stand_in("misbehaving:Floating"))


def started(simulator: Simulator) -> WorkerEngine:
    return WorkerEngine(legged_scene(ROBOT), 2, simulator)


# What is shared
# ---------------------------------------------------------------------------------------------------------------------
def test_joints_are_permuted_by_name_both_ways(floating: MakeWorker):
    """The simulator has them backwards: the torque of each reaches it, and its motion comes back."""
    engine, target = floating(2), POSE.repeat(2, 1)
    begin(engine, standing(2), strength=torch.ones(2, 12), command_delay_s=[[0.0], [0.0]])
    target[0, 3] += 0.2
    moved = step(engine, target)["joint_position"] - POSE
    assert float(moved[0, 3]) > 0.01
    assert float(moved[0].abs().sum() - moved[0, 3]) == 0.0
    assert not moved[1].any()


def test_a_request_of_nothing_is_none(floating: MakeWorker):
    engine = floating(2)
    begin(engine, standing(2))
    os.kill(engine.process.pid, 19)  # stopped: it could not answer
    assert engine.advance(None)["position"].shape == (2, 3)
    os.kill(engine.process.pid, 18)


def test_no_file_is_left_and_no_process(floating: MakeWorker):
    engine = started(stand_in("misbehaving:Floating"))
    shared = [line for line in Path("/proc/self/maps").read_text().splitlines() if "/isthmus-" in line]
    assert shared
    assert all(line.endswith("(deleted)") for line in shared), "what is mapped has no name any more"
    engine.close()
    with pytest.raises(ProcessLookupError):
        os.kill(engine.process.pid, 0)
    with pytest.raises(WorkerError, match="the engine 'stand-in' was closed"):
        hold(engine, 1)


def test_a_key_pressed_in_the_terminal_does_not_reach_it(floating: MakeWorker):
    """Ctrl-C goes to a whole session: training must be able to save what it has."""
    assert os.getsid(floating(1).process.pid) != os.getsid(0)


def test_a_worker_ends_with_whoever_started_it(tmp_path: Path):
    """Killed without a word: nobody is left to tell the worker, but the end of its input does."""
    script = tmp_path / "leave.py"
    script.write_text(
        "import os, sys, isthmus_sim\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from isthmus_sim.engines.worker.engine import WorkerEngine\n"
        "from workers import legged_scene, ROBOT, stand_in\n"
        "engine = WorkerEngine(legged_scene(ROBOT), 1, stand_in('misbehaving:Floating'))\n"
        "print(engine.process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60)
    assert ended.returncode == -9
    watcher = os.pidfd_open(int(ended.stdout)) if Path(f"/proc/{int(ended.stdout)}").exists() else None
    if watcher is not None:  # it may be gone already
        import select

        assert select.select([watcher], [], [], 10.0)[0], "the worker goes on"


# What goes wrong
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("physics", "options", "message"),
    [
        ("DiesAtBirth", {}, r"'stand-in' ended with -6\. Mend the stand-in\. It said last: no licence found"),
        ("HangsAtBirth", {"start_s": 1.0}, r"did not answer within 1 s, and was stopped\. Mend the stand-in\."),
        ("OtherRobot", {}, r"answered for another joints: \['left_wheel', 'right_wheel'\], not \['FL_calf_joint'"),
        ("Lacking", {}, r"failed: ModuleNotFoundError: No module named 'a_package_that_nobody_has'\. Mend the stand"),
    ],
)
def test_a_simulator_that_does_not_start_is_one_error(physics: str, options: dict, message: str):
    with pytest.raises(WorkerError, match=message):
        started(stand_in(f"misbehaving:{physics}", **options))


@pytest.mark.parametrize(
    ("physics", "message"),
    [
        ("DiesAtWork", r"'stand-in' ended with 7\. Mend the stand-in\."),
        ("Raises", r"'stand-in' failed: ArithmeticError: the solver does not converge\. Mend"),
        ("Hangs", r"'stand-in' did not answer within 1 s, and was stopped\."),
    ],
)
def test_a_simulator_that_stops_at_work_is_one_error(physics: str, message: str):
    engine = started(stand_in(f"misbehaving:{physics}", answer_s=1.0))
    begin(engine, standing(2))
    with pytest.raises(WorkerError, match=message):
        hold(engine, 1)
    with pytest.raises(WorkerError):
        hold(engine, 1)  # and goes on to be one
    engine.close()


def test_a_missing_interpreter_is_named_with_the_remedy():
    with pytest.raises(WorkerError, match=r"needs the interpreter 'python2\.9', which does not start \(No such file"):
        started(replace(SIMULATORS["sapien"](), python="python2.9"))
    with pytest.raises(WorkerError, match=r"No module named 'isaacgym'\. It needs Isaac Gym Preview 4, from NVIDIA"):
        started(replace(SIMULATORS["isaacgym-stand-in"](), path=""))


def test_what_a_worker_cannot_build_is_refused_in_words(floating: MakeWorker):
    def changed(old: str, new: str) -> WorkerEngine:
        text = quadruped_mjcf()
        assert old in text
        return floating(1, legged_scene(replace(ROBOT, model=lambda looks: text.replace(old, new))))

    with pytest.raises(UnsupportedError, match="let robots touch the ground alone, and parts of this one touch"):
        changed('class="collision"><geom contype="1" conaffinity="0"', 'class="collision"><geom contype="1"')
    with pytest.raises(UnsupportedError, match="spheres, capsules, cylinders and boxes, and trunk is none"):
        changed('name="trunk" class="collision" type="box"', 'name="trunk" class="collision" type="ellipsoid"')
    two = legged_scene(ROBOT)
    forces = next(q for q in two.quantities if q.kind == "contact_force")
    with pytest.raises(UnsupportedError, match="feel one foot a body"):
        floating(1, replace(two, quantities=(*two.quantities, replace(forces, name="again"))))


# Python 3.8
# ---------------------------------------------------------------------------------------------------------------------
def test_the_worker_runs_on_python_3_8():
    """NumPy alone; its numbers are those of this interpreter."""
    if not imports(PYTHON38, "numpy, sys; assert sys.version_info[:2] == (3, 8)"):
        pytest.skip(f"{PYTHON38!r} is no Python 3.8 with NumPy: ISTHMUS_TEST_PYTHON38=such an interpreter")
    states = []
    for python in (sys.executable, shutil.which(PYTHON38) or PYTHON38):
        engine = started(stand_in("misbehaving:Floating", python=python))
        begin(engine, standing(2))
        states.append(hold(engine, 5)["joint_torque"].clone())
        states.append(step(engine, POSE.repeat(2, 1) + 0.3)["joint_torque"].clone())
        engine.close()
    torch.testing.assert_close(states[:2], states[2:], rtol=1e-6, atol=1e-6)
    assert float(states[1].abs().max()) > 1.0


# The robot in other words
# ---------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["quadruped", "biped"])
def test_the_urdf_is_the_robot(name: str):
    """Read by MuJoCo's own importer: masses, places, inertias, axes and limits are those of the model, and so is the
    mass matrix in a bent pose."""
    scene = legged_scene(ROBOTS[name])
    model = compile_scene(scene)
    robot = robot_of_scene(scene, model, 1, [])
    assert from_json(to_json(robot)) == robot
    root = ElementTree.fromstring(urdf(robot))
    own = ElementTree.SubElement(root, "mujoco")
    ElementTree.SubElement(own, "compiler", fusestatic="false", balanceinertia="false")
    read = mujoco.MjModel.from_xml_string(ElementTree.tostring(root, encoding="unicode"))
    n = len(robot.joints)
    assert [read.joint(i).name for i in range(n)] == [model.joint(i + 1).name for i in range(n)]
    np.testing.assert_allclose(read.body_mass[1:], model.body_mass[1:], rtol=1e-6)
    np.testing.assert_allclose(read.jnt_range, model.jnt_range[1:], atol=1e-6)
    read.dof_armature[:] = model.dof_armature[6:]
    data, expected = mujoco.MjData(read), mujoco.MjData(model)
    data.qpos[:] = expected.qpos[7:] = np.linspace(0.1, 0.9, n)
    matrices = []
    for m, d in ((read, data), (model, expected)):
        mujoco.mj_forward(m, d)
        full = np.zeros((m.nv, m.nv))
        mujoco.mj_fullM(m, d, full)
        matrices.append(full[-n:, -n:])
    np.testing.assert_allclose(matrices[0], matrices[1], rtol=1e-4, atol=1e-7)
    shapes = sum(len(body.geoms) for body in robot.bodies)
    assert read.ngeom == shapes + 2 * sum(g.kind == "capsule" for body in robot.bodies for g in body.geoms)
