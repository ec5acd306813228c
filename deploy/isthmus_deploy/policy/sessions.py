"""How ONNX graphs are opened on the robot, and held to what a contract says of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as onnxruntime_errors  # pyright: ignore

from isthmus_deploy.policy.policy_file import PolicyFileError

ONNX_ERRORS = tuple(
    getattr(onnxruntime_errors, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented", "RuntimeException")
)
"""What ONNX Runtime raises; with a binding, a bare RuntimeError too."""
_TENSOR_TYPES = {"float32": "tensor(float)", "uint8": "tensor(uint8)"}


def session_options(threads: int = 1) -> onnxruntime.SessionOptions:
    """Operators one after the other, each on `threads` threads, which sleep while they wait: spinning ones would take
    cores from the other processes between two steps."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    return options


def open_session(path: str | Path, model: bytes, threads: int = 1) -> onnxruntime.InferenceSession:
    """A session of an ONNX model that `path` holds. Raises PolicyFileError where ONNX Runtime cannot load it."""
    try:
        return onnxruntime.InferenceSession(model, session_options(threads), providers=["CPUExecutionProvider"])
    except (UnicodeDecodeError, *ONNX_ERRORS) as error:  # it quotes names of the graph, which may be no text
        message = f"{path}: ONNX Runtime {onnxruntime.__version__} cannot load the graph: {error}"
        raise PolicyFileError(message) from error


def check_tensors(
    path: str | Path, role: str, nodes: Sequence, wanted: Mapping[str, tuple[str, tuple[int, ...]]]
) -> None:
    """Raise PolicyFileError where a graph's inputs or outputs (its `role`) are not those that are wanted, name -> type
    and shape without the batch axis."""
    names = [node.name for node in nodes]
    if sorted(names) != sorted(wanted):
        raise PolicyFileError(
            f"{path}: the graph's {role}s are {', '.join(sorted(names))}; the contract says {', '.join(sorted(wanted))}"
        )
    for node in nodes:
        dtype, shape = wanted[node.name]
        if node.type != _TENSOR_TYPES[dtype] or not _fits(node.shape, shape):
            raise PolicyFileError(
                f"{path}: {role} {node.name} of the graph is {node.type} {node.shape}, "
                f"the contract says {dtype} {['batch', *shape]}"
            )


def _fits(shape: list, expected: tuple[int, ...]) -> bool:
    """Whether a graph's shape is (batch, *expected); an axis that the graph leaves open fits every size."""
    wanted = (1, *expected)
    return len(shape) == len(wanted) and all(
        not isinstance(axis, int) or axis == size for axis, size in zip(shape, wanted, strict=True)
    )
