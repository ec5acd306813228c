"""The folder of flights keeps within its bound and deletes nothing that is not a flight."""

from __future__ import annotations

import os
from pathlib import Path

from isthmus_deploy.flight.folder import FlightFolder, default_folder, flight_files, run_name

LIMIT = 8000


def fill(folder: FlightFolder, stamp: int, size: int = 1000) -> Path:
    """A file of this size, last written at `stamp`."""
    with folder.open_next() as file:
        file.write(bytes(size))
    os.utime(file.name, (stamp, stamp))
    return Path(str(file.name))


def test_the_oldest_file_of_any_run_goes_first_and_an_empty_run_with_it(tmp_path: Path):
    old = FlightFolder(tmp_path, run_name("arm", "20260101-000000", 1), LIMIT)
    gone = [fill(old, 1), fill(old, 2)]
    new = FlightFolder(tmp_path, run_name("arm", "20260102-000000", 2), LIMIT)
    kept = [fill(new, 10 + i) for i in range(8)]
    assert sorted(flight_files(tmp_path)) == kept
    assert not gone[0].parent.exists()
    assert sum(path.stat().st_size for path in kept) == LIMIT


def test_what_is_no_flight_stays(tmp_path: Path):
    folder = FlightFolder(tmp_path, run_name("arm", "20260101-000000", 1), 800)
    others = [tmp_path / "mine.mcap", tmp_path / "demonstrations" / "flight_0000.mcap"]
    for path in others:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(5000))
    files = [fill(folder, i, 300) for i in range(4)]
    beside = files[0].parent / "notes.txt"
    beside.write_text("mine")
    fill(folder, 9, 300)
    assert all(path.exists() for path in (*others, beside))
    assert len(flight_files(tmp_path)) == 3


def test_it_is_where_states_are_kept(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "")
    assert default_folder() == tmp_path / ".local" / "state" / "isthmus" / "flights"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "elsewhere"))
    assert default_folder() == tmp_path / "elsewhere" / "isthmus" / "flights"


def test_a_robots_name_makes_no_folders():
    assert run_name("lab/arm 1", "20260101-000000", 7) == "20260101-000000_lab-arm-1_7"
