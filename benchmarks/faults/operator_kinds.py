"""Faults of operators and of other programs on the network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nav_msgs.msg import Odometry
from std_msgs.msg import Float64MultiArray

from faults.messages import Inject
from faults.system import NORMAL
from faults.trial import Holds, Kind, Stops, Trial
from isthmus_deploy.ros import qos

_FLOOD = """
import rclpy
from std_srvs.srv import Trigger
rclpy.init()
node = rclpy.create_node("flood")
client = node.create_client(Trigger, "policy_node/arm")
client.wait_for_service()
print("now", flush=True)
futures = [client.call_async(Trigger.Request()) for _ in range(2_000)]
rclpy.spin_until_future_complete(node, futures[-1], timeout_sec=10.0)
"""
NOTICED_S = 3.0
"""After how long another publisher of commands must have been noticed: the graph is looked at twice, a second apart."""


def _goal(x: float, y: float, z: float, frame: str = "world") -> Inject:
    return lambda trial: trial.operator.give_goal(x, y, z, frame=frame)


def _dies_while_it_moves_the_reference(trial: Trial) -> None:
    """For half a second the reference goes away at 0.5 m/s; then nothing is said any more."""
    node = trial.operator.link.node
    publisher = node.create_publisher(Odometry, "reference", qos.SENSOR)
    trial.at_end.append(lambda: node.destroy_publisher(publisher))
    trial.wait(1.0, publisher.get_subscription_count)
    message = Odometry(child_frame_id="world")
    message.header.frame_id = "world"
    message.twist.twist.linear.x = 0.5
    message.pose.pose.position.z = 0.8
    for step in range(50):
        message.pose.pose.position.x = 0.005 * step
        message.header.stamp = trial.operator.link.now()
        publisher.publish(message)
        trial.wait(0.01)


def _another_publisher(trial: Trial) -> None:
    node = trial.operator.link.node
    publisher = node.create_publisher(Float64MultiArray, trial.system.commands_topic, qos.COMMAND)
    trial.at_end.append(lambda: node.destroy_publisher(publisher))


def _another_node(trial: Trial) -> None:
    """Another policy node, as on another machine: it knows nothing of the lock."""
    folder = trial.system.folder / "elsewhere"
    folder.mkdir(exist_ok=True)
    other = trial.system.start_node(environment={"XDG_RUNTIME_DIR": str(folder)})
    trial.at_end.append(other.end)
    trial.wait(20.0, lambda: other.ended)
    trial.mark()


def _flood(trial: Trial) -> None:
    """A client asks 2,000 times at once for what does not fit the state."""
    client = subprocess.Popen([*NORMAL, sys.executable, "-c", _FLOOD], stdout=subprocess.PIPE)
    trial.at_end += [client.kill, client.wait]
    assert client.stdout is not None
    os.set_blocking(client.stdout.fileno(), False)
    trial.wait(20.0, client.stdout.read)
    trial.mark()


def _policy_file(write: bytes | None) -> Inject:
    """The file that the node has read is overwritten, or deleted."""

    def inject(trial: Trial) -> None:
        path: Path = trial.system.policy
        content = path.read_bytes()
        trial.at_end.append(lambda: path.write_bytes(content))
        if write is None:
            path.unlink()
        else:
            path.write_bytes(write)

    return inject


KINDS = (
    Kind(name="goal is not a number", inject=_goal(float("nan"), 0.0, 0.8), expect=Stops()),
    Kind(name="goal in the frame of the body", row=6, inject=_goal(0.2, 0.0, 0.8, "base_link"), expect=Stops()),
    Kind(name="goal below the ground", row=6, inject=_goal(0.0, 0.0, -1.0), expect=Holds(seconds=2.0)),
    Kind(name="goal 15 m away", row=6, inject=_goal(15.0, 0.0, 0.8), expect=Holds(distance_m=1.5, seconds=3.0)),
    Kind(
        name="operator dies while it moves the reference", row=5, inject=_dies_while_it_moves_the_reference,
        expect=Holds(distance_m=1.0, seconds=2.5),
    ),
    Kind(
        name="another publisher of commands", row=11, inject=_another_publisher, expect=Stops(time_out_s=NOTICED_S)
    ),
    Kind(name="another policy node", inject=_another_node, expect=Holds(seconds=0.5)),
    Kind(name="2,000 requests at once", row=17, inject=_flood, expect=Holds(seconds=2.0)),
    Kind(name="the policy file is truncated", inject=_policy_file(b"half"), expect=Holds()),
    Kind(name="the policy file is deleted", inject=_policy_file(None), expect=Holds()),
)  # fmt: skip
