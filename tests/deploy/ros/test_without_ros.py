"""A machine without ROS 2: the commands explain themselves and say what to install."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from isthmus_deploy.ros.ros2 import split_arguments


@pytest.mark.skipif(find_spec("rclpy") is None, reason="the ROS tests need rclpy: pip install 'isthmus[ros]'")
def test_with_ros_the_other_tests_of_this_folder_run():
    assert find_spec("std_srvs") is not None


BLOCK_ROS = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "rclpy":
            raise ModuleNotFoundError("No module named 'rclpy'", name="rclpy")
sys.meta_path.insert(0, Absent())
module = __import__(sys.argv[1], fromlist=["main"])
sys.argv = ["command", *sys.argv[2:]]
module.main()
"""


def without_ros(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as if ROS 2 were not installed."""
    return subprocess.run(
        [sys.executable, "-c", BLOCK_ROS, f"isthmus_deploy.ros.{module}", *arguments],
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("module", "argument"),
    [
        ("node.policy_node", "policy.onnx"),
        ("stand_in_robot", ""),
        ("announce", "policy.onnx"),
        ("topics", ""),
        ("watch", ""),
        ("missions.attempt", ""),
        ("missions.flight", ""),
        ("missions.goal", "0.5"),
        ("missions.walk", ""),
        ("bench_echo", ""),
    ],
)
def test_the_commands_say_what_to_install(module, argument):
    result = without_ros(module, *filter(None, [argument]))
    assert result.returncode == 2
    assert "ROS 2 for Python is missing (no module named 'rclpy')" in result.stderr
    assert 'pip install -c constraints.txt "isthmus[ros]"' in result.stderr
    assert without_ros(module, "--help").returncode == 0


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("node.policy_node", ("doctor", "policy.onnx", "--wait-s", "nan")), ("missions.walk", ("--wait-s", "inf"))],
)
def test_a_time_that_is_none_is_refused_with_what_may_be(module, arguments):
    result = without_ros(module, *arguments)
    assert result.returncode == 2
    assert "wait_s is from 0 to 3600, not" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("given", "own", "ros"),
    [
        (["policy.onnx", "--fifo"], ["policy.onnx", "--fifo"], []),
        (["policy.onnx", "--ros-args", "-r", "a:=b"], ["policy.onnx"], ["--ros-args", "-r", "a:=b"]),
        (["--ros-args", "-r", "a:=b", "--", "policy.onnx"], ["policy.onnx"], ["--ros-args", "-r", "a:=b", "--"]),
        (["--", "x"], ["--", "x"], []),
    ],
)
def test_arguments_of_ros_are_told_from_a_commands_own(given, own, ros):
    assert split_arguments(given) == (own, ros)
