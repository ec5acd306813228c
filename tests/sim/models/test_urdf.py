"""URDF as people publish it: mended where its meaning is clear, refused by name where it is not."""

# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import mujoco
import numpy as np
import pytest
from dogs import URDF

from isthmus_sim.models.errors import ModelError
from isthmus_sim.models.reading import read_model
from isthmus_sim.models.urdf.mending import mend_urdf

BOX = "<collision><geometry><box size='0.2 0.2 0.2'/></geometry></collision>"
TETRAHEDRON = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"


def link(name: str, mass: float | None = None, inside: str = "", inertia: str = "ixx='1' iyy='1' izz='1'") -> str:
    inertial = f"<inertial><mass value='{mass}'/><inertia {inertia}/></inertial>" if mass is not None else ""
    return f"<link name='{name}'>{inertial}{inside}</link>"


def joint(parent: str, child: str, kind: str = "fixed", inside: str = "", origin: str = "xyz='0 0 0'") -> str:
    return (
        f"<joint name='{parent}_{child}' type='{kind}'><parent link='{parent}'/><child link='{child}'/>"
        f"<origin {origin}/><limit lower='-1' upper='1' effort='9' velocity='5'/>{inside}</joint>"
    )


Read = Callable[..., mujoco.MjModel]


@pytest.fixture
def read(write: Callable[..., Path]) -> Read:
    """Elements of a URDF -> the compiled model of a robot that floats."""

    def read(*elements: str, floating: bool = True) -> mujoco.MjModel:
        path = write(f"<robot name='r'>{''.join(elements)}</robot>")
        spec = read_model(str(path), floating=floating).spec
        if floating:
            spec.bodies[1].add_freejoint()
        return spec.compile()

    return read


def masses(model: mujoco.MjModel) -> dict[str, float]:
    return {model.body(i).name: float(model.body_mass[i]) for i in range(1, model.nbody)}


# Masses


def test_roots_without_mass_are_welded_to_what_carries_all_else(read: Read):
    model = read(
        link("base_footprint"), link("base_link", 1e-6), link("trunk", 7, BOX), link("leg", 2),
        joint("base_footprint", "base_link", origin="xyz='0 0 0.3'"),
        joint("base_link", "trunk", origin="xyz='0.1 0 0'"), joint("trunk", "leg", "revolute"),
    )  # fmt: skip
    assert masses(model) == {"trunk": pytest.approx(7 + 1e-6), "leg": 2, "base_link": 0, "base_footprint": 0}
    assert model.body(1).name == "trunk"
    assert model.body("base_footprint").parentid == model.body("base_link").id
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    assert data.body("base_footprint").xpos - data.body("trunk").xpos == pytest.approx([-0.1, 0, -0.3])


def test_a_root_that_is_turned_or_carries_legs_stays_the_base(read: Read):
    turned = read(link("base"), link("trunk", 7), joint("base", "trunk", origin="rpy='0 0 1.5'"))
    assert turned.body(1).name == "base"
    kdl = read(link("base", None, BOX), link("weight", 7), link("leg", 2), joint("base", "weight"),
               joint("base", "leg", "revolute"))  # fmt: skip
    assert masses(kdl) == {"base": 7, "weight": 0, "leg": 2}


def test_welded_links_move_with_their_own_centre_and_inertia(read: Read):
    # Two masses of 1 kg, 2 m apart along x: their own inertias of 1 kg·m² each, and 1 kg·(1 m)² each about y and z.
    model = read(link("base"), link("a", 1), link("b", 1), joint("base", "a", origin="rpy='0 0 1.5708'"),
                 joint("a", "b", origin="xyz='0 -2 0'"))  # fmt: skip
    assert model.body("base").ipos == pytest.approx([1, 0, 0], abs=1e-4)
    assert sorted(model.body("base").inertia) == pytest.approx([2, 4, 4], rel=1e-6)


def test_the_mass_matrix_is_the_one_that_the_links_had(write: Callable[..., Path]):
    path = write(URDF)
    spec = mujoco.MjSpec.from_file(str(path))
    spec.compiler.fusestatic = False
    mended = read_model(str(path), floating=True).spec
    matrices = []
    for model in (_free(spec), _free(mended)):
        data, matrix = mujoco.MjData(model), np.zeros((model.nv, model.nv))
        data.qpos[7:] = np.linspace(-1, 1, model.nq - 7)
        mujoco.mj_forward(model, data)
        mujoco.mj_fullM(model, data, matrix)
        matrices.append(matrix)
    assert matrices[0] == pytest.approx(matrices[1], rel=1e-9, abs=1e-12)


