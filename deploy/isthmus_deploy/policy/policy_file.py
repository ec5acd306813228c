"""The policy file: an ONNX graph that carries its contract, its test vectors and a digest of its own bytes; and where
the contract has conditions or a monitor, the graphs of their margins and scores.

All of these are ONNX metadata entries. The digest is always the last field of the file: protobuf lets fields be
appended, so the file stays valid ONNX for every other tool, and the robot verifies it from raw bytes without an ONNX
library.

The digest proves integrity (the file is complete and nobody edited it by accident), not authenticity: whoever can
replace the file can also compute a new digest.
"""

import base64
import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from isthmus_deploy.contracts.contract import Contract
from isthmus_deploy.contracts.schema import ContractError
from isthmus_deploy.policy.onnx_metadata import PolicyFileError, entry, metadata

CONTRACT_KEY = "isthmus.contract"
TEST_VECTORS_KEY = "isthmus.test_vectors"
CONDITIONS_KEY = "isthmus.conditions"
MONITOR_KEY = "isthmus.monitor"
DIGEST_KEY = "isthmus.sha256"
TOLERANCE = 1e-5
"""Largest error of a replayed command, as a fraction of the command's range."""

_DIGEST_FIELD_SIZE = 84  # tag, length, key "isthmus.sha256" and 64 hexadecimal digits


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReplayStep:
    """One step of the test vectors. Arrays are unbatched, of the shapes and types that the contract says."""

    reset: bool
    """Whether the memory starts from `initial` before this step."""
    signals: Mapping[str, np.ndarray]
    commands: Mapping[str, np.ndarray]
    noise: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """What was drawn; empty for a policy without noise inputs."""
    begin: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    """The chunk before, command by command, that it begins near to; empty where it begins afresh."""
    margins: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    """The margins of the contract's conditions, (conditions,) float32, for the newest of the signals."""
    monitor_noise: np.ndarray | None = None
    """What the monitor's graph drew; None for one that draws nothing, and without a monitor."""
    scores: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.float32))
    """The scores of the contract's monitor, (scores,) float32, for these signals."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class PolicyFile:
    """The verified contents of a policy file."""

    model: bytes
    """The whole file, which is the ONNX model."""
    contract: Contract
    replay: tuple[ReplayStep, ...]
    """Signals and the commands that the trained policy gave for them, in order."""
    conditions: bytes | None
    """The ONNX model of the conditions' margins; None without conditions."""
    monitor: bytes | None
    """The ONNX model of the monitor's scores; None without a monitor."""
    digest: str
    """SHA-256 of the graphs, contract and test vectors, as 64 hexadecimal digits."""


def seal(
    model: bytes,
    contract: Contract,
    replay: Sequence[ReplayStep],
    conditions: bytes | None = None,
    monitor: bytes | None = None,
) -> bytes:
    """Make a policy file of an ONNX model: append the contract, the test vectors, what else there is, and the digest.

    Args:
        model: A serialised ONNX ModelProto without Isthmus metadata.
        contract: What the graph takes and gives.
        replay: Test vectors; the first step resets the memory.
        conditions: A serialised ONNX ModelProto that gives the margins of the contract's conditions.
        monitor: Another, that gives the scores of its monitor.

    Raises:
        PolicyFileError: the model carries Isthmus metadata already.
        ContractError: the contract cannot be written.
    """
    if any(key.startswith("isthmus.") for key, _ in metadata(model)):
        raise PolicyFileError("the model carries Isthmus metadata already: seal the plain ONNX model")
    entries = entry(CONTRACT_KEY, contract.to_json()) + entry(TEST_VECTORS_KEY, _replay_to_json(replay))
    for key, graph in ((CONDITIONS_KEY, conditions), (MONITOR_KEY, monitor)):
        if graph is not None:
            entries += entry(key, base64.b64encode(graph).decode())
    return append_digest(model + entries)


def with_contract(data: bytes, contract: Contract) -> bytes:
    """The same policy file with another contract, and hence another digest: graph, test vectors and all else stay.

    Raises:
        PolicyFileError: not a policy file, or not one as `seal` makes them.
        ContractError: the contract cannot be written.
    """
    _verified_digest(data)
    entries = [(key, value) for key, value in metadata(data) if key.startswith("isthmus.")]
    _only(entries, CONTRACT_KEY)
    end = b"".join(entry(key, value) for key, value in entries)
    if not data.endswith(end):
        raise PolicyFileError("something stands between its entries; isthmus-export writes them at its end")
    entries = [(key, contract.to_json() if key == CONTRACT_KEY else value) for key, value in entries[:-1]]
    return append_digest(data.removesuffix(end) + b"".join(entry(key, value) for key, value in entries))


def append_digest(data: bytes) -> bytes:
    """Append the SHA-256 of `data` as the last field of a serialised ONNX model."""
    return data + entry(DIGEST_KEY, hashlib.sha256(data).hexdigest())


def read(path: str | Path) -> PolicyFile:
    """Read and verify a policy file; nothing of it is run.

    Raises:
        PolicyFileError: unreadable, truncated, foreign, altered, or without a valid contract and test vectors.
    """
    file = Path(path)
    try:
        if file.exists() and not file.is_dir() and not file.is_file():  # a pipe would be waited for
            raise PolicyFileError(f"{path}: cannot be read: is no file")
        data = file.read_bytes()
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse(data)
    except (PolicyFileError, ContractError) as error:
        raise PolicyFileError(f"{path}: {error}") from error


