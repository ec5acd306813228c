"""Data-parallel training: several processes, each with worlds of its own, make the same gradient steps.

    torchrun --standalone --nproc-per-node 2 -m -- isthmus_policies.training.train TASK OPTIONS

Started otherwise there is one process, and all of this changes nothing. What returns a result of all processes must be
called by all of them, in the same order.
"""

from __future__ import annotations

import atexit
import os

import torch
import torch.distributed as dist
from torch import Tensor

_APART = 1_000_003  # between the seeds of two processes: further than between the seeds that anyone trains with


def start() -> None:
    """Join the other processes, if torchrun started this one."""
    if not dist.is_torchelastic_launched():
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group()  # gloo for tensors of a CPU, NCCL for those of a GPU
    atexit.register(dist.destroy_process_group)


def size() -> int:
    """How many processes there are."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which one this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Whether this is the process that prints, logs and saves."""
    return rank() == 0


def share(worlds: int) -> int:
    """This process's part of all worlds. Raises ValueError where they cannot be shared out equally."""
    if worlds % size() != 0:
        raise ValueError(f"num_envs {worlds} cannot be shared out equally to {size()} processes")
    return worlds // size()


def own_seed(seed: int) -> int:
    """This process's seed, for what must not be the same in all of them."""
    return seed + _APART * rank()


def mean_(tensor: Tensor) -> Tensor:
    """The mean over all processes, in place: bit for bit the same in each."""
    if size() > 1:
        dist.all_reduce(tensor)
        tensor /= size()
    return tensor


def gathered(tensor: Tensor) -> list[Tensor]:
    """The tensors of all processes, in the same order in each."""
    if size() == 1:
        return [tensor]
    everyones = [torch.empty_like(tensor) for _ in range(size())]
    dist.all_gather(everyones, tensor)
    return everyones


def barrier() -> None:
    """Wait until every process is here."""
    total(0.0)


def total(*numbers: float) -> list[float]:
    """The sum over all processes, number by number."""
    sums = torch.tensor(numbers, dtype=torch.float64, device="cpu")
    if size() > 1:
        dist.all_reduce(sums)
    return sums.tolist()


def copy_first_(tensor: Tensor) -> None:
    """Every process takes the first one's values."""
    if size() > 1:
        dist.broadcast(tensor, src=0)