def _free(spec: mujoco.MjSpec) -> mujoco.MjModel:
    spec.bodies[1].add_freejoint()
    return spec.compile()


def test_a_shape_without_inertial_adds_no_mass(read: Read):
    model = read(link("trunk", 7), link("shell", None, BOX), link("camera"), joint("trunk", "shell"),
                 joint("shell", "camera"))  # fmt: skip
    assert model.body_mass.sum() == 7
    assert model.ngeom == 1


def test_what_is_said_of_masses(write: Callable[..., Path]):
    path = write(f"<robot name='r'>{link('base', None, BOX)}{link('weight', 7)}{link('leg', 2)}"
                 f"{joint('base', 'weight')}{joint('base', 'leg', 'revolute')}</robot>")  # fmt: skip
    first, second = mend_urdf(path, floating=True).changes
    assert "'base'" in first
    assert "'base'" in second
    assert "'weight'" in second


@pytest.mark.parametrize("shape", ["", BOX])
def test_a_link_that_moves_without_mass_is_named(read: Read, shape: str):
    with pytest.raises(ModelError, match=r"'knee'.*<inertial>"):
        read(link("trunk", 7), link("knee", None, shape), link("shank", 1), joint("trunk", "knee", "revolute"),
             joint("knee", "shank", "revolute"))  # fmt: skip
    with pytest.raises(ModelError, match="'trunk' 0 kg"):
        read(link("trunk", None, shape))
    read(link("trunk", 7), link("knee", None, shape), link("shank", 1), joint("trunk", "knee", "revolute"),
         joint("knee", "shank"))  # fmt: skip


@pytest.mark.parametrize(
    "inertia",
    ["ixx='0' iyy='0' izz='0'", "ixx='-1' iyy='1' izz='1'", "ixx='1' iyy='1' izz='3'",
     "ixx='1' iyy='1' izz='1' ixy='2'"],
    ids=["zero", "negative", "no body", "indefinite"],
)  # fmt: skip
def test_inertias_that_no_body_has_are_named(read: Read, inertia: str):
    with pytest.raises(ModelError, match="'leg'"):
        read(link("trunk", 7), link("leg", 2, inertia=inertia), joint("trunk", "leg", "revolute"))


def test_inertias_that_are_rounded_load(read: Read):
    model = read(link("trunk", 7, inertia="ixx='1' iyy='1' izz='2.01'"))
    assert sorted(model.body("trunk").inertia) == pytest.approx([1.005, 1.005, 2.01], rel=1e-6)


def test_a_camera_with_an_impossible_inertia_counts_with_what_it_is_on(read: Read):
    camera = link("camera", 0.1, inertia="ixx='1e-5' iyy='1e-5' izz='9e-5'")
    model = read(link("trunk", 7), camera, joint("trunk", "camera"))
    assert masses(model) == {"trunk": pytest.approx(7.1), "camera": 0}


def test_a_world_that_the_robot_is_fixed_to_is_left_out_if_it_should_float(read: Read):
    elements = (link("world"), link("trunk", 7), joint("world", "trunk", origin="xyz='0 0 1'"))
    assert read(*elements).body(1).name == "trunk"
    bolted = read(*elements, floating=False)
    assert bolted.body("trunk").pos == pytest.approx([0, 0, 1])


def test_a_floating_joint_is_what_a_free_body_is(read: Read):
    model = read(link("odom"), link("trunk", 7), joint("odom", "trunk", "floating"))
    assert masses(model) == {"trunk": 7}


def test_the_base_can_be_chosen_among_what_is_welded_to_the_root(write: Callable[..., Path]):
    path = write(f"<robot name='r'>{link('trunk', 7)}{link('imu')}{link('leg', 1)}"
                 f"{joint('trunk', 'imu', origin=chr(34).join(('xyz=', '0.1 0 0', ' rpy=', '0.3 -0.4 2', '')))}"
                 f"{joint('trunk', 'leg', 'revolute')}</robot>")  # fmt: skip
    spec = read_model(str(path), floating=True, base_link="imu").spec
    model = _free(spec)
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    # The trunk, seen from the imu, and back again.
    rotation, position = data.body("trunk").xmat.reshape(3, 3), data.body("trunk").xpos
    assert -rotation.T @ position == pytest.approx([0.1, 0, 0])
    roll_pitch_yaw = np.array((0.3, -0.4, 2))
    quaternion, expected = np.zeros(4), np.zeros(9)
    mujoco.mju_euler2Quat(quaternion, roll_pitch_yaw, "XYZ")
    mujoco.mju_quat2Mat(expected, quaternion)
    assert pytest.approx(expected.reshape(3, 3)) == rotation.T
    for name in ("leg", "nothing"):
        with pytest.raises(ModelError, match=f"'{name}'"):
            read_model(str(path), floating=True, base_link=name)


