"""The watchdog of a policy node, with real processes that are killed and held up for real."""

from __future__ import annotations

import os
import select
import signal

import numpy as np
import pytest
from ros_processes import LEGS, QUADROTOR, watchdog_of

from isthmus_sim.robots.quadruped.description import ROBOT

pytestmark = pytest.mark.ros

COMMAND = ROBOT.commands[0]
SAFE = np.array(COMMAND.safe)
STEP = np.array(COMMAND.transition_rate) * ROBOT.control_period_s


@pytest.fixture
def flying(start, policy, operator):
    """The node of a robot in the air."""
    start(*QUADROTOR)
    node = start("node.policy_node", policy)
    operator.take_off()
    operator.wait_state("running")
    return node


def wait_for_safe(operator) -> None:
    """Wait for the safe command of a quadrotor, and until it has been sent for a while."""
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    count = len(operator.commands)
    operator.wait("more of them", lambda: len(operator.commands) > count + 20, 5.0)
    assert not np.any(operator.commands[count:]), "nobody moves it again"


def test_the_death_of_the_node_stops_the_motors(flying, operator):
    flying.signal(signal.SIGKILL)
    wait_for_safe(operator)
    flying.wait_for("the node died while it drove the robot: the watchdog brought it to rest", 10.0)


def test_a_node_that_is_killed_while_it_ends_has_stopped_the_motors_or_its_watchdog_does(flying, operator):
    alive = os.pidfd_open(watchdog_of(flying.pid))
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGKILL):
        flying.signal(number)
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    count = len(operator.commands)
    operator.wait("end of the watchdog", lambda: select.select([alive], [], [], 0.0)[0])
    os.close(alive)
    assert not np.any(operator.commands[count:]), "nobody moves it again"


def test_a_closed_terminal_ends_the_node_itself(flying, operator):
    flying.signal(signal.SIGHUP)
    flying.signal(signal.SIGQUIT)
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    assert flying.exit_status() == 0
    assert "ended by SIGHUP in state running" in flying.output or "ended by SIGQUIT in state running" in flying.output
    assert "watchdog" not in flying.output, "it was released"


def test_a_node_that_hangs_is_taken_over_from_and_does_not_come_back(flying, operator):
    watchdog = watchdog_of(flying.pid)
    flying.signal(signal.SIGSTOP)
    wait_for_safe(operator)
    flying.wait_for("the node has not ticked for .* s: the watchdog brought it to rest", 10.0)
    count = len(operator.commands)
    flying.signal(signal.SIGCONT)
    assert "the watchdog took over" in operator.wait_state("fault")["cause"]
    operator.wait("the node to speak again", lambda: len(operator.commands) > count + 20, 5.0)
    assert np.any(operator.commands[count:], axis=1).sum() <= 1, "the one that it was sending when it was stopped"
    assert not operator.ask("arm").success, "the fault is latched"
    assert operator.ask("reset").success
    operator.wait("another watchdog", lambda: operator.ask("arm").success)
    assert watchdog_of(flying.pid) != watchdog


def test_a_node_that_comes_back_at_once_leaves_the_robot_to_the_watchdog(flying, operator):
    flying.signal(signal.SIGSTOP)
    operator.wait("safe command", lambda: not operator.commands[-1].any(), 5.0)
    count = len(operator.commands)
    flying.signal(signal.SIGCONT)
    assert "the watchdog took over" in operator.wait_state("fault")["cause"]
    flying.wait_for("the watchdog brought it to rest", 10.0)
    operator.wait("the node to speak again", lambda: len(operator.commands) > count + 100, 5.0)
    assert np.any(operator.commands[count:], axis=1).sum() <= 1, "the one that it was sending when it was stopped"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_without_its_watchdog_the_node_drives_nothing(flying, operator, number):
    watchdog = watchdog_of(flying.pid)
    os.kill(watchdog, number)
    cause = operator.wait_state("fault")["cause"]
    assert cause.startswith("the watchdog has " + ("ended" if number == signal.SIGKILL else "been silent"))
    wait_for_safe(operator)
    assert operator.ask("reset").success
    assert "cannot arm: " in operator.ask("arm").message
    if number == signal.SIGSTOP:
        os.kill(watchdog, signal.SIGKILL)
    operator.wait("another watchdog", lambda: operator.ask("arm").success)


