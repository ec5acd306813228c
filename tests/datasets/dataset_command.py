"""`isthmus-dataset`, as a person or CI calls it."""

from __future__ import annotations

import pytest

from isthmus_datasets.tools.cli import main


def run(*arguments: object) -> int:
    """The exit code."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code
