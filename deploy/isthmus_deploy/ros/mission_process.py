"""The mission at work: an operator in a process of its own, so that recording never disturbs the control loop."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from std_msgs.msg import Float64MultiArray
from std_srvs.srv import Trigger

from isthmus_deploy.ros import qos
from isthmus_deploy.ros.flight_log import FlightLog, tracking
from isthmus_deploy.ros.messages import read_quaternion, read_vector, write_vector
from isthmus_deploy.ros.mission import Config
from isthmus_deploy.ros.ros2 import Link, Refusal, StopRequest
from isthmus_deploy.ros.signals import COMMANDS, REFERENCE
from isthmus_deploy.ros.status import read_diagnostics

NODE = "policy_node"
_PERIOD_NS = 10_000_000
_SERVICE_S = 3.0
_TOUCHDOWN_S = 1.0  # after the landing's end, for a policy that is late on the ground
_ON_GROUND_M = 0.06
_WORLD = "world"


def fly(config: Config) -> int:
    """Fly the mission; returns 0 when it succeeded, 1 when it failed.

    Raises:
        Refusal: the node or the robot is not there, or the node does not arm or start.
    """
    stop = StopRequest()
    link = Link("mission", config.namespace)
    try:
        mission = Mission(config, link)
        mission.prepare(stop)
        failure = mission.fly(stop)
        return mission.conclude(failure)
    finally:
        link.close()


class Mission:
    """One flight: streams the reference, watches truth and diagnostics, records both."""

    def __init__(self, config: Config, link: Link) -> None:
        self._config, self._link = config, link
        self._log = link.node.get_logger()
        self._record = FlightLog()
        self._home: np.ndarray | None = None
        self._start_ns: int | None = None
        self._truth = np.zeros(13)
        self._target = (np.zeros(3), np.zeros(3))
        self._state = self._cause = ""
        self._phase = ""
        self._reference = Odometry()
        self._reference.header.frame_id = self._reference.child_frame_id = _WORLD
        node = link.node
        self._publisher = node.create_publisher(Odometry, REFERENCE.name, qos.SENSOR)
        self._services = {name: node.create_client(Trigger, f"{NODE}/{name}") for name in ("arm", "start", "stop")}
        node.create_subscription(Odometry, "ground_truth", self._on_truth, qos.SENSOR)
        node.create_subscription(Float64MultiArray, COMMANDS["rotor_speed"].topic, self._on_command, qos.COMMAND)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.DIAGNOSTICS)

    def prepare(self, stop: StopRequest) -> None:
        """Wait for robot and node, put the reference on the robot, arm and start.

        Raises:
            Refusal: one of them is missing, or says no.
        """
        deadline_ns = time.monotonic_ns() + int(self._config.wait_s * 1e9)
        ready = self._link.wait_until(deadline_ns, lambda: stop or not self._missing())
        if stop or not ready:
            reason = f"{stop.signal} while waiting" if stop else f"after {self._config.wait_s:g} s still missing"
            raise Refusal(f"{reason}: {', '.join(self._missing()) or 'nothing'}")
        self._home = self._truth[:3].copy()
        self._call("arm")
        self._call("start")
        self._start_ns = time.monotonic_ns()

    def fly(self, stop: StopRequest) -> str | None:
        """Fly the plan at 100 Hz; returns why it failed, or None."""
        plan = self._config.plan
        next_ns = time.monotonic_ns()
        while (now_s := self._time_s()) < plan.duration_s + _TOUCHDOWN_S:
            failure = f"{stop.signal}: the operator ended it" if stop else self._failure()
            if failure:
                return failure
            if now_s > plan.duration_s and self._height() < _ON_GROUND_M:
                break
            self._enter(plan.phase(now_s))
            self._send_reference(*plan.reference(now_s))
            next_ns = max(next_ns + _PERIOD_NS, time.monotonic_ns())
            self._link.wait_until(next_ns)
        return None

    def conclude(self, failure: str | None) -> int:
        """Stop the motors, judge, record; returns the process's exit status."""
        if self._state not in ("fault", "stopped"):
            self._call("stop")
        self._link.wait(0.5, lambda: self._state in ("stopped", "fault"))
        errors = tracking(self._record, self._config.plan, settle_s=self._config.settle_s)
        failures = [failure] if failure else self._shortfalls(errors)
        if self._config.log:
            self._record.save(self._config.log, self._summary(errors, failures))
        for name, error in errors.items():
            self._log.info(f"{name:<13} rmse {error['rmse']:.3f} m, max {error['max']:.3f} m")
        for line in failures:
            self._log.error(f"flight failed: {line}")
        if not failures:
            self._log.info("flight succeeded")
        return 1 if failures else 0

    # --- what arrives ---

    def _on_truth(self, message: Odometry) -> None:
        truth = self._truth
        read_vector(message.pose.pose.position, truth[0:3])
        read_quaternion(message.pose.pose.orientation, truth[3:7])
        read_vector(message.twist.twist.linear, truth[7:10])
        read_vector(message.twist.twist.angular, truth[10:13])
        if self._home is None:  # not armed yet: the reference is where the robot stands
            self._home_reference()
            return
        if self._start_ns is None:
            self._send_reference(np.zeros(3), np.zeros(3))
            return
        position, velocity = self._target
        self._record.truth.append((self._time_s(), *truth.tolist(), *position.tolist(), *velocity.tolist()))

    def _on_command(self, message: Float64MultiArray) -> None:
        if self._start_ns is not None:
            self._record.commands.append((self._time_s(), *message.data))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = read_diagnostics(message)
        if values is None:
            return
        self._record.diagnostics.append({"time": f"{self._time_s():.3f}", **values})
        if values["state"] != self._state:
            self._note(f"node {values['state']}" + (f": {values['cause']}" if values["cause"] else ""))
        self._state, self._cause = values["state"], values["cause"]

    # --- what is sent ---

    def _home_reference(self) -> None:
        self._publish_reference(self._truth[:3], np.zeros(3))

    def _send_reference(self, offset: np.ndarray, velocity: np.ndarray) -> None:
        assert self._home is not None
        self._target = (self._home + offset, velocity)
        self._publish_reference(*self._target)

    def _publish_reference(self, position: np.ndarray, velocity: np.ndarray) -> None:
        self._reference.header.stamp = self._link.now()
        write_vector(position, self._reference.pose.pose.position)
        write_vector(velocity, self._reference.twist.twist.linear)
        self._publisher.publish(self._reference)

    def _call(self, name: str) -> None:
        """Ask the node for `arm`, `start` or `stop`.

        Raises:
            Refusal: no answer, or a no.
        """
        future = self._services[name].call_async(Trigger.Request())
        if not self._link.wait(_SERVICE_S, future.done):
            raise Refusal(f"{NODE} does not answer to {name} within {_SERVICE_S:g} s")
        answer = future.result()
        assert answer is not None
        if not answer.success:
            raise Refusal(f"{NODE} refused to {name}: {answer.message}")
        self._note(f"{name}: {answer.message}")

    # --- judging ---

    def _missing(self) -> list[str]:
        missing = [f"service {c.srv_name}" for c in self._services.values() if not c.service_is_ready()]
        if not self._truth[3:7].any():
            missing.append("topic ground_truth")
        if not self._publisher.get_subscription_count():
            missing.append(f"somebody who takes {REFERENCE.name}")
        return missing

    def _failure(self) -> str | None:
        if self._state in ("fault", "stopped"):
            return f"node {self._state}: {self._cause}"
        distance = float(np.linalg.norm(self._truth[:3] - self._target[0]))
        if self._record.truth and distance > self._config.limits.abort_m:
            return f"{distance:.2f} m from the reference in {self._phase} (at most {self._config.limits.abort_m:g} m)"
        return None

    def _shortfalls(self, errors: dict[str, dict[str, float]]) -> list[str]:
        limits = self._config.limits
        failures = []
        for phase, limit in (("hover", limits.hover_m), ("figure-eight", limits.figure_eight_m)):
            if phase in errors and errors[phase]["rmse"] > limit:
                failures.append(f"{phase}: rmse {errors[phase]['rmse']:.3f} m (at most {limit:g} m)")
        assert self._home is not None
        away = float(np.linalg.norm(self._truth[:2] - self._home[:2]))
        if self._height() > 2 * _ON_GROUND_M or away > limits.landing_m:
            failures.append(f"landing: {self._height():.2f} m above the ground, {away:.2f} m from the take-off")
        return failures

    def _summary(self, errors: dict[str, dict[str, float]], failures: list[str]) -> dict[str, Any]:
        return {
            "success": not failures,
            "failures": failures,
            "tracking_m": errors,
            "plan": asdict(self._config.plan),
            "limits": asdict(self._config.limits),
            "phases": [asdict(phase) for phase in self._config.plan.phases],
        }

    # --- small things ---

    def _time_s(self) -> float:
        return 0.0 if self._start_ns is None else (time.monotonic_ns() - self._start_ns) * 1e-9

    def _height(self) -> float:
        assert self._home is not None
        return float(self._truth[2] - self._home[2])

    def _enter(self, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self._note(phase)

    def _note(self, text: str) -> None:
        self._record.events.append((round(self._time_s(), 3), text))
        self._log.info(f"{self._time_s():5.1f} s  {text}")
