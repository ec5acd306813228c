"""What can become of messages between robot and node."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from faults.trial import Trial

Inject = Callable[[Trial], object]


def silence(topic: str) -> Inject:
    """Nothing comes any more."""
    return lambda trial: trial.relay.change(topic, lambda _: [])


def edited(topic: str, edit: Callable[[Any], object]) -> Inject:
    """Every message is changed by `edit`."""

    def change(message: Any) -> list[Any]:
        edit(message)
        return [message]

    return lambda trial: trial.relay.change(topic, change)


def frozen(topic: str) -> Inject:
    """The first message comes again and again, with the stamps of the others."""

    def inject(trial: Trial) -> None:
        first: list[Any] = []

        def change(message: Any) -> list[Any]:
            first.append(message)
            again = copy.deepcopy(first[0])
            again.header.stamp = message.header.stamp
            del first[1:]
            return [again]

        trial.relay.change(topic, change)

    return inject


def late(topic: str, delay_s: float, growing: float = 0.0) -> Inject:
    """Every message comes late, and each second by `growing` seconds later."""

    def inject(trial: Trial) -> None:
        count = [0]

        def change(message: Any) -> list[Any]:
            count[0] += 1
            trial.relay.later(topic, message, delay_s + growing * count[0] * trial.period_s)
            return []

        trial.relay.change(topic, change)

    return inject


def lost(topic: str, share: float) -> Inject:
    """This share of the messages is lost, by chance."""
    return lambda trial: trial.relay.change(topic, lambda m: [] if trial.random.random() < share else [m])


def twice(topic: str) -> Inject:
    """Every message comes twice."""
    return lambda trial: trial.relay.change(topic, lambda message: [message, message])


def reordered(topic: str) -> Inject:
    """The later one of every two messages comes first."""

    def inject(trial: Trial) -> None:
        kept: list[Any] = []

        def change(message: Any) -> list[Any]:
            if not kept:
                kept.append(message)
                return []
            return [message, kept.pop()]

        trial.relay.change(topic, change)

    return inject


def replayed(topic: str, age: int) -> Inject:
    """After every message comes that of so many messages before."""

    def inject(trial: Trial) -> None:
        past: list[Any] = []

        def change(message: Any) -> list[Any]:
            past.append(message)
            return [message, past.pop(0)] if len(past) > age else [message]

        trial.relay.change(topic, change)

    return inject


def drifting(topic: str, speed: float) -> Inject:
    """The position drifts, m/s along x, and the velocity does not say so."""

    def inject(trial: Trial) -> None:
        count = [0]

        def change(message: Any) -> list[Any]:
            count[0] += 1
            message.pose.pose.position.x += speed * count[0] * trial.period_s
            return [message]

        trial.relay.change(topic, change)

    return inject


def both(*parts: Inject) -> Inject:
    """Several at once."""
    return lambda trial: [part(trial) for part in parts]


def then(part: Inject, seconds: float) -> Inject:
    """So long before what is judged."""

    def inject(trial: Trial) -> None:
        part(trial)
        trial.wait(seconds)

    return inject
