"""`isthmus-watch` beside a node: the real command, a page that answers, and a button that stops a running robot."""

from __future__ import annotations

import os
import re
import shutil
import socket
import urllib.request
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from ros_processes import LEGS, START_S
from std_msgs.msg import String

from isthmus_deploy.contracts.robot_interface import interface_of
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.node.status import STATUS_NAME
from isthmus_deploy.ros.page.node_watch import REQUESTS, NodeWatch
from isthmus_deploy.ros.page.readings import Readings
from isthmus_deploy.ros.page.robot_watch import RobotWatch
from isthmus_deploy.ros.ros2 import Link, Refusal
from isthmus_deploy.ros.watch import Config, check_address
from isthmus_sim.robots.quadruped.description import ROBOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BROWSER_S = 120.0  # without a GPU, and beside whatever else runs
SOFTWARE_GL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
needs_viser = pytest.mark.skipif(find_spec("viser") is None, reason="needs viser: pip install 'isthmus[watch]'")

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(("host", "problem"), [("no.such.host.invalid", "Name"), ("192.0.2.1", "assign"), ("a..b", "")])
def test_a_page_that_cannot_be_served_is_refused(host, problem):
    with pytest.raises(Refusal, match=f"^the page cannot be served on '{re.escape(host)}', port 8081: .*{problem}"):
        check_address(host, 8081)


def test_a_port_that_is_taken_is_no_reason_to_refuse():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        check_address("127.0.0.1", taken.getsockname()[1])


def test_a_port_that_is_none_is_said_to_be_none():
    with pytest.raises(ValueError, match="port is from 0 to 65535, not 99999"):
        Config(port=99999)


@pytest.mark.parametrize(
    ("state", "allowed"),
    [
        ("", []),
        ("passive", ["arm"]),
        ("stand_up", []),
        ("ready", ["start"]),
        ("running", []),
        ("stopped", ["reset"]),
        ("fault", ["reset"]),
        ("dancing", []),
    ],
)
def test_what_can_be_asked_for_is_what_the_state_allows(walker, state, allowed):
    now_s = 100.0
    node = NodeWatch(walker.link, clock=lambda: now_s)
    told = walker.link.node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
    told.publish(said_by(node.name, state))
    walker.wait("a word", lambda: node.silence_s == 0.0)
    assert [request for request in REQUESTS if node.allows(request)] == allowed
    now_s = 103.0
    assert not any(map(node.allows, REQUESTS)), "nobody knows the state of a silent node"


def test_the_word_of_another_robots_node_is_not_this_ones(walker):
    node = NodeWatch(walker.link)
    told = walker.link.node.create_publisher(DiagnosticArray, "/diagnostics", qos.DIAGNOSTICS)
    told.publish(said_by("/drone2/policy_node", "running"))
    told.publish(said_by(node.name, "fault"))
    walker.wait("a word", lambda: node.state)
    assert [state for _, state, _ in node.changes] == ["fault"]


def said_by(node: str, state: str) -> DiagnosticArray:
    """What a node says of itself."""
    values = [KeyValue(key="state", value=state), KeyValue(key="cause"), KeyValue(key="node", value=node)]
    return DiagnosticArray(status=[DiagnosticStatus(name=STATUS_NAME, values=values)])


def test_the_button_stops_a_running_robot(start, standing, walker):
    start(*LEGS)
    start("node.policy_node", standing).wait_for("ready: quadruped")
    node = NodeWatch(walker.link)
    assert node.silence_s == float("inf")
    walker.stand_up()
    walker.wait("a node that is heard to run", lambda: node.state == "running")
    node.ask("stop")
    walker.wait("a robot that is stopped", lambda: node.state == "stopped")
    walker.wait("an answer", lambda: node.answer[1] and node.answer[0].startswith("stop: "))
    assert [state for _, state, _ in node.changes][:3] == ["stopped", "ramp_out", "running"]
    assert node.changes[0][2] == node.cause != ""
    node.ask("start")
    walker.wait("an answer", lambda: "start: refused: cannot start in state stopped" in node.answer[0])
    assert not node.answer[1]


