"""Faults of processes: the node's, its watchdog's, the robot's, the machine's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace

from faults.messages import Inject, edited
from faults.sensor_kinds import AGE_S, _position
from faults.system import NORMAL
from faults.trial import Holds, Kind, Refuses, Stops, Trial

_LEGS = "quadruped"
_SILENT_S = 1.0
"""After how long a watchdog that says nothing is missed."""
_HANGS = Stops(time_out_s=AGE_S, stray=1)
_BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(1_000_000): pass"


def _node(*signals: signal.Signals) -> Inject:
    """Send these to the node, one after the other."""

    def inject(trial: Trial) -> None:
        node = trial.system.node
        assert node is not None
        trial.mark()
        for number in signals:
            node.signal(number)

    return inject


def _hang(seconds: float) -> Inject:
    """The node is held up for so long."""

    def inject(trial: Trial) -> None:
        node = trial.system.node
        assert node is not None
        trial.mark()
        node.signal(signal.SIGSTOP)
        trial.at_end.append(lambda: node.ended or node.signal(signal.SIGCONT))
        trial.wait(seconds)
        node.signal(signal.SIGCONT)

    return inject


def _watchdog(number: signal.Signals) -> Inject:
    def inject(trial: Trial) -> None:
        watchdog = trial.system.watchdog()
        trial.at_end.append(lambda: _kill(watchdog))
        trial.mark()
        os.kill(watchdog, number)

    return inject


def _kill(pid: int) -> None:
    if os.path.exists(f"/proc/{pid}"):
        os.kill(pid, signal.SIGKILL)


def _robot(number: signal.Signals) -> Inject:
    def inject(trial: Trial) -> None:
        robot = trial.system.robot
        trial.at_end.append(robot.kill)
        trial.mark()
        robot.signal(number)

    return inject


def _another_robot(trial: Trial) -> None:
    interface = trial.system.robot_under_test.contract.interface()
    trial.relay.say(replace(interface, robot="another").to_json())
    trial.at_end.append(trial.relay.enter)
    trial.wait(0.3)


def _busy(niceness: int) -> Inject:
    """Two processes that never rest."""

    def inject(trial: Trial) -> None:
        command = [*NORMAL, sys.executable, "-c", _BUSY, str(os.getpid())]
        hogs = [subprocess.Popen(command) for _ in range(2)]
        for hog in hogs:
            trial.at_end += [hog.kill, hog.wait]
            if niceness:
                os.setpriority(os.PRIO_PROCESS, hog.pid, niceness)

    return inject


KINDS = (
    Kind(name="kill -9 of the node", row=4, inject=_node(signal.SIGKILL), expect=Stops(), ends_node=True),
    Kind(
        name="kill -9 of the node, legs", row=4, robot=_LEGS, inject=_node(signal.SIGKILL), expect=Stops(),
        ends_node=True,
    ),
    Kind(name="SIGHUP: the terminal is closed", row=4, inject=_node(signal.SIGHUP), expect=Stops(), ends_node=True),
    Kind(name="SIGQUIT", row=4, inject=_node(signal.SIGQUIT), expect=Stops(), ends_node=True),
    Kind(
        name="SIGINT twice, legs", row=4, robot=_LEGS, inject=_node(signal.SIGINT, signal.SIGINT), expect=Stops(),
        ends_node=True,
    ),
    Kind(
        name="SIGTERM, then SIGINT, legs", row=4, robot=_LEGS, inject=_node(signal.SIGTERM, signal.SIGINT),
        expect=Stops(), ends_node=True,
    ),
    Kind(name="the node hangs for 0.5 s", inject=_hang(0.5), expect=_HANGS),
    Kind(name="the node hangs for 0.3 s, legs", robot=_LEGS, inject=_hang(0.3), expect=_HANGS),
    Kind(name="the node hangs for ever", inject=_hang(3.0), expect=_HANGS),
    Kind(name="kill -9 of the watchdog", inject=_watchdog(signal.SIGKILL), expect=Stops()),
    Kind(name="the watchdog hangs", inject=_watchdog(signal.SIGSTOP), expect=Stops(time_out_s=_SILENT_S + 0.1)),
    Kind(name="kill -9 of the robot", inject=_robot(signal.SIGKILL), expect=Stops(time_out_s=AGE_S)),
    Kind(name="the robot hangs", inject=_robot(signal.SIGSTOP), expect=Stops(time_out_s=AGE_S)),
    Kind(name="robot replaced by another", row=13, phase="idle", inject=_another_robot, expect=Refuses(words="robot")),
    Kind(name="two busy processes", inject=_busy(0), expect=Holds()),
    Kind(name="two busy processes at nice -15", row=21, inject=_busy(-15), expect=Holds()),
    Kind(
        name="nobody reads the output, and a reading is not a number", row=1, unread=True,
        inject=edited("odom", _position(float("nan"))), expect=Stops(),
    ),
    Kind(
        name="no file can be written, and the node is ended", row=20, inject=_node(signal.SIGTERM), expect=Stops(),
        options=("--log", "log.json"), prefix=("prlimit", "--fsize=0"), ends_node=True,
    ),
)  # fmt: skip
