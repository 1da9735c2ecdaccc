"""Train one model in several processes, on several GPUs or hosts: what `train.fit` needs for it.

`torchrun` starts the processes and tells each its number (Li et al. 2020, "PyTorch Distributed: Experiences on
Accelerating Data Parallel Training", VLDB 13). Each holds the whole model and works on its share of every batch; after
the backward pass the gradients are averaged over the processes, so all take the same step.

    torchrun --nproc-per-node 2 your_script.py
    torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint HOST:29400 your_script.py  # on each host

Hosts with several networks: set GLOO_SOCKET_IFNAME, for GPUs NCCL_SOCKET_IFNAME, to the one that joins them, say eth1.
Without torchrun there is one process, and every function here hands back what it was given.
"""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from cnn_course.errors import DistributedError

PATIENCE = timedelta(minutes=5)

Value = TypeVar("Value")


@dataclass(frozen=True)
class Group:
    """The processes that train together, seen from one of them.

    rank: 0 ... world_size - 1; rank 0 prints and writes. device: of this process, for `train.choose_device`.
    """

    rank: int = 0
    world_size: int = 1
    device: str = "auto"


def setup(device_name: str = "auto", patience: timedelta = PATIENCE) -> Group:
    """Join the processes that torchrun started; without torchrun, the group of this process alone.

    On CUDA, process i of a host takes GPU i, and they talk through NCCL; otherwise they are on the CPU and use gloo.
    The group lives as long as the process: a second call gives the same one.
    patience: the longest that one process may keep the others waiting, as by writing a checkpoint.
    Raises ValueError for a device that cannot be shared, DistributedError where the processes do not find each other,
    or where the environment has numbers that torchrun does not set.
    """
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Group(device=device_name)
    rank, world_size, local = map(_number, ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not 0 <= rank < world_size or local < 0:
        raise DistributedError(f"there is no process {rank} of {world_size}: torchrun sets RANK and WORLD_SIZE")
    if world_size == 1:
        return Group(device=device_name)
    if device_name == "auto":
        device_name = "cuda" if torch.cuda.is_available() else "cpu"
    if device_name not in ("cpu", "cuda"):
        raise ValueError(f'torchrun gives each process its device: use "auto", "cpu" or "cuda", got {device_name!r}')
    if device_name == "cuda":
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"process {local} of this host has no GPU: there are {torch.cuda.device_count()}, "
                "and torchrun's --nproc-per-node must not be more"
            )
        device_name = f"cuda:{local}"
        torch.cuda.set_device(local)
    if missing := [name for name in ("MASTER_ADDR", "MASTER_PORT") if name not in os.environ]:
        raise DistributedError(
            f"RANK and WORLD_SIZE say that this is process {rank} of {world_size}, and {' and '.join(missing)} do not "
            "say where the others are: start it with torchrun, or unset RANK and WORLD_SIZE to train in one process"
        )
    group = Group(rank, world_size, device_name)
    if not dist.is_initialized():
        with together(group):
            dist.init_process_group("nccl" if device_name != "cpu" else "gloo", timeout=patience)
        atexit.register(dist.destroy_process_group)  # not sooner: torch cannot join the same group twice
    return group


def _number(name: str) -> int:
    """A variable of the environment that torchrun sets."""
    found = os.environ.get(name, "0")
    try:
        return int(found)
    except ValueError:
        raise DistributedError(f"{name} must be a whole number, as torchrun sets it, not {found!r}: unset it") from None


def wrap(model: nn.Module, group: Group) -> nn.Module:
    """`model`, whose backward pass now averages the gradients over the group; all begin with the weights of rank 0.

    The average is over processes. With reduction="sum", multiply the loss by world_size / (images in the whole batch)
    and it is the gradient of the batch's mean loss, also where the shares differ in size.

    Batch norm: on CUDA its means and variances are those of the whole batch (SyncBatchNorm, put into `model`). On the
    CPU each process takes those of its own share, and the running ones are rank 0's; a network with batch norm then
    trains a little differently from one process with the same batch, a network without trains the same.
    """
    if group.world_size == 1:
        return model
    with together(group):
        if group.device == "cpu":
            return DistributedDataParallel(model)
        device = torch.device(group.device)
        return DistributedDataParallel(nn.SyncBatchNorm.convert_sync_batchnorm(model), device_ids=[device])


def share(indices: torch.Tensor, group: Group) -> torch.Tensor:
    """This process's part of a batch: (B,) -> (B // world_size or one more,), in order, the first parts the longer.

    A batch with fewer images than processes leaves the last ones with none.
    """
    return torch.tensor_split(indices, group.world_size)[group.rank]


def total(tensor: torch.Tensor, group: Group) -> torch.Tensor:
    """The sum of the processes' tensors, equal on all of them. Raises DistributedError where one does not answer."""
    if group.world_size == 1:
        return tensor
    result = tensor.detach().clone()
    with together(group):
        dist.all_reduce(result)
    return result


def from_first(value: Value, group: Group) -> Value:
    """What rank 0 has, on every process: a checkpoint, for example, that only its host's disk holds."""
    if group.world_size == 1:
        return value
    held = [value]
    with together(group):
        dist.broadcast_object_list(held, src=0)
    return held[0]


def same_buffers(model: nn.Module, group: Group) -> None:
    """Give every process the running means and variances of rank 0, as before an evaluation in shares."""
    if group.world_size > 1:
        with together(group), torch.no_grad():
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


@contextmanager
def together(group: Group) -> Iterator[None]:
    """Around what waits for the other processes (a backward pass): raises DistributedError where one has gone.

    Other errors pass as they are.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0].partition(". ")[0]
        # NCCL and the rendezvous have a class of their own, gloo raises plain RuntimeErrors.
        if not isinstance(error, dist.DistError) and "gloo" not in said and "timeout" not in said:
            raise
        raise DistributedError(
            f"rank {group.rank} of {group.world_size} waited for the others in vain: one of them stopped or cannot be "
            "reached, and its own output says why. Start all of them again; with a checkpoint the training goes on "
            f"after the last whole epoch. (torch: {said})"
        ) from error
