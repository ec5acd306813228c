"""What tests of errors rely on: a refusal that does not tell a name is seen."""

from __future__ import annotations

import pytest
from refusals import all_refused, lacking, refused

from isthmus_datasets.format.info import DatasetError


def refuse(said: str) -> None:
    raise DatasetError(said)


def test_names_are_whole_words():
    assert lacking("episode 1 | ('a',) | -1", "data: episode 1 has ('a',), not -1") == []
    assert lacking("episode 1 | a.b | 3", "episode 12: xa.b, a-b, 30") == ["episode 1", "a.b", "3"]


def test_what_tells_too_little_or_is_not_refused_fails():
    with refused("a | b"):
        refuse("b before a")
    with pytest.raises(AssertionError, match="'c'"), refused("a | c"):
        refuse("b before a")
    with pytest.raises(pytest.fail.Exception, match="names"):
        all_refused({"names": lambda: None})