def test_a_request_to_nobody_is_told(walker):
    node = NodeWatch(walker.link)
    node.ask("stop")
    assert node.answer == ("stop: nobody serves /policy_node/stop", False)


def test_readings_are_those_of_the_robot(start, walker):
    start(*LEGS)
    readings = Readings(walker.link.node, interface_of(ROBOT).signals, bindings())
    assert readings.look() == {}
    names = ("imu_orientation", "joint_position")
    walker.wait("readings", lambda: all(name in readings.look() for name in names))
    seen = readings.look()
    orientation, positions = (np.asarray(seen[name].values, float) for name in names)
    assert np.linalg.norm(orientation) == pytest.approx(1.0, abs=1e-3)
    signal = next(item for item in ROBOT.signals if item.name == "joint_position")
    assert (np.array(signal.minimum) <= positions).all()
    assert (positions <= np.array(signal.maximum)).all()
    assert seen["joint_position"].problem == ""


def test_the_robot_is_known_by_what_it_says_and_by_nothing_else(walker):
    robot = RobotWatch(walker.link, None)
    assert "Nobody says on /robot_interface what the robot is" in robot.markup()
    publisher = walker.link.node.create_publisher(String, "robot_interface", qos.LATCHED)
    publisher.publish(String(data='{"robot": "<b>"}'))
    walker.wait("a refusal", lambda: "no robot interface" in robot.markup())
    assert robot.name == ""
    publisher.publish(String(data=interface_of(ROBOT).to_json()))
    walker.wait("a robot", lambda: robot.name == "quadruped")
    assert "FL_hip_joint" not in robot.markup(), "nothing was heard yet"
    assert "joint_position" in robot.markup()


def test_a_robot_that_says_nothing_is_known_by_its_profile(domain, standing):
    with closing(Link("watch")) as link:
        robot = RobotWatch(link, (Path("quadruped"), standing))
        assert robot.name == "quadruped"
        assert "<b>joint_position</b> rad" in robot.markup()
        topics = {name for name, _ in link.node.get_subscriber_names_and_types_by_node("watch", "/")}
        assert "/imu_sensor_broadcaster/imu" in topics, "as the profile names it"


@needs_viser
def test_a_profile_that_does_not_fit_is_refused(start, standing):
    watch = start("watch", "--profile", "biped", standing)
    assert watch.exit_status() == 2
    watch.wait_for("isthmus-watch: refused: biped does not fit the policy", 1.0)
    assert "Traceback" not in watch.output


@needs_viser
def test_the_page_is_served_and_its_process_ends_when_told(start):
    watch = start("watch", "--port", 0)
    url = watch.wait_for(r"open (http://127\.0\.0\.1:\d+);")[1]
    with urllib.request.urlopen(url, timeout=START_S) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read().lower()
    assert os.getpriority(os.PRIO_PROCESS, watch.pid) >= 10, "a node beside it goes first"
    assert watch.end() == 0
    assert "Traceback" not in watch.output


@needs_viser
@pytest.mark.long
@pytest.mark.skipif(BROWSER is None, reason="needs a browser; on Debian: apt-get install chromium")
def test_a_person_arms_and_stops_the_robot_in_a_browser(start, standing):
    from playwright.sync_api import sync_playwright

    start(*LEGS)
    start("node.policy_node", standing).wait_for("ready: quadruped")
    url = start("watch", "--port", 0).wait_for(r"open (http://\S+);")[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", *SOFTWARE_GL])
        page = browser.new_page()
        page.set_default_timeout(1000 * BROWSER_S)
        page.goto(url)
        page.locator("#isthmus-state", has_text="passive").wait_for()
        assert page.get_by_role("button", name="Start").is_disabled()
        page.get_by_role("button", name="Arm").click()
        page.locator("#isthmus-answer", has_text="arm: stand").wait_for()
        page.get_by_role("button", name="STOP").click()
        page.locator("#isthmus-state", has_text="stopped").wait_for()
        assert page.get_by_role("button", name="Arm").is_disabled()
        browser.close()
