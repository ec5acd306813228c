"""A description as the columns of a dataset, and back: images, several axes and several commands among them."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from isthmus_datasets.recording.robot import Observation
from isthmus_policies.demonstrate.features import (
    action_column,
    joined,
    observation_parts,
    robot_features,
    signals_of,
    split,
)
from isthmus_sim.robots import ROBOTS


def test_signals_are_a_column_with_names_and_units_and_images_are_cameras(gantry: ModuleType):
    features = robot_features(gantry.ROBOT)
    state = features.columns["state"]
    assert state.names == (
        "joint_position.x", "joint_position.y", "skin.0.left", "skin.0.right", "skin.1.left", "skin.1.right",
        "skin.2.left", "skin.2.right",
    )  # fmt: skip
    assert state.info == {"units": ["m", "m", "N", "N", "N", "N", "N", "N"]}
    assert features.cameras == {"eye": (16, 24)}
    assert (features.action.names, features.action.info) == (("x", "y"), {"units": ["m", "m"]})


def test_elements_that_two_commands_share_are_told_apart(gantry: ModuleType):
    first = gantry.ROBOT.commands[0]
    hand = replace(first, name="hand", order=("x", "grip"), unit="N")
    assert action_column((first, hand)).names == ("x_target.x", "hand.x", "grip")
    assert action_column((first, hand)).info == {"units": ["m", "N", "N"]}


def test_signals_go_into_an_observation_and_come_out_as_they_were(gantry: ModuleType):
    signals = {
        "skin": np.arange(6, dtype=np.float32).reshape(3, 2),
        "joint_position": np.array([0.25, -0.5], np.float32),
        "eye": np.arange(16 * 24 * 3, dtype=np.uint32).astype(np.uint8).reshape(16, 24, 3),
    }
    columns, images = observation_parts(gantry.ROBOT, signals)
    assert columns["state"].tolist() == [0.25, -0.5, 0, 1, 2, 3, 4, 5]
    back = signals_of(gantry.ROBOT, Observation(columns=columns, images=images, capture_time_ns={}))
    assert set(back) == set(signals)
    for name, value in signals.items():
        np.testing.assert_array_equal(back[name], value, strict=True)


@pytest.mark.parametrize("name", ["crazyflie", "quadruped", "pusher", "so101"])
def test_every_robots_columns_come_apart_into_its_signals_and_commands(name: str):
    robot = ROBOTS[name]
    features = robot_features(robot)
    row = np.arange(features.columns["state"].shape[0], dtype=np.float32)
    parts = split(robot.signals, row)
    assert {signal.name: parts[signal.name].shape for signal in robot.signals} == {
        signal.name: (len(signal.order),) for signal in robot.signals
    }
    np.testing.assert_array_equal(joined(robot.signals, parts), row)
    action = np.arange(features.action.shape[0], dtype=np.float32)
    np.testing.assert_array_equal(joined(robot.commands, split(robot.commands, action)), action)


def test_a_row_of_another_length_is_refused_with_what_it_must_hold():
    robot = ROBOTS["pusher"]
    with pytest.raises(ValueError, match=r"\(3,\).*\(5,\).*2 of agent_position.*1 of block_angle"):
        split(robot.signals, np.zeros(3, np.float32))
