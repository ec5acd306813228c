"""ROS 2 bags: each tick has the last reading not after it, joints go by name, and no defect is passed over."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from made_bags import (
    BOTH,
    JOINTS,
    MS,
    START,
    STATE,
    STORE,
    Said,
    commands,
    header,
    image,
    joints,
    make,
    options,
    states,
    write_bag,
)
from refusals import all_refused, refused
from written import imported

from isthmus_datasets.convert.importers.opening import open_source

BAGS = Path(__file__).parents[3].parent / "shared" / "data" / "ros2_bags"
needs_bags = pytest.mark.skipif(not BAGS.exists(), reason=f"the recorded bags are not at {BAGS}")


@pytest.mark.parametrize("plugin", ["mcap", "sqlite3"])
def test_each_tick_has_the_last_reading_not_after_it(tmp_path: Path, plugin: Literal["mcap", "sqlite3"]):
    """The grid starts when both are there, at 120 ms; the state is stamped 0, 50, … 500 ms, the command 120, 320."""
    bag = write_bag(tmp_path / "bag", states(), commands(120, 320), plugin=plugin)
    source = open_source(bag, options(BOTH))
    (episode,) = source.episodes
    assert episode.columns["observation.state"].tolist() == [[20], [40], [60], [80]]  # ticks 120, 220, 320, 420
    assert episode.columns["action"].tolist() == [[0], [0], [-1], [-1]]
    assert source.features["capture_time_ns"].names == ("observation.state", "action")
    captured = (episode.columns["capture_time_ns"] - START) / MS
    assert captured.tolist() == [[100, 120], [200, 120], [300, 320], [400, 320]]
    assert episode.facts == {"bag": "bag", "start_ns": START + 120 * MS}
    assert source.findings == [
        "bag: the first 0.12 s are left out: action starts only then",
        "bag: observation.state: 3 of 7 readings are in no row; none is interpolated",
        "bag: action: 2 of 4 rows hold the reading of the row before; none is interpolated",
    ]


def test_a_dataset_of_it_reads_back(tmp_path: Path):
    source = open_source(write_bag(tmp_path / "bag", states(), commands(120, 320)), options(BOTH))
    saved = imported(source, tmp_path / "data").episode(0)
    np.testing.assert_array_equal(saved.columns["capture_time_ns"], source.episodes[0].columns["capture_time_ns"])


def test_a_folder_of_bags_is_an_episode_each(tmp_path: Path):
    for name, count in (("b", 5), ("a", 3)):
        write_bag(tmp_path / name, states(count))
    source = open_source(tmp_path, options(STATE, fps=20))
    assert [(episode.facts["bag"], episode.length) for episode in source.episodes] == [("a", 3), ("b", 5)]


@pytest.mark.parametrize("seed", range(5))
def test_a_camera_at_the_grids_rate_gives_every_tick_an_image_of_its_own(tmp_path: Path, seed: int):
    """30 Hz with a jitter of 2 ms, no frame missing, on a grid of 30 Hz: stamps come before and after a tick that lies
    on one of them."""
    random = np.random.default_rng(seed)
    ms = np.arange(300) * 1000 / 30 + np.clip(random.normal(0.0, 2.0, 300), -8, 8) + 20
    messages = [(int(t) + 5, joints(float(t), ["a"], [float(k)])) for k, t in enumerate(ms)]
    source = open_source(write_bag(tmp_path / "bag", ("/state", JOINTS, messages)), options(STATE, fps=30))
    (episode,) = source.episodes
    assert np.diff(episode.columns["observation.state"][:, 0]).tolist() == [1.0] * (episode.length - 1)
    assert episode.length >= 299
    assert source.findings == []


def test_zero_stamps_give_way_to_the_bags_time(tmp_path: Path):
    messages = [(100 * k, joints(None if k == 1 else 100 * k - 30, ["a"], [float(k)])) for k in range(4)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    source = open_source(bag, options(STATE))
    assert (source.episodes[0].columns["capture_time_ns"][:, 0] - START).tolist() == [0, 100 * MS, 200 * MS, 300 * MS]
    assert source.findings == [
        "bag: /state: 1 of 4 messages have no header stamp or a zero one: the time at which the bag received them is"
        " taken for capture time"
    ]


@pytest.mark.parametrize(
    ("stamps", "why"),
    [
        ([0, 100, 90, 300], "header stamps go backwards at message 2"),
        ([-5000, -4900, -4800, -4700], "header stamps are 5.000 s behind the bag's clock"),
    ],
)
def test_stamps_that_cannot_be_believed_give_way(tmp_path: Path, stamps: list[int], why: str):
    messages = [(100 * k, joints(stamp, ["a"], [float(k)])) for k, stamp in enumerate(stamps)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    source = open_source(bag, options(STATE))
    assert why in source.findings[0]
    assert source.episodes[0].columns["observation.state"].tolist() == [[0], [1], [2], [3]]


def test_whoever_knows_which_times_are_right_says_so(tmp_path: Path):
    """The robot's clock is 5 s behind; each message takes 20 ms and a bit more than the one before."""
    messages = [(100 * k + 20 + k, joints(100 * k - 5000, ["a"], [float(k)])) for k in range(4)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))

    def taken(stamps: Literal["header", "arrival"]) -> list[int]:
        source = open_source(bag, replace(options(STATE), stamps=stamps))
        (episode,) = source.episodes
        (finding,) = source.findings
        assert "/state 5.021 s" in finding, "whichever is taken, the clocks differ"
        return ((episode.columns["capture_time_ns"][:, 0] - START) // MS).tolist()

    assert taken("header") == [-5000, -4900, -4800, -4700]
    assert taken("arrival") == [20, 121, 222], "at 320 ms the fourth has not come yet"
    zero = [(k, joints(None, ["a"], [0.0])) for k in (0, 100)]
    bag = write_bag(tmp_path / "zero", ("/state", JOINTS, zero))
    with refused("/state | 2 of 2"):
        open_source(bag, replace(options(STATE), stamps="header"))


def test_joints_are_matched_by_name(tmp_path: Path):
    """Arm and gripper come in messages of their own, once in another order; the command names them in yet another."""
    said = [
        (0, joints(0, ["a", "b"], [1, 2])),
        (10, joints(10, ["grip"], [3])),
        (110, joints(110, ["b", "a"], [5, 4])),
        (210, joints(210, ["grip"], [6])),
    ]
    command = [(t, joints(t, ["grip", "a", "b"], [30, 10, 20])) for t in (0, 210)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, said), ("/cmd", JOINTS, command))
    source = open_source(bag, options(BOTH))
    assert source.features["action"].names == source.features["observation.state"].names == ("a", "b", "grip")
    assert source.episodes[0].columns["observation.state"].tolist() == [[1, 2, 3], [4, 5, 3], [4, 5, 6]]
    assert source.episodes[0].columns["action"].tolist() == [[10, 20, 30]] * 3
    assert source.findings == [
        "bag: /state: messages have 3 different orders or sets of joints: matched by name",
        "bag: action has the joints in another order than observation.state: put into its order",
        "bag: action: 1 of 3 rows hold the reading of the row before; none is interpolated",
    ]


