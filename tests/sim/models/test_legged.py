"""Any model of a legged robot gets joints, motors, feet and ground, or says what it lacks."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import mujoco
import pytest
from conftest import DRIVES, ENDS
from dogs import MJCF, RANGES, URDF

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.legged import load_legged
from isthmus_sim.models.reading import read_model
from isthmus_sim.robots.quadruped.description import DEFAULT_POSE, FEET, JOINTS, MOTORS


def _stand(model: mujoco.MjModel) -> mujoco.MjData:
    """After 3 s of holding the default pose from just above the ground."""
    data = mujoco.MjData(model)
    joints = [model.joint(name) for name in JOINTS]
    q, v = ([int(getattr(joint, field)[0]) for joint in joints] for field in ("qposadr", "dofadr"))
    data.qpos[:7], data.qpos[q] = (0, 0, 0.35, 1, 0, 0, 0), DEFAULT_POSE
    for _ in range(round(3 / model.opt.timestep)):
        data.ctrl[:] = 25 * (DEFAULT_POSE - data.qpos[q]) - 0.5 * data.qvel[v]
        mujoco.mj_step(model, data)
    return data


@pytest.mark.parametrize("text", [URDF, MJCF], ids=["urdf", "mjcf"])
def test_a_users_model_stands_on_its_feet(load, text: str):
    spec = load(text).spec
    for foot in FEET:
        spec.add_sensor(name=foot, type=mujoco.mjtSensor.mjSENS_TOUCH, objtype=mujoco.mjtObj.mjOBJ_SITE, objname=foot)
    model = spec.compile()
    data = _stand(model)
    assert [model.actuator(i).name for i in range(model.nu)] == list(JOINTS)
    assert 0.2 < data.qpos[2] < 0.35
    assert data.qpos[3] > 0.99  # upright
    weight = 9.81 * model.body_mass.sum()
    assert data.sensordata.sum() == pytest.approx(weight, rel=0.02)
    assert (data.sensordata > 0.1 * weight).all()


@pytest.mark.parametrize("text", [URDF, MJCF], ids=["urdf", "mjcf"])
def test_joints_get_the_motors_of_the_robot(load, text: str):
    model = load(text).spec.compile()
    for name in JOINTS:
        motor, joint = MOTORS[name.split("_")[1]], model.joint(name)
        assert float(joint.armature[0]) == pytest.approx(motor.armature)
        assert float(joint.damping[0]) == pytest.approx(motor.damping)
        assert float(joint.frictionloss[0]) == pytest.approx(motor.friction)
    assert model.nkey == 0


def test_limits_and_masses_stay_the_models_own(load):
    for text in (URDF, MJCF):
        model = load(text).spec.compile()
        assert model.body_mass.sum() == pytest.approx(6 + 4 * (0.5 + 1.0 + 0.2) + (0.2 if text is URDF else 0))
        assert model.joint("RL_thigh_joint").range == pytest.approx(RANGES["thigh"])


def test_feet_are_where_the_calves_end(load):
    for text, x in ((URDF, 0.0), (MJCF, 0.01)):
        model = load(text).spec.compile()
        assert model.site("FL").pos[0] == pytest.approx(x)
        assert model.site("RR").pos[0] == pytest.approx(-x)


def test_what_was_changed_is_told(load):
    assert load(URDF).changes == ("the base 'base' got a free joint", "a plane was added as ground")
    assert load(MJCF).changes[0] == "joint 'FL_hip' is 'FL_hip_joint'"
    assert len(load(MJCF).changes) == 13
    assert load(MJCF).changes[12] == "the file's actuators, sensors, key frames are left out: the robot has its own"


def test_a_joint_beyond_the_twelve_is_told(load):
    tail = '<body name="tail"><joint name="wag"/><geom size="0.02" mass="0.1"/></body></body></worldbody>'
    changes = load(MJCF, ("</body></worldbody>", tail)).changes
    assert changes[-1] == "joint 'wag' has no motor and hangs loose"


@pytest.mark.parametrize("text", [URDF, MJCF], ids=["urdf", "mjcf"])
def test_the_friction_of_the_ground_counts(load, text: str):
    model = load(text).spec.compile()
    model.geom("ground").friction[0] = 0.4
    contacts = _stand(model).contact
    assert len(contacts.friction) >= 4
    assert contacts.friction[:, 0] == pytest.approx(0.4)


@pytest.mark.parametrize("plane", ['pos="0 0 -1"', 'euler="0 5 0"'])
def test_a_ground_that_is_elsewhere_is_named(load, plane: str):
    with pytest.raises(ModelError, match=r"'floor'.*level"):
        load(MJCF, ('type="plane"', f'type="plane" {plane}'))


def test_all_missing_joints_are_named_with_what_there_is(load):
    with pytest.raises(ModelError) as error:
        load(URDF, ("FL_hip_joint", "left_front_abduction"), ("RR_calf_joint", "knee"))
    text = str(error.value)
    assert "missing joints: FL_hip_joint, RR_calf_joint." in text
    assert "left_front_abduction" in text
    assert "knee" in text
    assert "dog.urdf" in text


def test_joints_without_limits_are_named_with_the_fix(load):
    no_limits = (r'lower="-2.7" upper="-0.8" ', "")
    with pytest.raises(ModelError, match=r"without limits: RL_calf_joint, RR_calf_joint.*<limit lower="):
        load(URDF, no_limits, no_limits)
    with pytest.raises(ModelError, match=r"without limits: RL_hip_joint\..*range="):
        load(MJCF, (r'(name="RL_hip" axis="1 0 0") range="[^"]*"', r"\1"))


@pytest.mark.parametrize("mass", ["-1.0", "0.0"])
def test_a_link_without_mass_is_named(load, mass: str):
    with pytest.raises(ModelError, match="'RL_thigh'"):
        load(URDF, (r'(RL_thigh"><inertial><mass value=)"1.0"', rf'\1"{mass}"'))


def test_a_geom_of_negative_mass_is_named_by_its_body(load):
    with pytest.raises(ModelError, match="'trunk', by a geom"):
        load(MJCF, ('mass="6"', 'mass="-6"'))


def test_a_calf_without_a_foot_is_named(load):
    with pytest.raises(ModelError, match=r"no feet: FR\. .*site"):
        load(URDF, (r'(FR_foot".*?)<sphere radius="0.02"/>', r'\1<box size="0.02 0.02 0.02"/>'))


def test_what_is_no_model_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match="'menagerie:NAME', or the path"):
        read_model("go2", floating=True)
    with pytest.raises(ModelError, match="'menagerie:NAME', or the path"):
        read_model(str(tmp_path / "absent.xml"), floating=True)
    (tmp_path / "broken.xml").write_text("<mujoco><nonsense/></mujoco>")
    with pytest.raises(ModelError, match=r"broken\.xml.*unrecognized element"):
        read_model(str(tmp_path / "broken.xml"), floating=True)


def test_a_mesh_that_is_not_there_is_named(load):
    with pytest.raises(ModelError, match=r"trunk\.stl"):
        load(URDF, ('<box size="0.4 0.1 0.1"/>', '<mesh filename="trunk.stl"/>'))


def test_menagerie_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "mujoco_menagerie", None)
    with pytest.raises(ModelError, match="pip install mujoco-menagerie"):
        read_model("menagerie:unitree_go2", floating=True)


needs_menagerie = pytest.mark.skipif(
    importlib.util.find_spec("mujoco_menagerie") is None, reason="pip install mujoco-menagerie"
)


@needs_menagerie
def test_menagerie_that_cannot_be_reached_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MENAGERIE_ROOT", str(tmp_path))
    with pytest.raises(ModelError, match=r"unitree_go2.*MENAGERIE_ROOT"):
        read_model("menagerie:unitree_go2", floating=True)
    with pytest.raises(ModelError, match="unitree_go3"):
        read_model("menagerie:unitree_go3", floating=True)


@needs_menagerie
def test_a_menagerie_model_stands():
    import mujoco_menagerie  # pyright: ignore[reportMissingImports]

    if not mujoco_menagerie.Cache().is_cached(mujoco_menagerie.get("unitree_go2")):
        pytest.skip("not downloaded: mujoco-menagerie prefetch unitree_go2")
    data = _stand(load_legged("menagerie:unitree_go2", DRIVES, ENDS).spec.compile())
    assert 0.2 < data.qpos[2] < 0.35
    assert data.qpos[3] > 0.99
