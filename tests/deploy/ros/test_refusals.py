"""What the node refuses before anything is armed, each with the line that tells a person why."""

from __future__ import annotations

import dataclasses

import hand_made_policy
import pytest
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile
from ros_processes import QUADROTOR, Operator
from std_msgs.msg import Float64MultiArray, String

from isthmus_deploy.ros import qos
from isthmus_sim.robots.quadrotor.description import ROBOT

pytestmark = pytest.mark.ros


def announce(operator, interface):
    """Be a robot that says it is `interface`, and nothing else."""
    publisher = operator.link.node.create_publisher(String, "robot_interface", qos.LATCHED)
    publisher.publish(String(data=interface if isinstance(interface, str) else interface.to_json()))


def refusal(operator, process) -> str:
    """Wait for the process to refuse; what it printed."""
    operator.wait("end of the node", lambda: process.ended)
    assert process.exit_status() == 2, process.output
    return process.output


def test_another_robot_is_refused_line_by_line(start, policy, operator):
    interface = hand_made_policy.contract().interface()
    signals = {signal.name: signal for signal in interface.signals}
    signals["orientation"] = dataclasses.replace(signals["orientation"], order=("x", "y", "z", "w"))
    signals["angular_velocity"] = dataclasses.replace(signals["angular_velocity"], unit="deg/s")
    del signals["linear_velocity"]
    announce(operator, dataclasses.replace(interface, signals=tuple(signals.values()), control_period_s=0.02))
    output = refusal(operator, start("node.policy_node", policy))
    assert "control_period_s: contract 0.01, robot 0.02" in output
    assert "signals.orientation.order: contract (w, x, y, z), robot (x, y, z, w)" in output
    assert "signals.angular_velocity.unit: contract rad/s, robot deg/s" in output
    assert "signals.linear_velocity: contract needs it" in output


def test_a_robot_that_announces_nonsense_is_refused(start, policy, operator):
    announce(operator, "{}")
    assert "does not hold a robot interface" in refusal(operator, start("node.policy_node", policy))


def test_no_robot(start, policy, domain):
    node = start("node.policy_node", policy, "--wait-s", 1.0)
    assert node.exit_status() == 2
    assert f"no robot: nothing on /robot_interface so far (ROS_DOMAIN_ID {domain})" in node.output


def test_a_robot_without_readings_is_refused_naming_them(start, policy, operator):
    announce(operator, hand_made_policy.contract().interface())
    output = refusal(operator, start("node.policy_node", policy, "--wait-s", 4.0))
    assert "angular_velocity (topic imu)" in output
    assert "position (topic odom)" in output


def test_a_robot_that_cannot_be_heard_is_told_by_its_quality_of_service(start, policy, operator):
    volatile = QoSProfile(depth=1)
    operator.link.node.create_publisher(String, "robot_interface", volatile)
    output = refusal(operator, start("node.policy_node", policy, "--wait-s", 6.0))
    assert "incompatible quality of service on robot_interface: a publisher offers less, policy durability" in output


def test_who_asks_for_more_than_commands_offer_is_told(start, policy, operator):
    start(*QUADROTOR)
    start("node.policy_node", policy)
    operator.link.node.create_subscription(Float64MultiArray, "rotor_controller/commands", lambda _: None, qos.LATCHED)
    wanted = (
        "incompatible quality of service on rotor_controller/commands: a subscriber asks for more, policy durability"
    )
    operator.wait("word of it", lambda: any(wanted in said["incompatible_qos"] for said in operator.diagnostics))


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda data: data[: len(data) // 2], "truncated"),
        (lambda data: data[:-1], "truncated"),
        (lambda data: data[:500] + bytes([data[500] ^ 1]) + data[501:], "altered or damaged"),
        (lambda data: b"", "empty"),
        (lambda data: b"not a policy", "not an Isthmus policy file"),
    ],
    ids=["half", "last byte", "one bit", "empty", "foreign"],
)
def test_a_spoilt_policy_file_is_refused(start, policy, tmp_path, spoil, reason):
    path = tmp_path / "spoilt.onnx"
    path.write_bytes(spoil(policy.read_bytes()))
    node = start("node.policy_node", path)
    assert node.exit_status() == 2
    assert f"isthmus-deploy: refused: {path}: " in node.output
    assert reason in node.output


def test_a_missing_policy_file_is_refused(start, tmp_path):
    node = start("node.policy_node", tmp_path / "none.onnx")
    assert node.exit_status() == 2
    assert "cannot be read: No such file" in node.output


def test_a_second_node_on_the_same_robot_is_refused(start, policy, operator):
    start(*QUADROTOR)
    first = start("node.policy_node", policy)
    first.wait_for("ready: ")
    second = start("node.policy_node", policy)
    assert f"already driven by process {first.pid}" in refusal(operator, second)
    assert not first.ended


