"""A recorded flight, read back: what the policy saw in every tick, what it wanted, and what was sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.flight import flown
from isthmus_deploy.flight.flown import FlownPolicy
from isthmus_deploy.flight.folder import SUFFIX
from isthmus_deploy.flight.mcap_reader import McapError, McapReader
from isthmus_deploy.flight.row import NUMBERS, Layout
from isthmus_deploy.flight.topics import SECOND, TICK, Topic, topics
from isthmus_deploy.flight.writer import METADATA
from isthmus_deploy.safety.supervisor import State


class FlightError(ValueError):
    """A bag is none of a flight, or cannot be read; the message says what to do."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Flight:
    """One run: its n recorded ticks, in their order."""

    contract: Contract
    """The first policy's: what readings and commands were held to."""
    policies: Sequence[FlownPolicy]
    """Those that could drive."""
    ramp_s: float
    """Time in which one took over from another."""
    numbers: Mapping[str, np.ndarray]
    """(n,) int64 by name; `row.NUMBERS` says what they are."""
    chunks: np.ndarray
    """(n, policies) int64: how many had been taken from the inference of each."""
    states: Sequence[State | str]
    """The state after each tick; the name of one that is not known here."""
    signals: Mapping[str, np.ndarray]
    """(n, *shape) by name; without the images where these were not recorded."""
    ages_s: np.ndarray
    """(n, signals)."""
    has_wanted: np.ndarray
    """(n,) bool: whether the policy wanted something."""
    wanted: Mapping[str, np.ndarray]
    """(n, *shape) by name, before the chain; NaN where nothing was wanted."""
    sent: Mapping[str, np.ndarray]
    """(n, *shape) by name, after the chain; NaN where nothing was sent."""
    finished: bool
    """Whether the recorder came to the end of the file."""


def read_flight(path: Path) -> Flight:
    """Read a flight, finished or not.

    Args:
        path: A file, or the folder of a run.

    Raises:
        FlightError: there is no flight, or it is damaged.
    """
    bags, said = _bags(path)
    try:
        return _flight(path, bags, said)
    except FlightError:
        raise
    except ContractError as error:
        raise FlightError(f"{path}: the contract in it: {error}") from error
    except (KeyError, IndexError, TypeError, ValueError) as error:
        known = "is damaged, or another version of isthmus-deploy has recorded it"
        raise FlightError(f"{path}: {known}: {error!r}") from error


def _flight(path: Path, bags: Sequence[McapReader], said: Mapping[str, str]) -> Flight:
    """The flight in these bags, of whose files the first says this."""
    contract, policies = Contract.from_json(said["contract"]), flown.from_json(said["policies"])
    layout = Layout(contract, images=said["images"] == "true", policies=len(policies))
    messages: dict[str, list[bytes]] = {}
    for bag in bags:
        for topic, contents in bag.messages.items():
            messages.setdefault(topic, []).extend(contents)
    rows = _rows(layout, messages)
    if not bags[-1].finished:
        rows = rows[:-1]  # it may lack some of its messages
    if not len(rows):
        raise FlightError(f"{path}: holds no tick")
    known: dict[str, State | str] = {state.value: state for state in State}
    states = [known.get(name, name) for name in said["states"].split()]
    return Flight(
        contract=contract,
        policies=policies,
        ramp_s=float(said["ramp_s"]),
        numbers=dict(zip(NUMBERS, rows["numbers"].T, strict=True)),
        chunks=rows["chunks"],
        states=[states[code] for code in rows["state"]],
        signals=layout.signal_views(rows),
        ages_s=rows["ages_s"],
        has_wanted=rows["has_wanted"],
        wanted=layout.command_views(rows, "wanted"),
        sent=layout.command_views(rows, "sent"),
        finished=bags[-1].finished,
    )


def _bags(path: Path) -> tuple[list[McapReader], Mapping[str, str]]:
    """The files of a run, at least one, and what the first says of all."""
    files = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise FlightError(f"{path}: has no {SUFFIX} files")
    try:
        bags = [McapReader(file) for file in files]
    except McapError as error:
        raise FlightError(str(error)) from error
    said = bags[0].metadata.get(METADATA)
    if said is None:
        raise FlightError(f"{files[0]}: is no flight that isthmus-deploy has recorded")
    if "policies" not in said:
        raise FlightError(f"{files[0]}: another version of isthmus-deploy has recorded it, which can replay it")
    return bags, said


def _rows(layout: Layout, messages: Mapping[str, Sequence[bytes]]) -> np.ndarray:
    """Rows (n,) as they were in the ring, but for causes. What a tick has no message of is that of the tick before."""
    parts = [(topic, _read(topic, layout, messages)) for topic in topics(layout)]
    times = next(_times(made) for topic, made in parts if topic.channel.topic == TICK)
    rows = np.zeros(len(times), layout.row)
    for topic, made in parts:
        places = np.searchsorted(_times(made), times, side="right") - 1
        for field in topic.fields:
            rows[field][places >= 0] = made[field][places[places >= 0]]
    for field in ("wanted", "sent"):
        rows[field][~rows[f"has_{field}"]] = np.nan
    return rows


def _read(topic: Topic, layout: Layout, messages: Mapping[str, Sequence[bytes]]) -> np.ndarray:
    return np.frombuffer(b"".join(messages.get(topic.channel.topic, ())), topic.message(layout.row))


def _times(made: np.ndarray) -> np.ndarray:
    return made["sec"].astype(np.int64) * SECOND + made["nanosec"]
