"""Hardware profiles: what a driver calls and counts otherwise, and what is refused before a robot is looked at."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from untrained import contract_for

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.profile import JointMap, Profile, ProfileError, parse_profile, read_profile
from isthmus_deploy.contracts.schema import schema
from isthmus_sim.robots.biped.description import ROBOT as BIPED
from isthmus_sim.robots.quadrotor.description import ROBOT as QUADROTOR
from isthmus_sim.robots.quadruped.description import ROBOT as QUADRUPED
from isthmus_sim.robots.so101.description import ROBOT as ARM

SHIPPED = {
    "quadruped": QUADRUPED, "biped": BIPED, "so101": ARM, "crazyflie": QUADROTOR, "unitree_go2": QUADRUPED,
}  # fmt: skip
HEAD = "profile: 1\nrobot: so101\n"
NAMES = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")


@pytest.fixture(scope="module")
def arm() -> Contract:
    return contract_for(ARM, "reach")


def joints(**lines: str) -> str:
    """A profile with the same names for all of the arm's joints, but for the lines given."""
    items = [f"  {name}: {lines.get(name, '{}')}" for name in NAMES]
    return HEAD + "joints:\n" + "\n".join(items) + "\n"


def test_a_joint_is_turned_scaled_and_moved_as_worked_out_by_hand(arm):
    profile = parse_profile(joints(elbow_flex="{name: j3, sign: -1, unit: deg, offset: 90}"))
    signals = {signal.name: JointMap(profile, signal) for signal in arm.signals}
    position = signals["joint_position"]
    assert position.names == ("shoulder_pan", "shoulder_lift", "j3", "wrist_flex", "wrist_roll", "gripper")
    told = position.to_driver(np.array([0.1, 0.2, np.pi / 6, 0.4, 0.5, 0.6]))
    np.testing.assert_allclose(told, [0.1, 0.2, 60.0, 0.4, 0.5, 0.6])  # 90 deg less 30 deg
    velocity = signals["joint_velocity"].to_driver(np.array([0.0, 0.0, np.pi, 0.0, 0.0, 0.0]))
    np.testing.assert_allclose(velocity, [0.0, 0.0, -180.0, 0.0, 0.0, 0.0])  # a speed has no offset


@given(
    st.lists(st.floats(-10, 10), min_size=6, max_size=6),
    st.sampled_from((1, -1)), st.sampled_from(("rad", "deg")), st.floats(-100, 100),
)  # fmt: skip
def test_there_and_back(values, sign, unit, offset):
    signal = next(signal for signal in contract_for(ARM, "reach").signals if signal.name == "joint_position")
    line = f"{{name: j, sign: {sign}, unit: {unit}, offset: {offset:.9f}}}"
    mapped = JointMap(parse_profile(joints(wrist_flex=line)), signal)
    np.testing.assert_allclose(mapped.from_driver(mapped.to_driver(np.array(values))), values, atol=1e-9)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_profiles_that_come_along_fit_their_robots_and_the_published_schema(name):
    profile = read_profile(Path(name))
    assert profile.problems(contract_for(SHIPPED[name], "any")) == []
    text = resources.files("isthmus_deploy.contracts.profiles").joinpath(f"{name}.yaml").read_text("utf-8")
    published = schema("profile")
    definitions = {**schema()["$defs"], **published["$defs"]}
    jsonschema.Draft202012Validator({**published, "$defs": definitions}).validate(yaml.safe_load(text))
    if name == "unitree_go2":
        assert "NEVER RUN ON HARDWARE" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not of type object"),
        ("profile: 2\nrobot: so101", "profile: 2 is above 1"),
        ("robot: so101", "profile: missing"),
        (HEAD + "joint: {}", "joint: unknown; valid are profile, robot, note, topics, joints, commands"),
        (joints(gripper="{sign: 2}"), "joints.gripper.sign: 2 is none of 1, -1"),
        (joints(gripper="{sign: -1.5}"), "joints.gripper.sign"),
        (joints(gripper="{unit: degrees}"), "joints.gripper.unit: 'degrees' is none of 'rad', 'deg', 'm'"),
        (joints(gripper="{name: wrist_roll}"), "the driver's wrist_roll stands twice"),
        (joints(gripper="{offset: .inf}"), "joints.gripper.offset: inf is not finite"),
        (joints(gripper="{offset: .nan}"), "joints.gripper.offset: nan is not finite"),
        (joints() + "joints: {}\n", "joints stands twice"),
        (HEAD + "topics: {imu: {mounting: [1, 0, 0]}}", "topics.imu.mounting: needs at least 4 item"),
        (HEAD + "topics: {imu: {mounting: [1, 1, 0, 0]}}", "topics.imu.mounting: not a unit quaternion"),
        (HEAD + "topics: {imu: {topic: 'a b'}}", "topics.imu.topic: 'a b' does not match"),
        (HEAD + "topics: {imu: {reliability: maybe}}", "topics.imu.reliability: 'maybe' is none of"),
        (HEAD + "commands: {joint_position_target: {controller: c, order: [a]}}", "the controller or the order"),
        (HEAD + "commands: {joint_position_target: {order: [a, a]}}", "the driver's a stands twice"),
        (HEAD + "topics: {imu: {topic: 'imu\\n'}}".replace("'", '"'), r"topics.imu.topic: 'imu\n' does not match"),
        (HEAD + f"topics: {{imu: {{topic: {'a' * 201}}}}}", "topics.imu.topic: is longer than 200 characters"),
        (HEAD + 'note: "\\ud800"', "half of a character"),
        (joints(gripper=f"{{offset: {'9' * 400}}}"), "joints.gripper.offset: inf is not finite"),
        (joints(gripper="{offset: 1:30}"), 'joints.gripper.offset: "1:30" is not of type number'),
        (joints(gripper="{sign: yes}"), 'joints.gripper.sign: "yes" is not of type integer'),
        (HEAD + "note: !!timestamp soon", "line 3: the tag tag:yaml.org,2002:timestamp: a profile has none"),
        (HEAD + "topics: &all {imu: *all}", "line 3: the alias *all: write out what it stands for"),
        (HEAD + "? [a]\n: b", "line 3: a key is a sequence; it must be a name"),
        (HEAD + f"topics: {'[' * 5000}", "line 3: nested too deeply"),
        (HEAD + "note: " + 100_000 * "a", "too long; a profile has at most 100000 characters"),
        ("profile: [", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "line 1: the tag tag:yaml.org,2002:python/object/apply:os.system"),
    ],
)
def test_a_profile_that_is_not_understood_is_refused_with_its_line(text, words):
    with pytest.raises(ProfileError) as refused:
        parse_profile(text, "arm.yaml")
    assert str(refused.value).startswith("arm.yaml: ")
    assert words in str(refused.value)


