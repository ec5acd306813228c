"""The stand-in robot at work: real time, topics, motor dead-man."""

from __future__ import annotations

import time
from dataclasses import asdict

import numpy as np
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import Imu
from std_msgs.msg import Float64MultiArray, String

from isthmus_deploy.loop import LatencyHistogram
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.files import write_json
from isthmus_deploy.ros.messages import write_quaternion, write_vector
from isthmus_deploy.ros.ros2 import Link, StopRequest
from isthmus_deploy.ros.signals import COMMANDS, IMU, ODOM
from isthmus_deploy.ros.stand_in_robot import Config
from isthmus_deploy.ros.stand_in_robot.faults import Fault
from isthmus_deploy.ros.stand_in_robot.world import TIMESTEP_S, Readings, World, robot_interface

WORLD_FRAME = "world"
BODY_FRAME = "base_link"
_DEAD_MAN_NS = 200_000_000  # Crazyflie firmware's time-out for set-points
_STEP_NS = round(TIMESTEP_S * 1e9)
_JUMP = 5.0  # m in position, or 100 of it in rad/s: beyond what a body can do in a control period


def simulate(config: Config, faults: tuple[Fault, ...]) -> int:
    """Be the robot until told to stop; returns the process's exit status."""
    stop = StopRequest()
    link = Link("stand_in_robot", config.namespace)
    try:
        StandIn(config, faults, link).run(stop)
    finally:
        link.close()
    return 0


class StandIn:
    """The simulated robot on ROS topics.

    Each control period, at its deadline, the period that has passed is simulated, every command acting from the moment
    it came; then the sensors are read and sent. So a command acts as late as it really came, and the process wakes up
    only once a period.
    """

    def __init__(self, config: Config, faults: tuple[Fault, ...], link: Link) -> None:
        self._config, self._faults, self._link = config, faults, link
        self._log = link.node.get_logger()
        self._world = World(config.seed)
        self._interface = robot_interface()
        self._period_ns = round(self._interface.control_period_s * 1e9)
        self._motors = Motors(self._interface.commands[0].maximum)
        self._latency = LatencyHistogram()
        self._lateness = LatencyHistogram()
        self._sent_ns: int | None = None
        self._unanswered = self._published = self._skipped = self._refused = 0
        self._flying_since_s: float | None = None
        self._aftermath = Aftermath()
        self._dead = False
        self._odom, self._imu, self._truth = _odometry(), Imu(), _odometry()
        self._imu.header.frame_id = BODY_FRAME
        self._imu.orientation_covariance[0] = -1.0  # sensor_msgs/Imu: this driver gives no orientation
        node = link.node
        self._publish_odom = node.create_publisher(Odometry, ODOM.name, qos.SENSOR).publish
        self._publish_imu = node.create_publisher(Imu, IMU.name, qos.SENSOR).publish
        self._publish_truth = node.create_publisher(Odometry, "ground_truth", qos.SENSOR).publish
        node.create_subscription(Float64MultiArray, COMMANDS["rotor_speed"].topic, self._on_command, qos.COMMAND)
        node.create_publisher(String, "robot_interface", qos.LATCHED).publish(String(data=self._interface.to_json()))

    def run(self, stop: StopRequest) -> None:
        """Simulate in real time until told to stop."""
        self._log.info(f"{self._interface.robot} on the ground, body of seed {self._config.seed}")
        simulated_ns = time.monotonic_ns()
        while not stop:
            self._link.wait_until(simulated_ns + self._period_ns)
            now_ns = time.monotonic_ns()
            periods = (now_ns - simulated_ns) // self._period_ns  # more than one: this process was held up
            self._lateness.record(now_ns - simulated_ns - self._period_ns)
            self._skipped += periods - 1
            self._advance(simulated_ns, periods * self._period_ns)
            simulated_ns += periods * self._period_ns
            self._publish()
        self._log.info(self._timing_line())
        if self._config.log:
            write_json(self._config.log, self._summary())

    def _advance(self, begin_ns: int, duration_ns: int) -> None:
        for at_ns in range(begin_ns, begin_ns + duration_ns, _STEP_NS):
            self._world.step(self._motors.set_point(at_ns))
        self._note_motors()

    def _note_motors(self) -> None:
        if self._flying_since_s is None and self._motors.turning:
            self._flying_since_s = self._world.time_s
        if self._motors.dead and not self._dead:
            self._log.warning(f"dead-man: no command for {_DEAD_MAN_NS / 1e9:g} s, motors off")
        self._dead = self._motors.dead

    def _publish(self) -> None:
        stamp, readings = self._link.now(), self._world.sense()
        fill_odometry(self._truth, stamp, self._world.truth())
        self._publish_truth(self._truth)
        silent = self._apply_faults(readings)
        if "imu" not in silent:
            self._imu.header.stamp = stamp
            write_vector(readings.angular_velocity, self._imu.angular_velocity)
            self._publish_imu(self._imu)
        if "odom" in silent:
            return
        fill_odometry(self._odom, stamp, readings)
        self._unanswered += self._sent_ns is not None
        self._sent_ns = time.monotonic_ns()
        self._publish_odom(self._odom)
        self._published += 1

    def _apply_faults(self, readings: Readings) -> set[str]:
        """Spoil the readings of faults that have begun; returns the silent topics."""
        if self._flying_since_s is None:
            return set()
        time_s = self._world.time_s - self._flying_since_s
        active = [fault for fault in self._faults if fault.active(time_s)]
        if active:
            self._aftermath.begin(time.monotonic_ns())
        for fault in active:
            reading = readings.position if fault.topic == "odom" else readings.angular_velocity
            if fault.kind == "nan":
                reading[0] = np.nan
            elif fault.kind == "jump":
                reading[0] += _JUMP if fault.topic == "odom" else 100.0 * _JUMP
        return {fault.topic for fault in active if fault.kind == "silence"}

    def _on_command(self, message: Float64MultiArray) -> None:
        now_ns = time.monotonic_ns()
        problem = self._motors.receive(np.asarray(message.data), now_ns)
        if problem:
            self._refused += 1
            self._log.error(f"command refused: {problem}")
        self._aftermath.note_command(now_ns, moves=any(message.data))
        if self._sent_ns is not None:
            self._latency.record(now_ns - self._sent_ns)
            self._sent_ns = None

    def _timing_line(self) -> str:
        latency = self._latency.summary()
        return (
            f"{self._published} readings sent, sensor to command p50 {latency['p50_us']:.0f} us, "
            f"p99 {latency['p99_us']:.0f} us, {self._unanswered} without an answer in their period"
        )

    def _summary(self) -> dict[str, object]:
        return {
            "robot": self._interface.robot,
            "seed": self._config.seed,
            "parameters": asdict(self._world.parameters),
            "estimator_delay_s": self._world.estimator_delay_s,
            "readings": self._published,
            "unanswered": self._unanswered,
            "skipped_periods": self._skipped,
            "refused_commands": self._refused,
            "dead_man": self._dead,
            "after_fault": self._aftermath.summary(),
            "sensor_to_command": self._latency.summary(),
            "lateness": self._lateness.summary(),
        }