def test_a_second_node_on_another_machine_is_refused(start, policy, operator, tmp_path):
    """It has another lock; there the first node is seen on the network."""
    start(*QUADROTOR)
    first = start("node.policy_node", policy)
    first.wait_for("ready: ")
    elsewhere = start("node.policy_node", policy, environment={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert "already sends commands on /rotor_controller/commands" in refusal(operator, elsewhere)
    assert not first.ended


def test_of_two_nodes_that_start_together_one_leaves(start, policy, operator, tmp_path):
    start(*QUADROTOR)
    nodes = []
    for machine in ("here", "elsewhere"):
        (tmp_path / machine).mkdir()
        nodes.append(start("node.policy_node", policy, environment={"XDG_RUNTIME_DIR": str(tmp_path / machine)}))
    operator.wait("end of one node", lambda: nodes[0].ended or nodes[1].ended)
    stays, leaves = sorted(nodes, key=lambda node: node.ended)
    assert "already sends commands on /rotor_controller/commands" in refusal(operator, leaves)
    stays.wait_for("ready: ")
    operator.wait("a robot of its own", lambda: "never received" in operator.ask("arm").message)
    assert not stays.ended


def arm_and_disarm(operator: Operator) -> str:
    """The answer to arming. Until the node has discovered an intruder, it arms; then it is put back."""
    answer = operator.ask("arm")
    if answer.success:
        operator.ask("stop")
        operator.ask("reset")
    return answer.message


def test_what_arming_refuses_and_stand_by_faults_on(start, policy, operator: Operator):
    start(*QUADROTOR)
    start("node.policy_node", policy).wait_for("ready: ")
    operator.wait("diagnostics", lambda: operator.diagnostics)
    answer = operator.ask("arm")
    assert not answer.success
    assert "never received reference_position (topic reference or goal_pose)" in answer.message

    operator.give_goal(0.0, 0.0, 0.5)
    operator.wait("the end of joining", lambda: int(operator.diagnostics[-1]["cycles"]) > 1020)
    intruder = operator.link.node.create_publisher(Float64MultiArray, "rotor_controller/commands", qos.COMMAND)
    operator.wait("refusal", lambda: "/operator already sends commands" in arm_and_disarm(operator))
    operator.link.node.destroy_publisher(intruder)
    operator.wait("readiness to arm", lambda: operator.ask("arm").success)

    reference = operator.link.node.create_publisher(Odometry, "reference", qos.SENSOR)
    operator.wait("node that takes references", reference.get_subscription_count)
    message = Odometry(child_frame_id="base_link")
    message.header.frame_id = "world"
    reference.publish(message)
    assert "reference velocity is in the world frame" in operator.wait_state("fault")["cause"]


def test_an_unknown_sensor_fault_lists_the_valid_ones(start):
    robot = start("stand_in_robot", "--fault", "smoke@3")
    assert robot.exit_status() == 2
    assert "KIND one of nan, jump, silence, freeze, late and TOPIC one of odom, imu" in robot.output


def test_an_unknown_robot_lists_those_there_are(start):
    robot = start("stand_in_robot", "--robot", "quadrupedo")
    assert robot.exit_status() == 2
    assert "unknown robot 'quadrupedo'; there are: " in robot.output
    assert "quadruped" in robot.output.partition("there are: ")[2]


def test_a_policy_for_signals_that_no_topic_carries_is_refused(start, tmp_path):
    contract = hand_made_policy.contract()
    signals = (dataclasses.replace(contract.signals[0], frame="map"), *contract.signals[1:])
    path = tmp_path / "policy.onnx"
    path.write_bytes(hand_made_policy.policy_file(signals=signals))
    node = start("node.policy_node", path)
    assert node.exit_status() == 2
    assert "signals.position.frame: contract map, ROS world" in node.output
    assert ROBOT.signals[0].frame == "world"


def test_a_launch_file_may_name_namespace_and_topics(start, policy, domain):
    node = start(
        "node.policy_node", policy, "--wait-s", 1.0, "--ros-args", "-r", "__ns:=/arm1", "-r", "robot_interface:=who"
    )
    assert node.exit_status() == 2
    assert f"no robot: nothing on /arm1/who so far (ROS_DOMAIN_ID {domain})" in node.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--ros-args", "-r", "odom=/here"), "Couldn't parse remap rule"),
        (("--ros-args", "--strange"), "--strange"),
        (("--namespace", "arm 1"), "Invalid namespace"),
        (("--ros-args", "-p", "use_sim_time:=5"), "'use_sim_time' to '5' of type 'INTEGER', expecting type 'BOOL'"),
    ],
)
def test_what_ros_cannot_take_is_refused_in_a_sentence(start, policy, options, told):
    node = start("node.policy_node", policy, *options)
    assert node.exit_status() == 2
    assert "isthmus-deploy: refused: ROS 2 does not start: " in node.output
    assert told in node.output
    assert "Traceback" not in node.output