def test_plain_words_and_numbers_are_what_they_look_like():
    """YAML 1.1 makes a date of the first, a number of the second, eight of 010 and a text of 1e-3."""
    text = "profile: 1\nrobot: 2026-11-29\njoints: {1: {name: a, offset: 010, damping: 1e-3}}"
    profile = parse_profile(text)
    assert profile.robot == "2026-11-29"
    assert profile.joints["1"].offset == 10
    assert profile.joints["1"].damping == 0.001


def test_a_profile_survives_json():
    text = joints(elbow_flex="{name: j3, sign: -1, unit: deg, offset: 90}")
    text += "topics: {imu: {topic: /base/imu, mounting: [0, 1, 0, 0]}}\n"
    text += "commands: {joint_position_target: {order: [a, b]}}\nnote: mended"
    for profile in (parse_profile(text), parse_profile(HEAD)):
        assert Profile.from_json(profile.to_json()) == profile


def test_a_thousand_merges_of_merges_are_refused_at_once():
    lines = [f"  a{i}: &m{i} {{<<: [*m{i - 1}, *m{i - 1}]}}" for i in range(1, 60)]
    with pytest.raises(ProfileError, match="line 5: the alias"):
        parse_profile("\n".join([HEAD, "  a0: &m0 {topic: x}", *lines]).replace(HEAD, HEAD + "topics:"))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "arm.yaml")
    with pytest.raises(ProfileError, match=r"arm\.yaml: cannot be read: no such file"):
        read_profile(tmp_path / "arm.yaml")


def test_a_file_that_is_not_there_says_which_profiles_need_none(tmp_path):
    with pytest.raises(ProfileError, match=r"cannot be read: .*biped, crazyflie, quadruped, so101, unitree_go2"):
        read_profile(tmp_path / "my_robot.yaml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("profile: 1\nrobot: so100", "robot: contract so101, robot so100"),
        (joints() + "  wrist: {}\n", "joints.wrist: the policy has no such joint; its joints are shoulder_pan, "),
        (HEAD + "joints: {gripper: {name: claw}}", "joints.elbow_flex: missing, the policy needs it"),
        (joints(gripper="{unit: m}"), "joints.gripper.unit: m, it must be rad or deg"),
        (joints(gripper="{stiffness: 20}"), "joints.gripper.stiffness: contract 50.0, robot 20"),
        (joints(gripper="{position_max: 1.0}"), "maximum: contract 1.7453 for gripper, robot 1.0"),
        (
            HEAD + "commands: {rotor_speed: {topic: x}}",
            "commands.rotor_speed: the policy gives no such command; it gives",
        ),
    ],
)
def test_what_does_not_fit_the_policy_is_said_line_by_line(arm, text, words):
    assert words in "\n".join(parse_profile(text).problems(arm))


def test_limits_wider_than_the_policys_and_the_same_gains_fit(arm):
    text = joints(gripper="{position_min: -1, position_max: 3, stiffness: 50, damping: 2.731}")
    assert parse_profile(text).problems(arm) == []


def test_the_published_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema("profile"))
    assert json.loads(json.dumps(schema("profile"))) == schema("profile")
    assert isinstance(parse_profile(HEAD), Profile)
