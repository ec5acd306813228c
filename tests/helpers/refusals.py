"""What must be refused, and the names that a person must be told then. No sentence of an error is pinned."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from isthmus_datasets.format.info import DatasetError


def lacking(told: str, said: str) -> list[str]:
    """Those of the names in `told`, which " | " keeps apart, that are not said as words of their own: "episode 1" is
    not told by "episode 12"."""
    return [name for name in told.split(" | ") if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", said)]


@contextmanager
def refused(told: str, error: type[Any] = DatasetError) -> Iterator[pytest.ExceptionInfo[Any]]:
    """The block raises `error`, and what that says is not `lacking` in names."""
    with pytest.raises(error) as caught:
        yield caught
    missing = lacking(told, str(caught.value))
    assert not missing, f"{missing} not told in: {caught.value}"


def all_refused(cases: Mapping[str, Callable[[], object]], error: type[Any] = DatasetError) -> None:
    """Each of the calls is `refused`, and told the names before it."""
    for told, call in cases.items():
        try:
            with refused(told, error):
                call()
        except pytest.fail.Exception as failure:
            pytest.fail(f"{told}: {failure}")
