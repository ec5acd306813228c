"""ROS_DOMAIN_ID as people set it, which ROS 2 itself takes in silence, or ends a process for without a word."""

from __future__ import annotations

LAST = 232
"""The greatest one of whose ports DDS has some (RTPS 2.5, 9.6.2)."""


def domain_problem(text: str) -> str | None:
    """Why that is no domain; None where it is, or is not set.

    rcl takes -1 for the domain 0 and 1e3 for 1, and the participant of 233 ends its process.
    """
    if not text or (text.isascii() and text.isdigit() and len(text) <= len(str(LAST)) and int(text) <= LAST):
        return None
    return f"{text[:40]!r} is no whole number from 0 to {LAST}"
