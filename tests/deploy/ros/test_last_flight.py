"""The doctor judges the flight that a real node records at a stand-in robot, against a world that was learnt."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from ros_processes import QUADROTOR, Operator

from isthmus_deploy.flight.recorded import Flight, read_flight
from isthmus_deploy.mismatch.finder import learn_world
from isthmus_deploy.mismatch.world_file import beside, write_world

pytestmark = pytest.mark.ros

ORDER = np.array([1, 0, 2, 3])


def piece(flight: Flight, first: int, length: int) -> Flight:
    """Some ticks of a flight, its rotors in another order, as if training had had them so."""
    rows = slice(first, first + length)
    names = ("numbers", "signals", "wanted", "sent")
    cut = {name: {key: values[rows] for key, values in getattr(flight, name).items()} for name in names}
    cut["sent"] = {"rotor_speed": cut["sent"]["rotor_speed"][:, ORDER]}
    return dataclasses.replace(flight, **cut, states=flight.states[rows], has_wanted=flight.has_wanted[rows])


def fly_about(operator: Operator) -> None:
    """It takes off, and goes from corner to corner."""
    operator.take_off()
    for x, y in ((0.5, 0.0), (0.5, 0.5), (0.0, 0.5), (0.0, 0.0)):
        operator.give_goal(x, y, 1.0)
        place = np.array([x, y])
        operator.wait("corner", lambda place=place: np.linalg.norm(operator.position[:2] - place) < 0.15)


@pytest.mark.long
def test_the_doctor_says_what_the_flight_shows_that_is_just_flown(start, policy, operator, tmp_path: Path):
    start(*QUADROTOR)
    flights = tmp_path / "flights"
    node = start("node.policy_node", policy, "--record-in", flights)
    folder = Path(node.wait_for(r"recording to (\S+)").group(1))
    fly_about(operator)
    doctor = start("node.policy_node", "doctor", policy, "--watch-s", 1.0, "--flights", flights)
    doctor.wait_for("note   flight: without hand_made.world.npz orders, signs, units, frames, gains and delays are not")
    doctor.exit_status()

    flight = read_flight(folder)
    flown = np.flatnonzero(flight.has_wanted)[200:]
    pieces = [piece(flight, first, 150) for first in np.linspace(flown[0], flown[-1] - 150, 16).astype(int)]
    world = tmp_path / "spoilt.npz"
    write_world(learn_world(flight.contract, pieces), flight.contract, world)
    doctor = start("node.policy_node", "doctor", policy, "--watch-s", 1.0, "--flights", flights, "--world", world)
    doctor.wait_for(rf"note   flight: {folder.name} shows 1\. joint order: rotor_speed goes to")
    doctor.exit_status()
    assert operator.state == "running", "it was judged while it flew"
    assert not beside(policy).exists()


def test_the_doctor_says_that_nothing_has_been_flown(start, policy, tmp_path: Path):
    start(*QUADROTOR)
    doctor = start("node.policy_node", "doctor", policy, "--watch-s", 1.0, "--flights", tmp_path)
    doctor.wait_for(f"note   flight: none of crazyflie in {tmp_path}: once it has moved, it can be judged")
    assert doctor.exit_status() == 0
