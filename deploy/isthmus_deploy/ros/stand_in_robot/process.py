"""The stand-in robot at work: real time, topics, dead-man."""

from __future__ import annotations

import time

import numpy as np
from nav_msgs.msg import Odometry
from std_msgs.msg import Float64MultiArray, String

from isthmus_deploy.loop import LatencyHistogram
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.files import write_json
from isthmus_deploy.ros.ros2 import Link, StopRequest
from isthmus_deploy.ros.signals import COMMANDS
from isthmus_deploy.ros.stand_in_robot import Config
from isthmus_deploy.ros.stand_in_robot.commands import DEAD_MAN_NS, Commands
from isthmus_deploy.ros.stand_in_robot.faults import Aftermath, Fault, parse_fault
from isthmus_deploy.ros.stand_in_robot.sensors import Sensors, fill_odometry, odometry, sensor_topics
from isthmus_deploy.ros.stand_in_robot.world import World, make_world, robot_interface


def simulate(config: Config) -> int:
    """Be the robot until told to stop; returns the process's exit status.

    Raises:
        ValueError: one of `config.fault` is no fault of this robot.
    """
    stop = StopRequest()
    world = make_world(config.robot, config.seed)
    topics = [topic.name for topic in sensor_topics(world.spec)]
    faults = tuple(parse_fault(text, topics) for text in config.fault)
    link = Link("stand_in_robot", config.namespace)
    try:
        StandIn(config, world, faults, link).run(stop)
    finally:
        link.close()
    return 0


class StandIn:
    """The simulated robot on ROS topics.

    Each control period, at its deadline, the period that has passed is simulated, every command acting from the moment
    it came; then the sensors are read and sent. So a command acts as late as it really came, and the process wakes up
    only once a period.
    """

    def __init__(self, config: Config, world: World, faults: tuple[Fault, ...], link: Link) -> None:
        self._config, self._world, self._faults, self._link = config, world, faults, link
        self._log = link.node.get_logger()
        self._interface = robot_interface(world.spec)
        self._period_ns = round(self._interface.control_period_s * 1e9)
        self._step_ns = round(world.timestep_s * 1e9)
        command = world.spec.commands[0]
        self._safe = np.array(command.safe)
        self._commands = Commands(command.minimum, command.maximum)
        self._latency = LatencyHistogram()
        self._lateness = LatencyHistogram()
        self._sent_ns: int | None = None
        self._unanswered = self._published = self._skipped = self._refused = 0
        self._moving_since_s: float | None = None
        self._aftermath = Aftermath(command.safe, slowly=command.transition_rate is not None)
        self._dead = False
        node = link.node
        self._sensors = Sensors(node, world.spec)
        self._truth = odometry()
        self._publish_truth = node.create_publisher(Odometry, "ground_truth", qos.SENSOR).publish
        node.create_subscription(Float64MultiArray, COMMANDS[command.name].topic, self._on_command, qos.COMMAND)
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
        for at_ns in range(begin_ns, begin_ns + duration_ns, self._step_ns):
            self._world.step(self._commands.at(at_ns))
        if self._commands.dead and not self._dead:
            self._log.warning(f"dead-man: no command for {DEAD_MAN_NS / 1e9:g} s, {self._world.without_command}")
        self._dead = self._commands.dead

    def _publish(self) -> None:
        stamp, readings = self._link.now(), self._world.sense()
        self._publish_truth(fill_odometry(self._truth, stamp, self._world.truth()))
        faults = self._active_faults()
        for fault in faults:
            self._sensors.spoil(fault, readings)
        silent = {fault.topic for fault in faults if fault.kind == "silence"}
        unanswered = self._sent_ns is not None
        sent_ns = self._sensors.publish(stamp, readings, silent)
        if sent_ns is not None:
            self._unanswered += unanswered
            self._sent_ns = sent_ns
            self._published += 1

    def _active_faults(self) -> list[Fault]:
        if self._moving_since_s is None:
            return []
        time_s = self._world.time_s - self._moving_since_s
        active = [fault for fault in self._faults if fault.active(time_s)]
        if active:
            self._aftermath.begin(time.monotonic_ns())
        return active

    def _on_command(self, message: Float64MultiArray) -> None:
        now_ns, command = time.monotonic_ns(), np.asarray(message.data)
        problem = self._commands.receive(command, now_ns)
        if problem:
            self._refused += 1
            self._log.error(f"command refused: {problem}")
            return
        self._aftermath.note_command(now_ns, command)
        if self._moving_since_s is None and (command != self._safe).any():
            self._moving_since_s = self._world.time_s
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
            **self._world.hidden(),
            "readings": self._published,
            "unanswered": self._unanswered,
            "skipped_periods": self._skipped,
            "refused_commands": self._refused,
            "dead_man": self._dead,
            "after_fault": self._aftermath.summary(),
            "sensor_to_command": self._latency.summary(),
            "lateness": self._lateness.summary(),
        }
