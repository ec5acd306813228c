"""Names of frames that say that their axes are not those of a body or a world as REP-103 has them."""

from __future__ import annotations

import functools
import re

from isthmus_deploy.ros.bindings.binding import BadMessage

_OTHERS = {
    r"(^|[_/])ned($|[_/])": "north, east, down",
    r"(^|[_/])(frd|fsd)($|[_/])": "forward, right, down",
    r"optical": "right, down, forward, as a camera has it",
    r"(^|[_/])(camera|cam)\d*($|[_/])": "a camera",
}
"""By REP-103 and REP-105: `*_ned` and `*_optical_frame` are suffixes of other conventions; MAVROS has `*_frd`."""


def check_frame(topic: str, field: str, frame: str) -> None:
    """Refuse a frame whose name says that its z axis does not point up, or its x axis not forward.

    Raises:
        BadMessage: the topic's field names such a frame.
    """
    convention = _convention(frame)
    if convention:
        raise BadMessage(
            f"{topic}: {field} is {frame!r}, whose name says {convention}; the policy needs x forward, y left, z up "
            "(REP-103): let the driver, or a transform before it, turn its readings"
        )


@functools.lru_cache(maxsize=64)
def _convention(frame: str) -> str | None:
    return next((words for pattern, words in _OTHERS.items() if re.search(pattern, frame.lower())), None)
