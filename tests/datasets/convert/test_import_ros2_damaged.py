"""ROS 2 bags that are not whole: cut short, in parts, without an index. What is there is read, or refused in words."""

from __future__ import annotations

import sqlite3
import struct
from pathlib import Path

import pytest
from made_bags import (
    STATE,
    options,
    states,
    write_bag,
)
from refusals import refused

from isthmus_datasets.convert.importers.opening import open_source
from isthmus_datasets.format.info import DatasetError


def test_a_truncated_database_is_refused(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", states(400), plugin="sqlite3")
    (file,) = bag.glob("*.db3")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with refused("bag | copy it again"):
        open_source(bag, options(STATE))


@pytest.mark.parametrize(("compressed", "stages"), [(False, 10), (True, 2)])
def test_a_cut_mcap_file_is_read_as_far_as_it_goes(tmp_path: Path, compressed: bool, stages: int):
    """Wherever it is cut: the first messages in their order, or an error in words. Messages are saved out of a chunk
    that was cut too; so few are one block of zstd, which is read whole or not at all."""
    (file,) = write_bag(tmp_path / "bag", states(40), compressed=compressed).glob("*.mcap")
    content, cut, rows = file.read_bytes(), tmp_path / "cut.mcap", []
    for size in (8, 9, 30, *range(100, len(content), 199)):
        cut.write_bytes(content[:size])
        rows.append(rows_of(cut))
    assert rows == sorted(rows)
    assert rows[0] == 0, "its first bytes alone"
    assert rows[-1] == 40, "only the end of the index is missing"
    assert len(set(rows)) >= stages


def rows_of(bag: Path) -> int:
    """Steps of its only episode, which are those of `states` from the first on; 0 for one that is refused."""
    try:
        source = open_source(bag, options(STATE, fps=20))
    except DatasetError as error:
        refusal = str(error)
    else:
        refusal = ""
    if refusal:
        assert "ends before any message" in refusal or "has no messages on /state" in refusal
        return 0
    (episode,) = source.episodes
    assert episode.columns["observation.state"][:, 0].tolist() == [10.0 * k for k in range(episode.length)]
    assert source.findings == [f"cut.mcap: was cut short: {episode.length} messages can be read"]
    return episode.length


def test_an_mcap_file_without_an_index_is_read(tmp_path: Path):
    """Which is legal: its chunks' entries say of no message where it is."""
    bag = write_bag(tmp_path / "bag", states())
    (file,) = bag.glob("*.mcap")
    file.write_bytes(without_index(file.read_bytes()))
    source = open_source(file, options(STATE, fps=20))
    assert source.episodes[0].length == 11
    assert source.findings == [f"{file.name}: has no index of its messages: 11 messages can be read"]


def without_index(content: bytes) -> bytes:
    """An MCAP file whose messages are found only by reading all of it; records as the specification has them."""
    magic, begin, summary = content[:8], 8, 0
    result = magic
    while begin < len(content) - 8:
        kind, length = struct.unpack_from("<BQ", content, begin)
        body = content[begin + 9 : begin + 9 + length]
        begin += 9 + length
        if kind == 0x08:  # the index's entry of a chunk: no places of messages
            (places,) = struct.unpack_from("<I", body, 32)
            body = body[:32] + bytes(4) + bytes(8) + body[32 + 4 + places + 8 :]
        if kind == 0x02:
            body = struct.pack("<QQI", summary, 0, 0)
        if kind not in (0x07, 0x0E):
            result += struct.pack("<BQ", kind, len(body)) + body
        if kind == 0x0F:
            summary = len(result)
    return result + magic


def test_the_parts_of_a_split_bag_without_metadata_are_one_episode(tmp_path: Path):
    """In the order of their times, whatever their names."""
    topic, kind, messages = states(31)
    folder = tmp_path / "split"
    folder.mkdir()
    for number, part in ((2, messages[:10]), (10, messages[10:20]), (11, messages[20:])):
        (file,) = write_bag(tmp_path / f"part{number}", (topic, kind, part)).glob("*.mcap")
        file.rename(folder / f"split_{number}.mcap")
    source = open_source(folder, options(STATE, fps=20))
    assert source.episodes[0].columns["observation.state"][:, 0].tolist() == [10.0 * k for k in range(31)]
    assert source.findings == []


def test_messages_that_are_lost_are_noticed(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", states(), plugin="sqlite3")
    (file,) = bag.glob("*.db3")
    connection = sqlite3.connect(file)
    connection.execute("DELETE FROM messages WHERE id = 5")
    connection.commit()
    connection.close()
    with refused("10 of 11 | /state"):
        open_source(bag, options(STATE))


def test_a_bag_whose_recorder_died_is_read_without_its_metadata(tmp_path: Path):
    bag = write_bag(tmp_path / "bag", states())
    (bag / "metadata.yaml").unlink()
    source = open_source(bag, options(STATE, fps=20))
    assert source.episodes[0].length == 11