def parse(data: bytes) -> PolicyFile:
    """Verify the bytes of a policy file.

    Raises:
        PolicyFileError: truncated, foreign or altered, or without contract or valid test vectors.
        ContractError: the contract is not valid or of a newer version.
    """
    digest = _verified_digest(data)
    entries = list(metadata(data))
    contract = Contract.from_json(_only(entries, CONTRACT_KEY))
    replay = _replay_from_json(_only(entries, TEST_VECTORS_KEY), contract)
    return PolicyFile(
        model=data,
        contract=contract,
        replay=replay,
        conditions=None if contract.conditions is None else _decoded(entries, CONDITIONS_KEY),
        monitor=None if contract.monitor is None else _decoded(entries, MONITOR_KEY),
        digest=digest,
    )


def _verified_digest(data: bytes) -> str:
    body, trailer = data[:-_DIGEST_FIELD_SIZE], data[-_DIGEST_FIELD_SIZE:]
    digest = hashlib.sha256(body).hexdigest()
    start = entry(DIGEST_KEY, "0" * 64)[:-64]
    if trailer.startswith(start) and len(trailer) == _DIGEST_FIELD_SIZE:
        if trailer[-64:] == digest.encode():
            return digest
        raise PolicyFileError("altered or damaged after the export: its contents do not have the digest that it states")
    if not data:
        raise PolicyFileError("the file is empty")
    if CONTRACT_KEY.encode() in data or DIGEST_KEY.encode() in data:
        raise PolicyFileError("truncated, or something was appended: it does not end in its digest; copy it again")
    raise PolicyFileError("not an Isthmus policy file, or only the start of one; isthmus-export writes them")


def _only(entries: Sequence[tuple[str, str]], key: str) -> str:
    values = [value for name, value in entries if name == key]
    if len(values) != 1:
        raise PolicyFileError(f"has {len(values)} entries {key} instead of one: export it again")
    return values[0]


def _decoded(entries: Sequence[tuple[str, str]], key: str) -> bytes:
    try:
        return base64.b64decode(_only(entries, key), validate=True)
    except ValueError as error:
        raise PolicyFileError(f"its graph {key} is malformed: {error}") from error


# --- test vectors ---


def _replay_to_json(replay: Sequence[ReplayStep]) -> str:
    steps = [
        {
            "reset": bool(step.reset),
            "signals": _documents(step.signals),
            "commands": _documents(step.commands),
            "noise": _documents(step.noise),
            "begin": _documents(step.begin),
            "margins": step.margins.tolist(),
            "monitor_noise": None if step.monitor_noise is None else step.monitor_noise.tolist(),
            "scores": step.scores.tolist(),
        }
        for step in replay
    ]
    return json.dumps({"steps": steps}, allow_nan=False)


def _documents(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    return {name: _document(np.asarray(array)) for name, array in arrays.items()}


def _document(array: np.ndarray) -> Any:
    """Numbers as nested lists; an image's bytes, row by row, in base 64, which takes a third of a list's text."""
    return base64.b64encode(array.tobytes()).decode() if array.dtype == np.uint8 else array.tolist()


def _replay_from_json(text: str, contract: Contract) -> tuple[ReplayStep, ...]:
    try:
        documents = json.loads(text)["steps"]
        steps = tuple(_replay_step(document, contract) for document in documents)
    except (TypeError, KeyError, AttributeError, ValueError, OverflowError, RecursionError) as error:
        raise PolicyFileError(f"its test vectors are malformed: {error!r}") from error
    if not steps or not steps[0].reset:
        raise PolicyFileError("its test vectors do not start with a reset step")
    return steps


def _replay_step(document: Mapping[str, Any], contract: Contract) -> ReplayStep:
    signals = {item.name: (item.dtype, contract.input_shape(item)) for item in contract.signals}
    commands = {item.name: (item.dtype, contract.output_shape(item)) for item in contract.commands}
    begin = document.get("begin")  # test vectors from before there were chunks have none
    drawn, monitor = document.get("monitor_noise"), contract.monitor
    return ReplayStep(
        reset=document["reset"] is True,
        signals=_arrays(document["signals"], signals),
        commands=_arrays(document["commands"], commands),
        noise=_arrays(document["noise"], {item.name: ("float32", item.shape) for item in contract.noise}),
        begin=_arrays(begin, commands) if begin else {},
        margins=_array("margins", document.get("margins", []), "float32", (len(contract.conditions or ()),)),
        monitor_noise=_array("monitor_noise", drawn, "float32", monitor.noise) if monitor and monitor.noise else None,
        scores=_array("scores", document.get("scores", []), "float32", (len(monitor.scores) if monitor else 0,)),
    )


def _arrays(document: Mapping[str, Any], tensors: Mapping[str, tuple[str, tuple[int, ...]]]) -> dict[str, np.ndarray]:
    return {name: _array(name, document[name], dtype, shape) for name, (dtype, shape) in tensors.items()}


def _array(name: str, document: Any, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    if dtype == "uint8":
        return np.frombuffer(base64.b64decode(document, validate=True), np.uint8).reshape(shape)
    array = np.array(document, np.float32)
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, not {shape}")
    return array
