"""What a description is asked for by name."""

from __future__ import annotations

import pytest

from isthmus_sim.robots.quadruped.description import ROBOT


def test_a_signal_or_command_that_a_robot_lacks_is_refused_with_those_it_has():
    assert ROBOT.signal("joint_position").unit == "rad"
    with pytest.raises(ValueError, match=r"quadruped has no signal 'position'; it has: .*joint_position"):
        ROBOT.signal("position")
    with pytest.raises(ValueError, match=r"quadruped has no command 'rotor_speed'; it has: joint_position_target$"):
        ROBOT.command("rotor_speed")