def test_joints_can_be_chosen(tmp_path: Path):
    """In the order in which they are said; one that is not there is refused with those that are."""
    messages = [(100 * k, joints(100 * k, ["a", "b", "c"], [1, 2, 3])) for k in range(3)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    source = open_source(bag, options(STATE, joints=("c", "a")))
    assert source.features["observation.state"].names == ("c", "a")
    assert source.episodes[0].columns["observation.state"].tolist() == [[3, 1]] * 3
    with refused("/state | joint d | a, b, c"):
        open_source(bag, options(STATE, joints=("d",)))


def test_joints_that_are_never_a_number_are_left_out(tmp_path: Path):
    """As elements of any other message are. One that is a number now and then is named, and can be left out by hand."""
    rows = [[np.nan, 2.0, 3.0], [np.nan, 4.0, np.nan], [np.nan, 6.0, 7.0]]
    messages = [(100 * k, joints(100 * k, ["a", "b", "c"], [0, 0, 0], row)) for k, row in enumerate(rows)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    velocity = {"observation.state": "/state:velocity"}
    source = open_source(bag, options(velocity))
    assert source.findings == ["bag: /state: joints a are never a number: left out"]
    with refused("observation.state | c | step 1"):
        list(source.episodes)
    (episode,) = open_source(bag, options(velocity, joints=("b",))).episodes
    assert episode.columns["observation.state"].tolist() == [[2.0], [4.0], [6.0]]
    with refused("/state | never a number"):
        open_source(bag, options(velocity, joints=("a",)))


def test_joints_without_names_are_reported_or_named_by_hand(tmp_path: Path):
    messages = [(100 * k, joints(100 * k, [], [1, 2])) for k in range(3)]
    bag = write_bag(tmp_path / "bag", ("/state", JOINTS, messages))
    source = open_source(bag, options(STATE))
    assert source.features["observation.state"].names == ("joint_0", "joint_1")
    assert "`name` is empty: the joints are called joint_0, joint_1, by their place" in source.findings[0]
    source = open_source(bag, options(STATE, joints=("pan", "lift")))
    assert source.features["observation.state"].names == ("pan", "lift")
    with refused("message 0 | /state | 2 numbers | pan"):
        open_source(bag, options(STATE, joints=("pan",)))


def test_fields_are_chosen_and_quaternions_are_wxyz(tmp_path: Path):
    point = make("geometry_msgs/msg/Point", x=1.0, y=2.0, z=3.0)
    turn = make("geometry_msgs/msg/Quaternion", x=0.1, y=0.2, z=0.3, w=0.9)
    pose = make("geometry_msgs/msg/Pose", position=point, orientation=turn)
    stamped = make("geometry_msgs/msg/PoseStamped", header=header(0), pose=pose)
    bag = write_bag(tmp_path / "bag", ("/pose", "geometry_msgs/msg/PoseStamped", [(0, stamped)]))
    source = open_source(bag, options({"observation.pose": "/pose", "observation.turn": "/pose:pose.orientation"}))
    assert source.episodes[0].columns["observation.pose"].tolist() == [[1, 2, 3, 0.9, 0.1, 0.2, 0.3]]
    assert source.episodes[0].columns["observation.turn"].tolist() == [[0.9, 0.1, 0.2, 0.3]]
    assert source.features["observation.turn"].names == ("w", "x", "y", "z")
    with refused("twist | header, pose"):
        open_source(bag, options({"observation.pose": "/pose:twist"}))


def test_images_become_a_video_on_the_grid(tmp_path: Path):
    """Blue and red at 0 and 150 ms: 3 ticks."""
    colours = [(10, (0, 0, 255)), (150, (255, 0, 0))]
    frames = [(t, image(t, np.full((16, 16, 3), rgb[::-1], np.uint8))) for t, rgb in colours]
    bag = write_bag(tmp_path / "bag", ("/cam", "sensor_msgs/msg/Image", frames), states(6))
    source = open_source(bag, options({"observation.images.top": "/cam", "action": "/state"}))
    saved = imported(source, tmp_path / "data").frames(0, "observation.images.top")
    assert [image.mean(axis=(0, 1)).argmax() for image in saved] == [2, 2]  # ticks 10 and 110 ms: blue
    assert saved.shape == (2, 16, 16, 3)


@pytest.mark.parametrize(
    ("pixels", "encoding", "told"),
    [
        (np.zeros((16, 16, 2), np.uint8), "8UC2", "'8UC2' | rgb8, bgr8"),
        (np.zeros((16, 16, 1), np.uint8), "rgb8", "256 bytes | 16 × 16 rgb8"),
        (np.zeros((15, 16, 3), np.uint8), "rgb8", "even | 16 × 15"),
    ],
)
def test_images_that_cannot_be_read_are_named(tmp_path: Path, pixels: np.ndarray, encoding: str, told: str):
    bag = write_bag(tmp_path / "bag", ("/cam", "sensor_msgs/msg/Image", [(0, image(0, pixels, encoding))]))
    with refused(f"/cam | {told}"):
        list(open_source(bag, options({"observation.images.top": "/cam"})).episodes)


def motors(n: int = 3, plugin: Literal["mcap", "sqlite3"] = "mcap", path: Path = Path()) -> Path:
    """PX4's convention: the third motor is not there, and says nan."""
    values = [np.array([k, 1, np.nan], np.float32) for k in range(n)]
    messages = [
        (100 * k + 7, make("px4_msgs/msg/Motors", timestamp=START // 1000 + 100_000 * k, control=control))
        for k, control in enumerate(values)
    ]
    return write_bag(path, ("/motors", "px4_msgs/msg/Motors", messages), plugin=plugin)


def test_types_that_are_not_installed_are_read_by_the_definitions_in_the_bag(tmp_path: Path):
    source = open_source(motors(path=tmp_path / "bag"), options({"observation.motors": "/motors:control"}))
    assert source.episodes[0].columns["observation.motors"].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert (source.episodes[0].columns["capture_time_ns"][:, 0] - START).tolist() == [0, 100 * MS, 200 * MS]
    assert source.findings == ["bag: /motors: elements 2 are never a number: left out"]


def test_types_that_nobody_defines_are_reported(tmp_path: Path):
    bag = motors(path=tmp_path / "bag", plugin="sqlite3")
    (file,) = bag.glob("*.db3")
    connection = sqlite3.connect(file)
    connection.execute("DELETE FROM message_definitions")
    connection.execute("INSERT INTO topics SELECT 9, '/state', 'std_msgs/msg/Float64', 'cdr', '', '' FROM topics")
    value = STORE.serialize_cdr(make("std_msgs/msg/Float64", data=4.0), "std_msgs/msg/Float64")
    connection.execute("INSERT INTO messages VALUES (90, 9, ?, ?)", (START, bytes(value)))
    connection.commit()
    connection.close()
    with refused("/motors | px4_msgs/msg/Motors | Jazzy"):
        open_source(file, options({"observation.motors": "/motors"}))
    source = open_source(file, options(STATE))
    assert "defines the messages of /motors (px4_msgs/msg/Motors): they cannot be read" in source.findings[0]
    assert source.episodes[0].columns["observation.state"].tolist() == [[4.0]]


def test_a_command_that_pauses_is_reported(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", states(41), commands(*range(0, 500, 50), 1900))
    findings = open_source(bag, options(BOTH))
    list(findings.episodes)
    assert findings.findings[0] == (
        "bag: action pauses: a reading is held for up to 1.35 s, and 11 of 21 steps are older than 5 of its usual"
        " periods (0.050 s)"
    )


def test_a_topic_that_is_not_there_is_answered_with_those_that_are(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", states(), ("/cmd", JOINTS, []))
    there = "/state (sensor_msgs/msg/JointState, 11 messages)"
    all_refused(
        {
            f"bag | /nope | {there}": lambda: open_source(bag, options({"action": "/nope"})),
            f"bag | /cmd | {there}": lambda: open_source(bag, options({"action": "/cmd"})),
            f"bag | {there}": lambda: open_source(bag),
        }
    )


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([states(3), commands(5000)], "observation.state 0.000 to 0.100 s | action 5.000 to 5.000 s"),
        ([states(3), ("/cmd", "std_msgs/msg/String", [(0, make("std_msgs/msg/String", data="go"))])], "/cmd | str"),
        (
            [states(3), ("/cmd", JOINTS, [(0, joints(0, ["a"], [np.nan])), (9, joints(9, ["a"], [1]))])],
            "action: a | step 0",
        ),
    ],
)
def test_topics_that_make_no_episode_are_refused(tmp_path: Path, said: list[Said], told: str):
    with refused(told):
        list(open_source(write_bag(tmp_path / "bag", *said), options(BOTH)).episodes)


def test_a_bag_unlike_the_first_is_refused(tmp_path: Path):
    write_bag(tmp_path / "a", states())
    messages = [(0, joints(0, ["b"], [1.0]))]
    write_bag(tmp_path / "b", ("/state", JOINTS, messages))
    source = open_source(tmp_path, options(STATE))
    with refused("b | observation.state | ('b',) | a | ('a',)"):
        list(source.episodes)


def test_a_camera_is_kept_without_loss_where_that_is_asked(tmp_path: Path):
    """Of odd size, which H.264 with loss has not."""
    pixels = np.random.default_rng(0).integers(0, 256, (5, 15, 17, 3)).astype(np.uint8)
    messages = [(100 * k, image(100 * k, each, "rgb8")) for k, each in enumerate(pixels)]
    bag = write_bag(tmp_path / "bag", ("/cam", "sensor_msgs/msg/Image", messages), states(10))
    top = "observation.images.top"
    asked = replace(options({**STATE, top: "/cam"}), lossless=(top,))
    reader = imported(open_source(bag, asked), tmp_path / "data")
    assert reader.info.features[top].is_lossless
    np.testing.assert_array_equal(reader.frames(0, top), pixels)
    with refused(f"camera top | {top}"):
        open_source(bag, replace(asked, lossless=("top",)))


@needs_bags
def test_the_servo_arms_bag_has_its_defects_reported():
    topics = {"observation.state": "/servo/out/state", "action": "/servo/in/references/joint_references"}
    source = open_source(BAGS / "ros2bag_static_ats_invz", options(topics, fps=25))
    (episode,) = source.episodes
    assert episode.length == 3_205
    assert source.features["action"].names == ("q1", "q2", "q3")
    assert np.diff(episode.columns["capture_time_ns"][:, 0]).min() >= 0
    for text in (
        "/servo/out/state: `name` is empty: the joints are called joint_0, joint_1, joint_2",
        "action has the joints q1, q2, q3, observation.state has joint_0, joint_1, joint_2: not matched",
        "action pauses: a reading is held for up to 63.",
    ):
        assert any(text in finding for finding in source.findings), text


@needs_bags
def test_the_flying_arms_bag_is_read_with_its_px4_messages():
    topics = {
        "observation.state": "/servo/out/state",
        "observation.position": "/fmu/out/vehicle_odometry:position",
        "observation.motors": "/fmu/out/actuator_motors:control",
        "action": "/controller/out/servo_positions",
    }
    source = open_source(BAGS / "ros2bag_ats_2025-12-03_09-49-08", options(topics, fps=25))
    (episode,) = source.episodes
    assert {name: values.shape[1] for name, values in episode.columns.items()} == {
        "observation.state": 3,
        "observation.position": 3,
        "observation.motors": 4,
        "action": 3,
        "capture_time_ns": 4,
    }
    start = episode.facts["start_ns"]
    assert isinstance(start, int)
    ages = start + np.arange(episode.length)[:, None] * 40 * MS - episode.columns["capture_time_ns"]
    assert ages[:, :3].min() >= 0, "no reading is from after its tick"
    assert ages[:, 3].min() > -40 * MS, "an action may be, which was decided on a reading from before"
    assert "action has the joints q1, q2, q3, observation.state has q0, q1, q2: not matched" in source.findings[1]
