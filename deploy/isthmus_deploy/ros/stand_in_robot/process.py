"""The stand-in robot at work: real time, topics, dead-man."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from nav_msgs.msg import Odometry
from std_msgs.msg import Bool, String

from isthmus_deploy.contracts.profile import read_profile
from isthmus_deploy.contracts.robot_interface import CommandInterface, RobotInterface, interface_of
from isthmus_deploy.ros import qos
from isthmus_deploy.ros.bindings.body import odometry_writer
from isthmus_deploy.ros.bindings.messages import set_stamp
from isthmus_deploy.ros.bindings.profiled import ProfiledTable
from isthmus_deploy.ros.bindings.table import BindingTable, bindings
from isthmus_deploy.ros.files import write_json
from isthmus_deploy.ros.realtime import freeze_garbage
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest
from isthmus_deploy.ros.stand_in_robot import Config
from isthmus_deploy.ros.stand_in_robot.commands import DEAD_MAN_NS, Commands
from isthmus_deploy.ros.stand_in_robot.controllers import controller_orders, serve_controllers
from isthmus_deploy.ros.stand_in_robot.faults import Aftermath, Fault, parse_fault
from isthmus_deploy.ros.stand_in_robot.sensors import Sensors, image_topics, sensor_topics
from isthmus_deploy.ros.stand_in_robot.task_record import TaskRecord
from isthmus_deploy.ros.stand_in_robot.worlds.world import Array, World, make_world, steps_in
from isthmus_deploy.timing.answers import AnswerTimes
from isthmus_deploy.timing.histogram import LatencyHistogram
from isthmus_sim.models.user_robot import robot_of

if TYPE_CHECKING:
    from isthmus_deploy.ros.stand_in_robot.worlds.at_task import TaskWorld


def simulate(config: Config) -> int:
    """Be the robot until told to stop; returns the process's exit status.

    Raises:
        RegistryError: there is no robot or task of that name.
        ValueError: a stand-in cannot be made of the robot, one of `config.fault` is no fault of it, or the control
            period is no whole number of physics steps.
        Refusal: no topic carries one of its signals or commands, or the profile is another robot's.
    """
    stop = StopRequest()
    robot, remarks = robot_of(config.robot) if config.robot else (None, ())
    for remark in remarks:
        print(remark, flush=True)
    world = make_world(robot, config.seed, config.task)
    with closing(world):
        if config.upside_down:
            world.turn_over()
        interface = interface_of(world.robot)
        if config.control_period_s is not None:
            interface = replace(interface, control_period_s=config.control_period_s)
        profile = None if config.profile is None else read_profile(config.profile)
        if profile is not None and profile.robot != interface.robot:
            raise Refusal(f"{config.profile} is of {profile.robot}, not of {interface.robot}")
        orders = {} if profile is None else controller_orders(profile, interface)
        table = bindings() if profile is None else ProfiledTable(bindings(), profile, orders)
        topics = sensor_topics(interface, table)
        names, images = [topic.name for topic in topics], image_topics(topics)
        faults = tuple(parse_fault(text, names, images) for text in config.fault)
        with closing(Link("stand_in_robot", config.namespace)) as link:
            if profile is not None:
                serve_controllers(link, profile, orders)
            StandIn(config, world, interface, faults, link, table).run(stop)
    return 0


class StandIn:
    """The simulated robot on ROS topics.

    Each control period, at its deadline, the period that has passed is simulated, every command acting from the moment
    it came; then the sensors are read and sent. So a command acts as late as it really came, and the process wakes up
    only twice a period: most of the physics is done before the deadline, so that it delays no reading.
    """

    def __init__(
        self,
        config: Config,
        world: World,
        interface: RobotInterface,
        faults: tuple[Fault, ...],
        link: Link,
        table: BindingTable,
    ) -> None:
        self._config, self._world, self._faults, self._link = config, world, faults, link
        self._log = link.node.get_logger()
        self._interface = interface
        self._period_ns = round(interface.control_period_s * 1e9)
        self._steps = steps_in(interface.control_period_s, world)
        specs = world.robot.commands
        self._commands = {spec.name: Commands(spec.minimum, spec.maximum) for spec in specs}
        self._newest = {spec.name: np.array(spec.safe) for spec in specs}
        self._safe = np.concatenate([spec.safe for spec in specs])
        self._aftermath = Aftermath(self._safe.tolist(), slowly=any(spec.transition_rate is not None for spec in specs))
        self._answers = AnswerTimes(self._period_ns)
        self._lateness = LatencyHistogram()
        self._published = self._skipped = self._refused = 0
        self._begun_ns = self._stepped = 0
        self._moving_since_s: float | None = None
        self._dead = False
        node = link.node
        self._sensors = Sensors(node, self._interface, table)
        self._write_truth = odometry_writer()
        self._publish_truth = node.create_publisher(Odometry, "ground_truth", qos.SENSOR).publish
        self._task = cast("TaskWorld", world) if config.task else None
        self._measured: dict[str, float] = {}
        self._record = TaskRecord()
        if self._task:
            self._publish_success = node.create_publisher(Bool, "task_succeeded", qos.SENSOR).publish
        for command in self._interface.commands:
            self._take(command, table)
        if config.profile is None:  # one that has a profile does not know of contracts
            text = String(data=self._interface.to_json())
            node.create_publisher(String, "robot_interface", qos.LATCHED).publish(text)

    def run(self, stop: StopRequest) -> None:
        """Simulate in real time until told to stop."""
        self._log.info(f"{self._interface.robot} at rest, body of seed {self._config.seed}")
        freeze_garbage()
        due_ns = self._begun_ns = time.monotonic_ns()
        while not stop:
            due_ns += self._period_ns
            early_ns = due_ns - self._period_ns // 4
            self._link.wait_until(early_ns)
            self._advance(early_ns)
            self._link.wait_until(due_ns)
            late_ns = time.monotonic_ns() - due_ns
            self._lateness.record(late_ns)
            skipped = late_ns // self._period_ns  # this process was held up
            self._skipped += skipped
            due_ns += skipped * self._period_ns
            self._advance(due_ns)
            self._publish()
        self._log.info(self._timing_line())
        if self._config.log:
            write_json(self._config.log, self._summary())
        if self._config.log and self._task:
            self._record.save(self._config.log.with_suffix(".npz"))

    def _advance(self, until_ns: int) -> None:
        """Simulate the physics steps that begin before then."""
        while (at_ns := self._begun_ns + self._stepped * self._period_ns // self._steps) < until_ns:
            self._world.step({name: commands.at(at_ns) for name, commands in self._commands.items()})
            self._stepped += 1
        dead = any(commands.dead for commands in self._commands.values())
        if dead and not self._dead:
            self._log.warning(f"dead-man: no command for {DEAD_MAN_NS / 1e9:g} s, {self._world.without_command}")
        self._dead = dead

    def _publish(self) -> None:
        stamp, readings = self._link.now(), self._world.sense()
        truth = self._write_truth(vars(self._world.truth()))
        set_stamp(truth, stamp)
        self._publish_truth(truth)
        if self._task:
            self._measured = self._task.judge()
            self._publish_success(Bool(data=self._task.succeeded))
            self._record.add(time.monotonic(), self._task.state, self._measured)
        faults = self._active_faults()
        for fault in faults:
            self._sensors.spoil(fault, readings)
        silent, late = ({fault.topic for fault in faults if fault.kind == kind} for kind in ("silence", "late"))
        sent_ns = self._sensors.publish(stamp, readings, silent, late)
        if sent_ns is not None:
            self._answers.sent(sent_ns)
            self._published += 1

    def _active_faults(self) -> list[Fault]:
        if self._moving_since_s is None:
            return []
        time_s = self._world.time_s - self._moving_since_s
        active = [fault for fault in self._faults if fault.active(time_s)]
        if active:
            self._aftermath.begin(time.monotonic_ns())
        return active

    # --- commands ---

    def _take(self, command: CommandInterface, table: BindingTable) -> None:
        """Subscribe to a command."""
        binding = table.command(command)
        callback = self._receiver(command.name, binding.reader(command))
        self._link.node.create_subscription(binding.message, binding.topic, callback, qos.COMMAND)

    def _receiver(self, name: str, read: Callable[[Any], Array]) -> Callable[[Any], None]:
        return lambda message: self._on_command(name, read(message))

    def _on_command(self, name: str, command: Array) -> None:
        now_ns = time.monotonic_ns()
        problem = self._commands[name].receive(command, now_ns)
        if problem:
            self._refused += 1
            self._log.error(f"{name} refused: {problem}")
            return
        self._newest[name] = command
        everything = np.concatenate(list(self._newest.values()))
        if self._moving_since_s is None and (everything != self._safe).any():
            self._moving_since_s = self._world.time_s
        if name == self._interface.commands[-1].name:  # the node sends its commands in this order
            self._aftermath.note_command(now_ns, everything)
        self._answers.came(now_ns)

    # --- at the end ---

    def _timing_line(self) -> str:
        latency = self._answers.histogram.summary()
        return (
            f"{self._published} readings sent, sensor to command p50 {latency['p50_us']:.0f} us, "
            f"p99 {latency['p99_us']:.0f} us, {self._answers.unanswered} without an answer in their period"
        )

    def _summary(self) -> dict[str, object]:
        return {
            "robot": self._interface.robot,
            "seed": self._config.seed,
            **self._world.hidden(),
            **({"succeeded": self._task.succeeded, "measured": self._measured} if self._task else {}),
            "readings": self._published,
            "unanswered": self._answers.unanswered,
            "skipped_periods": self._skipped,
            "refused_commands": self._refused,
            "dead_man": self._dead,
            "after_fault": self._aftermath.summary(),
            "sensor_to_command": self._answers.histogram.summary(),
            "lateness": self._lateness.summary(),
            "period_error": self._answers.period_error.summary(),
        }
