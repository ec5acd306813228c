"""The table of topics: that the page shows it as it is, and what it says of one robot."""

from __future__ import annotations

from pathlib import Path

import pytest
import standing_policy

from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.ros.announce import read_interface
from isthmus_deploy.ros.bindings.table import bindings
from isthmus_deploy.ros.ros2 import Refusal
from isthmus_deploy.ros.topics import all_rows, listing, markdown, rows_of

PAGE = Path(__file__).parents[4] / "docs" / "your_robot.md"


def test_the_page_shows_the_table_of_the_code():
    _, _, rest = PAGE.read_text("utf-8").partition("<!-- topics -->\n")
    shown, _, _ = rest.partition("<!-- /topics -->")
    assert shown.strip() == markdown(all_rows(bindings("isthmus"))).strip(), (
        "copy the output of: python -m isthmus_deploy.ros.topics --package isthmus"
    )


def test_a_robots_topics_are_those_of_its_signals_and_commands():
    interface = standing_policy.contract().interface()
    rows = {row.topic: row for row in rows_of(interface, bindings())}
    assert set(rows) == {"robot_interface", "joint_states", "imu", "cmd_vel", "forward_position_controller/commands"}
    joints = rows["joint_states"]
    assert (joints.source, joints.target, joints.message) == ("driver", "policy", "sensor_msgs/JointState")
    assert joints.qos == "best effort, depth 1"
    assert joints.holds[0].startswith("joint_position (rad, joint): FL_hip_joint, FL_thigh_joint")
    command = rows["forward_position_controller/commands"]
    assert (command.source, command.target, command.qos) == ("policy", "driver", "reliable, depth 1")
    assert "0.5 s of silence" in " ".join(rows["cmd_vel"].holds)
    assert "    imu_orientation (1, world_from_body): w, x, y, z" in listing(rows.values())


def test_a_robot_that_speaks_of_unknown_things_is_refused(contract):
    with pytest.raises(Refusal, match="no topic gives goal"):
        rows_of(contract.interface(), bindings())


def test_what_is_announced_comes_from_a_policy_a_contract_or_an_interface(tmp_path: Path, standing: Path):
    contract = standing_policy.contract()
    as_contract, as_interface, neither = (tmp_path / f"{name}.json" for name in ("contract", "interface", "neither"))
    as_contract.write_text(contract.to_json())
    as_interface.write_text(contract.interface().to_json())
    neither.write_text("{}")
    for path in (standing, as_contract, as_interface):
        assert read_interface(path) == contract.interface()
    with pytest.raises(ContractError, match="version: missing"):
        read_interface(neither)
    neither.write_bytes(b"\xff{}")
    with pytest.raises(ContractError, match=r"neither\.json: not JSON: 'utf-8' codec"):
        read_interface(neither)