class Aftermath:
    """How long the motors were still told to turn after the first faulty reading."""

    def __init__(self) -> None:
        self._fault_ns: int | None = None
        self._stop_ns: int | None = None
        self._moving_commands = 0

    def begin(self, now_ns: int) -> None:
        """A faulty reading is about to be sent, or a due one not to be; only the first counts."""
        if self._fault_ns is None:
            self._fault_ns = now_ns

    def note_command(self, now_ns: int, *, moves: bool) -> None:
        """A command has come; `moves`: it turns a rotor."""
        if self._fault_ns is None or self._stop_ns is not None:
            return
        if moves:
            self._moving_commands += 1
        else:
            self._stop_ns = now_ns

    def summary(self) -> dict[str, float | int] | None:
        """Commands that still moved the robot, and s to the first that did not; None without fault or stop."""
        if self._fault_ns is None or self._stop_ns is None:
            return None
        return {"moving_commands": self._moving_commands, "stopped_after_s": (self._stop_ns - self._fault_ns) * 1e-9}


class Motors:
    """Set-points over time: the newest command that had come by then, or none after a silence (dead-man).

    Args:
        maximum: Largest set-point of each motor, rad/s.
    """

    def __init__(self, maximum: tuple[float, ...]) -> None:
        self._maximum = np.array(maximum)
        self._commands: list[tuple[int, NDArray[np.float64]]] = []
        self._off = np.zeros(len(maximum))
        self.turning = False
        """Whether the latest set-point turns a rotor."""
        self.dead = False
        """Whether the motors are off for want of commands, after there were some."""

    def receive(self, command: NDArray[np.float64], now_ns: int) -> str | None:
        """Take a command that came at `now_ns`; returns why it was refused, or None."""
        if command.shape != self._maximum.shape:
            return f"{command.size} values for {self._maximum.size} motors"
        if not np.isfinite(command).all():
            return f"not finite: {command.tolist()}"
        self._commands.append((now_ns, np.clip(command, 0.0, self._maximum)))
        return None

    def set_point(self, at_ns: int) -> NDArray[np.float64]:
        """Set-points (4,) at a time, rad/s; times must not go back."""
        while len(self._commands) > 1 and self._commands[1][0] <= at_ns:
            del self._commands[0]
        if not self._commands or self._commands[0][0] > at_ns:
            return self._off
        came_ns, command = self._commands[0]
        self.dead = at_ns - came_ns > _DEAD_MAN_NS
        self.turning = not self.dead and bool(command.any())
        return self._off if self.dead else command


def fill_odometry(message: Odometry, stamp: object, readings: Readings) -> None:
    """Write readings into a message: pose in the world, twist in the body (REP-105)."""
    message.header.stamp = stamp
    write_vector(readings.position, message.pose.pose.position)
    write_quaternion(readings.orientation, message.pose.pose.orientation)
    write_vector(readings.linear_velocity, message.twist.twist.linear)
    write_vector(readings.angular_velocity, message.twist.twist.angular)


def _odometry() -> Odometry:
    message = Odometry()
    message.header.frame_id, message.child_frame_id = WORLD_FRAME, BODY_FRAME
    return message
