"""What a policy of chunks infers from."""

import numpy as np

from isthmus_deploy.policy.reading_history import ReadingHistory


def seen(history: ReadingHistory, *readings: tuple[float, int]) -> list[float]:
    """The window of `x` after these readings and the periods before each."""
    for value, periods in readings:
        history.see({"x": np.array([value]), "unused": np.zeros(3)}, periods)
    return history.windows()["x"][:, 0].tolist()


def test_the_first_reading_stands_for_those_before():
    history = ReadingHistory(["x"], 3)
    assert seen(history, (1.0, 0)) == [1, 1, 1]
    assert seen(history, (2.0, 1)) == [1, 1, 2]
    assert seen(history, (3.0, 1), (4.0, 1)) == [2, 3, 4]
    history.clear()
    assert seen(history, (5.0, 1)) == [5, 5, 5]


def test_in_skipped_periods_what_was_read_before_holds():
    assert seen(ReadingHistory(["x"], 4), (1.0, 0), (2.0, 1), (3.0, 2)) == [1, 2, 2, 3]
    assert seen(ReadingHistory(["x"], 3), (1.0, 0), (2.0, 1), (3.0, 1000)) == [2, 2, 3]


def test_a_second_reading_of_a_period_replaces_the_first():
    assert seen(ReadingHistory(["x"], 2), (1.0, 0), (2.0, 1), (3.0, 0)) == [1, 3]
    assert seen(ReadingHistory(["x"], 1), (1.0, 0), (2.0, 1)) == [2]


def test_readings_are_copied():
    history, reading = ReadingHistory(["x"], 2), np.array([1.0])
    history.see({"x": reading}, 0)
    window = history.windows()["x"]
    reading[:] = 9.0
    window[:] = 8.0
    assert history.windows()["x"].tolist() == [[1.0], [1.0]]
    assert list(history.windows()) == ["x"]
