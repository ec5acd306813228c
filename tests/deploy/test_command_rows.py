"""Commands by name and rows of numbers."""

import dataclasses

import numpy as np
import pytest

from isthmus_deploy.chunk_executor import ChunkError
from isthmus_deploy.command_rows import CommandRows


@pytest.fixture
def rows(contract):
    """Two joints, and two grippers of two fingers; chunks of 3."""
    joints = contract.commands[0]
    return CommandRows([joints, dataclasses.replace(joints, name="grippers", shape=(2, 2))], 3)


def test_commands_are_joined_in_the_contracts_order_and_split_again(rows):
    chunks = {
        "grippers": np.arange(12, dtype=np.float32).reshape(3, 2, 2),
        "joint_command": np.arange(-6, 0, dtype=np.float32).reshape(3, 2),
    }
    joined = rows.join(chunks)
    assert rows.size == 6
    np.testing.assert_array_equal(joined[1], [-4, -3, 4, 5, 6, 7])
    for name, chunk in chunks.items():
        np.testing.assert_array_equal(rows.split(joined)[name], chunk)
        np.testing.assert_array_equal(rows.split(joined[2])[name], chunk[2])


@pytest.mark.parametrize("shape", [(2, 2), (3, 3), (3,), (6,), (1, 3, 2)])
def test_another_shape_is_refused_by_name(rows, shape):
    with pytest.raises(ChunkError, match="joint_command"):
        rows.join({"joint_command": np.zeros(shape), "grippers": np.zeros((3, 2, 2))})


def test_a_missing_command_is_refused_by_name(rows):
    with pytest.raises(ChunkError, match="grippers"):
        rows.join({"joint_command": np.zeros((3, 2))})
