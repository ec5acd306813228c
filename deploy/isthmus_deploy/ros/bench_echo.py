"""The limit of sensor-to-command latency: the same messages, bounced by a process that does nothing else.

`python -m isthmus_deploy.ros.bench_echo` publishes imu and odom as the stand-in robot does, lets a second
process answer every odom with a command, and prints how long the answers took.
"""

from __future__ import annotations

import array
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from isthmus_deploy.ros import ros2
from isthmus_deploy.timing.answers import AnswerTimes

_ROTORS = 4


@dataclass(frozen=True, kw_only=True)
class Config:
    """Time odom → command between two processes that do nothing else."""

    duration_s: float = 10.0
    """How long to measure, s."""
    period_s: float = 0.01
    """Control period: from one odom to the next, s."""
    wait_s: float = 15.0
    """How long to wait for the echo, s."""
    role: Literal["measure", "echo"] = "measure"
    """What this process does; measure starts the echo by itself."""
    log: Path | None = None
    """Where to write the result as JSON."""


def main() -> None:
    """Entry point."""
    config = tyro.cli(Config, prog="bench_echo")
    ros2.run(lambda: _run(config), name="bench_echo")


def _run(config: Config) -> int:
    ros2.require()
    if config.role == "echo":
        return _echo()
    command = [sys.executable, "-m", "isthmus_deploy.ros.bench_echo", "--role", "echo"]
    echo = subprocess.Popen(command)
    try:
        summary = measure(config)
    finally:
        echo.terminate()
        echo.wait()
    load = os.getloadavg()[0]
    print(
        f"bare echo: {summary['count']} answers, p50 {summary['p50_us']:.0f} us, p99 {summary['p99_us']:.0f} us, "
        f"max {summary['max_us']:.0f} us, load average {load:.2f} on {os.cpu_count()} cores"
    )
    if config.log:
        from isthmus_deploy.ros.files import write_json

        write_json(config.log, {**summary, "load_average": load})
    return 0


def measure(config: Config) -> dict[str, Any]:
    """Publish readings and time the answers; the histogram's summary.

    Raises:
        Refusal: the echo does not answer.
    """
    from nav_msgs.msg import Odometry
    from sensor_msgs.msg import Imu
    from std_msgs.msg import Float64MultiArray

    from isthmus_deploy.ros import qos

    period_ns = round(config.period_s * 1e9)
    link, answers = ros2.Link("bench"), AnswerTimes(period_ns)
    try:
        imu = link.node.create_publisher(Imu, "imu", qos.SENSOR)
        odom = link.node.create_publisher(Odometry, "odom", qos.SENSOR)
        link.node.create_subscription(
            Float64MultiArray,
            "rotor_controller/commands",
            lambda _: answers.came(time.monotonic_ns()),
            qos.COMMAND,
        )
        if not link.wait(config.wait_s, odom.get_subscription_count):
            raise ros2.Refusal(f"no echo within {config.wait_s:g} s")
        next_ns = time.monotonic_ns()
        for _ in range(round(config.duration_s * 1e9) // period_ns):
            next_ns += period_ns
            link.wait_until(next_ns)
            imu.publish(Imu())
            answers.sent(time.monotonic_ns())
            odom.publish(Odometry())
    finally:
        link.close()
    return answers.histogram.summary()


def _echo() -> int:
    from nav_msgs.msg import Odometry
    from sensor_msgs.msg import Imu
    from std_msgs.msg import Float64MultiArray

    from isthmus_deploy.ros import qos

    stop, link = ros2.StopRequest(), ros2.Link("echo")
    answer = Float64MultiArray(data=array.array("d", [0.0] * _ROTORS))
    commands = link.node.create_publisher(Float64MultiArray, "rotor_controller/commands", qos.COMMAND)
    link.node.create_subscription(Imu, "imu", lambda _: None, qos.SENSOR)
    link.node.create_subscription(Odometry, "odom", lambda _: commands.publish(answer), qos.SENSOR)
    while not stop:
        link.wait(1.0, lambda: stop)
    link.close()
    return 0


if __name__ == "__main__":
    main()
