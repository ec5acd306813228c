"""What a log shows without a model of the world: its clock, readings that stand still, and what the policy wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.limits import Command
from isthmus_deploy.flight.recorded import Flight
from isthmus_deploy.flight.row import element_names
from isthmus_deploy.mismatch.finding import CERTAIN, Finding
from isthmus_deploy.policy import policy_file
from isthmus_deploy.policy.sessions import open_session
from isthmus_deploy.safety.commands.filter import GoalLimiter, full

_OFF = 0.05  # share by which ticks may be longer than the control period in the middle
_UNEVEN = 0.1  # share by which half of the ticks may be off
_STILL_S = 0.5


def clock(flight: Flight) -> Iterator[Finding]:
    """Ticks that are not a control period apart."""
    period_s = flight.contract.control_period_s
    steps = 1e-9 * np.diff(flight.numbers["monotonic_ns"])[np.diff(flight.numbers["tick"]) == 1]
    if not len(steps):
        return
    middle, off = float(np.median(steps)), float(np.median(np.abs(steps - period_s)))
    if abs(middle - period_s) > _OFF * period_s or off > _UNEVEN * period_s:
        low, high = np.quantile(steps, (0.05, 0.95))
        yield Finding(
            kind="control period",
            score=CERTAIN,
            words=f"ticks are {1e3 * middle:.1f} ms apart, most {1e3 * low:.1f} to {1e3 * high:.1f}",
            evidence=f"the policy was trained for {1e3 * period_s:g} ms",
        )


def dead(flight: Flight) -> Iterator[Finding]:
    """Elements of noisy sensors that stay the same at the end of the log, bit for bit."""
    still = max(2, round(_STILL_S / flight.contract.control_period_s))
    for signal in flight.contract.signals:
        values = flight.signals.get(signal.name)
        if signal.max_age_s is None or values is None or signal.dtype == "uint8" or signal.max_still_s is None:
            continue
        flat = values.reshape(len(values), -1)[-still - 1 :]
        same = (flat[1:] == flat[:-1]).all(axis=0)
        names = [name for name, stuck in zip(element_names(signal), same, strict=True) if stuck]
        if names and len(flat) > still:
            yield Finding(
                kind="dead sensor",
                score=CERTAIN,
                words=f"{signal.name} of {', '.join(names)} stands still",
                evidence=f"its last {still} readings are the same, bit for bit; noise alone would change them",
            )


def history(flight: Flight, policy: Path) -> Iterator[Finding]:
    """What the policy wants of the recorded readings, with its windows as they are and turned round in time.

    Raises PolicyFileError where the file is none.
    """
    contract = flight.contract
    windows = [memory.name for memory in contract.memory if len(memory.shape) > 1]
    asked = np.flatnonzero(flight.has_wanted)
    if contract.chunk is not None or contract.noise or not windows or not len(asked) or len(flight.policies) > 1:
        return
    graph = _Graph(policy, contract)
    forth, back = (_apart(flight, graph, asked, turned) for turned in (False, True))
    if forth > policy_file.TOLERANCE and back < 0.5 * forth:
        yield Finding(
            kind="history direction",
            score=CERTAIN,
            words=f"{', '.join(windows)} is read from the newest to the oldest",
            evidence=f"what was wanted is what the policy wants of its windows turned round, within {back:.1e} of the "
            f"range; as they are, within {forth:.1e}",
        )


def _apart(flight: Flight, graph: _Graph, asked: np.ndarray, turned: bool) -> float:
    """The median over ticks of how far the replayed commands are from the wanted ones, as a share of the range."""
    apart, activation = [], None
    for index in asked:
        if flight.numbers["activation"][index] != activation:
            activation = flight.numbers["activation"][index]
            graph.reset()
        signals = {name: values[index] for name, values in flight.signals.items()}
        commands = graph.step(signals, turned)
        wanted = {name: values[index] for name, values in flight.wanted.items()}
        apart.append(max(_share(c, commands[c.name], wanted[c.name]) for c in flight.contract.commands))
    return float(np.median(apart))


def _share(command: Command, one: np.ndarray, other: np.ndarray) -> float:
    """How far two commands are apart, as a share of the range."""
    return float((np.abs(one - other) / (full(command, command.maximum) - full(command, command.minimum))).max())


class _Graph:
    """A policy's graph, which can be let read its windows backwards while they are filled rightly."""

    def __init__(self, policy: Path, contract: Contract) -> None:
        file = policy_file.read(policy)
        self._session = open_session(policy, file.model, 1)
        self._contract, self._goals = contract, GoalLimiter(contract)
        self._memory: dict[str, np.ndarray] = {}

    def reset(self) -> None:
        self._goals.reset()
        self._memory = {
            item.name: np.broadcast_to(np.array(item.initial, item.dtype), (1, *item.shape)).copy()
            for item in self._contract.memory
        }

    def step(self, signals: dict[str, np.ndarray], turned: bool) -> dict[str, np.ndarray]:
        held = self._goals.apply(signals)
        readings = {item.name: held[item.name][None].astype(item.dtype) for item in self._contract.signals}
        outputs = self._run(readings, self._memory)
        given = outputs
        if turned:
            given = self._run(readings, {name: _turned(value) for name, value in self._memory.items()})
        self._memory = {
            name: (outputs if _is_window(value) else given)[f"next_memory_{name}"]
            for name, value in self._memory.items()
        }
        return {command.name: given[command.name][0] for command in self._contract.commands}

    def _run(self, readings: dict[str, np.ndarray], memory: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = list(self._contract.graph_outputs())
        values = self._session.run(names, readings | {f"memory_{name}": value for name, value in memory.items()})
        return dict(zip(names, map(np.asarray, values), strict=True))


def _is_window(memory: np.ndarray) -> bool:
    """Whether (1, ...) has rows; a vector is something else that is remembered."""
    return memory.ndim > 2


def _turned(memory: np.ndarray) -> np.ndarray:
    """A window with its last row first."""
    return memory[:, ::-1].copy() if _is_window(memory) else memory