# Numbers and structure


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('mass value="0.5"', 'mass value="nan"', "'FL_hip'|'RR_hip'"),
        ('mass value="0.5"', 'mass value="-1"', "'RR_hip'"),
        ('mass value="0.5"', 'mass value="0,5"', "'RR_hip'"),
        ('ixx="0.01"', 'ixx="inf"', "'base'"),
        ('origin xyz="[^"]*"', 'origin xyz="0 0"', "'RR_hip_joint'"),
        ('lower="-1.0"', 'lower="nan"', "'RR_hip_joint'.*lower"),
        ('lower="-1.0"', 'lower="1.5"', "'RR_hip_joint'.*lower"),
        ('axis xyz="1 0 0"', 'axis xyz="0 0 0"', "'RR_hip_joint'.*axis"),
        ('sphere radius="0.02"', 'sphere radius="-0.02"', "'RR_foot'.*radius"),
        ('<sphere radius="0.02"/>', '<sphere/>', "'RR_foot'.*<sphere radius"),
        ('<sphere radius="0.02"/>', '<ball radius="0.02"/>', "'RR_foot'.*<sphere radius"),
        ('<geometry><sphere radius="0.02"/></geometry>', '', "'RR_foot'.*<sphere radius"),
        ('type="revolute"', 'type="hinge"', "'RR_hip_joint'.*revolute, continuous"),
        ('parent link="base"', 'parent link="trunk"', "'RR_hip_joint'.*'trunk'"),
        ('child link="RR_hip"', 'child link="RL_hip"', "'RL_hip'.*two joints"),
        ('link name="RR_hip"', 'link name="RL_hip"', "twice: 'RL_hip'"),
        ("</robot>", '<link name="table"/></robot>', "'base', 'table'"),
        ("<robot name=\"dog\">", '<robot name="${name}">', "xacro dog.urdf > "),
        ("<robot name=\"dog\">", '<robot name="dog"><material name="m"><color rgba="1 0 0"/></material>', "'m'.*rgba"),
        ("</robot>", "", "XML"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_named(write: Callable[..., Path], old: str, new: str, named: str):
    with pytest.raises(ModelError, match=named):
        read_model(str(write(URDF, (old, new))), floating=True)


def test_all_bad_numbers_are_named_at_once(write: Callable[..., Path]):
    path = write(URDF, ('mass value="0.5"', 'mass value="nan"'), ('lower="-1.0"', 'lower="x"'))
    with pytest.raises(ModelError, match=r"'RR_hip'.*'RR_hip_joint'"):
        read_model(str(path), floating=True)


def test_what_is_not_for_the_simulator_is_passed_over(read: Read):
    other = (
        "<gazebo reference='trunk'><visual><plugin name='p'/></visual></gazebo><transmission name='t'><joint name='j'/>"
        "<actuator name='m'/></transmission><ros2_control name='c' type='system'><joint name='j'/></ros2_control>"
    )
    assert read(other, link("trunk", 7, BOX)).nbody == 2


def test_a_urdf_is_one_whatever_its_name(tmp_path: Path):
    """MuJoCo reads a URDF that is called .xml, too, and invents the mass of links without <inertial>."""
    for name in ("dog.urdf", "dog.xml"):
        path = tmp_path / name
        path.write_text(f"<robot name='r'>{link('trunk', 7)}{link('foot', None, BOX)}{joint('trunk', 'foot')}</robot>")
        assert read_model(str(path), floating=False).spec.compile().body_mass.sum() == pytest.approx(7)


def test_a_namespace_is_passed_over(write: Callable[..., Path]):
    path = write(f"<robot name='r' xmlns='http://www.ros.org' xmlns:k='http://k'>{link('trunk', 7, BOX)}</robot>")
    assert read_model(str(path), floating=True).spec.compile().nbody == 2


def test_repeated_elements_stand_once(read: Read):
    red, blue = (f"<material name='m'><color rgba='{rgb} 1'/></material>" for rgb in ("1 0 0", "0 0 1"))
    look = f"<visual><geometry><sphere radius='1'/></geometry>{red}{blue}</visual>"
    assert read(red, blue, link("trunk", 7, look + look)).nbody == 2
    inertial = "<inertial><mass value='7'/><inertia ixx='1' iyy='1' izz='1'/></inertial>"
    assert read(link("trunk", 7, inertial)).nbody == 2


def test_repeated_elements_that_differ_are_named(read: Read):
    other = "<inertial><mass value='8'/><inertia ixx='1' iyy='1' izz='1'/></inertial>"
    with pytest.raises(ModelError, match=r"'trunk'.*<inertial>"):
        read(link("trunk", 7, other))


def test_endless_effort_is_no_limit(read: Read):
    unlimited = joint("trunk", "leg", "revolute").replace("effort='9'", "effort='inf'")
    model = read(link("trunk", 7), link("leg", 1), unlimited)
    assert not model.jnt_actfrclimited.any()


# Joints that follow


def test_a_joint_that_mimics_follows(read: Read):
    mimic = "<mimic joint='palm_left' multiplier='-2' offset='0.1'/>"
    model = read(link("palm", 1), link("left", 1), link("right", 1), joint("palm", "left", "revolute"),
                 joint("palm", "right", "revolute", mimic))  # fmt: skip
    assert model.neq == 1
    assert model.eq_data[0, :2] == pytest.approx([0.1, -2])


def test_a_joint_that_mimics_none_is_named(read: Read):
    with pytest.raises(ModelError, match=r"'palm_right' mimics 'thumb'.*palm_left"):
        read(link("palm", 1), link("left", 1), link("right", 1), joint("palm", "left", "revolute"),
             joint("palm", "right", "revolute", "<mimic joint='thumb'/>"))  # fmt: skip


# Meshes


def mesh(uri: str, kind: str = "collision", scale: str = "1 1 1") -> str:
    return f"<{kind}><geometry><mesh filename='{uri}' scale='{scale}'/></geometry></{kind}>"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A ROS package that holds a mesh, beside the model."""
    folder = tmp_path / "dog_description" / "meshes"
    folder.mkdir(parents=True)
    (folder / "trunk.obj").write_text(TETRAHEDRON)
    return folder.parent


@pytest.mark.parametrize(
    "uri",
    ["package://dog_description/meshes/trunk.obj", "package:///dog_description/meshes/trunk.obj",
     "model://dog_description/meshes/trunk.obj", "dog_description/meshes/trunk.obj",
     "file://dog_description/meshes/trunk.obj"],
)  # fmt: skip
def test_meshes_are_found_beside_the_model(read: Read, package: Path, uri: str):
    assert read(link("trunk", 7, mesh(uri))).nmeshvert == 4


def test_meshes_are_found_above_the_model_by_folder_and_by_manifest(package: Path):
    for name in ("dog_description", "dog"):
        (package / "urdf").mkdir(exist_ok=True)
        (package / "package.xml").write_text("<package><name>dog</name></package>")
        path = package / "urdf" / "dog.urdf"
        path.write_text(f"<robot name='r'>{link('trunk', 7, mesh(f'package://{name}/meshes/trunk.obj'))}</robot>")
        assert len(mend_urdf(path, floating=True).meshes) == 1


@pytest.mark.parametrize(
    ("variable", "scheme", "inside"),
    [("ROS_PACKAGE_PATH", "package", ""), ("AMENT_PREFIX_PATH", "package", "share"),
     ("GZ_SIM_RESOURCE_PATH", "model", "")],
)  # fmt: skip
def test_meshes_are_found_where_the_environment_says(
    read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str, inside: str
):
    folder = tmp_path / "elsewhere" / inside / "cat_description"
    folder.mkdir(parents=True)
    (folder / "trunk.obj").write_text(TETRAHEDRON)
    body = link("trunk", 7, mesh(f"{scheme}://cat_description/trunk.obj"))
    with pytest.raises(ModelError, match="cat_description"):
        read(body)
    monkeypatch.setenv(variable, f"/nowhere:{tmp_path / 'elsewhere'}")
    assert read(body).nmeshvert == 4


def test_looks_that_are_not_found_or_not_readable_are_left_out(write: Callable[..., Path], tmp_path: Path):
    (tmp_path / "hip.dae").write_text("<COLLADA/>")
    body = link("trunk", 7, mesh("package://x/trunk.stl", "visual") + mesh("hip.dae", "visual") + BOX)
    mended = mend_urdf(write(f"<robot name='r'>{body}</robot>"), floating=True)
    assert mended.meshes == {}
    assert "hip.dae, trunk.stl" in mended.changes[0]


def test_looks_are_there_for_images(write: Callable[..., Path], package: Path):
    look = mesh("package://dog_description/meshes/trunk.obj", "visual")
    path = write(f"<robot name='r'>{link('trunk', 7, BOX + look)}</robot>")
    spec = read_model(str(path), floating=True).spec
    assert spec.compile().ngeom == 2
    spec.compiler.discardvisual = True
    assert spec.compile().ngeom == 1


LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n"


@pytest.mark.parametrize(
    ("name", "content", "named"),
    [("hip.stl", LFS_POINTER, "git lfs pull"), ("hip.obj", LFS_POINTER, "git lfs pull"), ("hip.stl", "", "empty"),
     ("hip.obj", "v 0 0 0\n", "4 vertices"), ("hip.stl", "\0" * 100, "number of faces")],
    ids=["pointer", "pointer to obj", "empty", "one vertex", "no faces"],
)  # fmt: skip
def test_damaged_meshes_are_left_out_as_looks_and_named_as_shapes(
    write: Callable[..., Path], tmp_path: Path, name: str, content: str, named: str
):
    (tmp_path / name).write_text(content)
    look = write(f"<robot name='r'>{link('trunk', 7, mesh(name, 'visual') + BOX)}</robot>")
    mended = mend_urdf(look, floating=True)
    assert mended.meshes == {}
    assert name in mended.changes[0]
    with pytest.raises(ModelError, match=f"'trunk'.*{name}.*{named}"):
        mend_urdf(write(f"<robot name='r'>{link('trunk', 7, mesh(name))}</robot>"), floating=True)


def test_shapes_that_cannot_be_had_are_named_with_what_to_write(read: Read, package: Path, tmp_path: Path):
    (tmp_path / "hip.dae").write_text("<COLLADA/>")
    bodies = [
        link(f"link{number}", 1, mesh(uri))
        for number, uri in enumerate(("package://cat/x.stl", "package://dog_description/y.stl", "hip.dae", "z.stl"))
    ]
    joints = [joint("link0", f"link{number}") for number in (1, 2, 3)]
    with pytest.raises(ModelError) as error:
        read(*bodies, *joints)
    text = str(error.value)
    assert "ROS_PACKAGE_PATH=" in text
    for named in ("'link0'", "package://cat/x.stl", "'link1'", "y.stl", "'link2'", "hip.dae", "'link3'", "z.stl"):
        assert named in text


def test_meshes_of_one_name_are_told_apart(read: Read, tmp_path: Path):
    for folder, size in (("visual", 1.0), ("collision", 3.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "trunk.obj").write_text(TETRAHEDRON.replace("1 0 0", f"{size} 0 0"))
    model = read(link("trunk", 7, mesh("visual/trunk.obj", "visual") + mesh("collision/trunk.obj")))
    assert model.nmesh == 2
    spans = [
        np.ptp(model.mesh_vert[i : i + 4] @ _axes(model, m).T, axis=0).max() for m, i in enumerate(model.mesh_vertadr)
    ]
    assert sorted(spans) == pytest.approx([1, 3], rel=1e-4)


def _axes(model: mujoco.MjModel, mesh: int) -> np.ndarray:
    """The rotation that MuJoCo undid when it laid a mesh along its principal axes."""
    rotation = np.zeros(9)
    mujoco.mju_quat2Mat(rotation, model.mesh_quat[mesh])
    return rotation.reshape(3, 3)


def test_stl_in_text_and_flat_meshes_load(read: Read, tmp_path: Path):
    corners = [
        ((0, 0, 0), (1, 0, 0), (0, 1, 0)),
        ((1, 0, 0), (1, 1, 0), (0, 1, 0)),
        ((0, 0, 0), (1, 0, 0), (0, 0, 1e-3)),
    ]
    facets = ""
    for facet in corners:
        vertices = " ".join("vertex {} {} {}".format(*corner) for corner in facet)
        facets += f"facet normal 0 0 1\nouter loop {vertices} endloop\nendfacet\n"
    (tmp_path / "text.stl").write_text(f"solid plate\n{facets}endsolid plate\n")
    assert read(link("trunk", 7, mesh("text.stl"))).nmeshvert == 5


def test_binary_stl_stays_as_it_is(write: Callable[..., Path], tmp_path: Path):
    facets = [struct.pack("<12fH", *[0.0] * 3, 0, 0, 0, 1, 0, 0, 0, y, z, 0) for y, z in ((1, 0), (0, 1))]
    content = b"solid, but binary".ljust(80) + struct.pack("<I", 2) + b"".join(facets)
    (tmp_path / "plate.stl").write_bytes(content)
    mended = mend_urdf(write(f"<robot name='r'>{link('trunk', 7, mesh('plate.stl'))}</robot>"), floating=True)
    assert list(mended.meshes.values()) == [content]