def test_signals_by_which_processes_are_ended_do_not_end_it(flying, operator):
    watchdog = watchdog_of(flying.pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        os.kill(watchdog, number)
    assert operator.ask("stop").success
    operator.wait("reset", lambda: operator.ask("reset").success)
    assert operator.ask("arm").success


def test_the_death_of_an_idle_node_moves_nothing(start, policy, operator):
    start(*QUADROTOR)
    node = start("node.policy_node", policy)
    node.wait_for("ready: ")
    watchdog = watchdog_of(node.pid)
    alive = os.pidfd_open(watchdog)
    node.kill()
    operator.wait("end of the watchdog", lambda: select.select([alive], [], [], 0.0)[0])
    os.close(alive)
    assert not operator.commands


def test_legs_are_laid_down_slowly_by_whoever_is_left(start, standing, walker):
    robot = start(*LEGS)
    node = start("node.policy_node", standing)
    walker.stand_up()
    walker.wait_state("running")
    before = len(walker.commands) - 1
    node.signal(signal.SIGKILL)
    walker.wait("the safe command", lambda: np.array_equal(walker.commands[-1], SAFE))
    assert (np.abs(np.diff(np.array(walker.commands[before:]), axis=0)) <= 10.0 * STEP).all(), "slowly"
    walker.wait("rest", lambda: walker.position[2] < 0.1 and walker.up > 0.9)
    robot.wait_for("dead-man: no command for 0.2 s, joints damped only", 10.0)


def test_legs_that_hang_half_way_down_are_laid_down_once(start, standing, walker):
    """The node comes back while the watchdog commands the robot: both know the way, one goes it."""
    start(*LEGS)
    node = start("node.policy_node", standing)
    walker.stand_up()
    walker.wait_state("running")
    standby = walker.commands[-1]
    node.signal(signal.SIGSTOP)
    walker.wait("the way down", lambda: not np.array_equal(walker.commands[-1], standby))
    node.signal(signal.SIGCONT)
    assert "the watchdog took over" in walker.wait_state("fault")["cause"]
    walker.wait("the safe command", lambda: np.array_equal(walker.commands[-1], SAFE))
    way = np.abs(np.array(walker.commands) - SAFE)
    assert (np.diff(way[np.argmax(way.sum(axis=1)) :].max(axis=1)) <= 1e-3).all(), "never back up"


def test_legs_that_are_damped_are_not_driven_to_a_pose_by_whoever_is_left(start, standing, walker):
    start(*LEGS)
    node = start("node.policy_node", standing)
    node.wait_for("ready: quadruped")
    walker.stand_up()
    walker.wait_state("running")
    assert walker.ask("emergency_stop").success
    walker.wait("a robot on the ground", lambda: walker.position[2] < 0.12)
    node.signal(signal.SIGKILL)
    walker.wait("the same command again and again", lambda: not np.ptp(walker.commands[-10:], axis=0).any(), 10.0)
    node.wait_for("the watchdog brought it to rest in ", 10.0)
    assert np.abs(walker.commands[-1] - SAFE).max() > 0.05, "which is where the legs are, not the safe pose"


def test_a_node_that_comes_back_leaves_damped_legs_where_they_are(start, standing, walker):
    start(*LEGS)
    node = start("node.policy_node", standing)
    walker.stand_up()
    walker.wait_state("running")
    assert walker.ask("emergency_stop").success
    walker.wait("a robot on the ground", lambda: walker.position[2] < 0.12)
    node.signal(signal.SIGSTOP)
    node.wait_for("the watchdog brought it to rest in ", 10.0)
    before = len(walker.commands)
    node.signal(signal.SIGCONT)
    walker.wait("commands of the node", lambda: len(walker.commands) > before + 10)
    assert np.abs(np.array(walker.commands[before:]) - SAFE).max(axis=1).min() > 0.05, "nobody drives them to a pose"


def test_it_is_not_for_people(start):
    watchdog = start("watchdog.process")
    assert watchdog.exit_status() == 1
    assert "isthmus-deploy starts it" in watchdog.output
