"""Several processes as one: torchrun's environment, and collectives that keep the gradient of a single process."""

from __future__ import annotations

import datetime
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from limbeck.devices import check_device
from limbeck.errors import InputError
from limbeck.files import first_line
from limbeck.training.checkpoints import flatten, unflatten
from limbeck.training.interruption import stop_signals

# Others wait for the first process while it looks at held-out data, which may take long.
_PATIENCE = datetime.timedelta(hours=2)
_MOST_DIMENSIONS = 8


@contextmanager
def process_group(device: str | torch.device = "cpu") -> Iterator[torch.device]:
    """Join the processes that torchrun started (RANK, WORLD_SIZE, LOCAL_RANK), and leave them at the end.

    On CUDA they speak through NCCL and each takes the device of its LOCAL_RANK; on the CPU through gloo. Where there is
    one process only, or a group already, nothing is done.

    Args:
        device: "cpu" or "cuda".

    Yields:
        The device of this process.

    Raises:
        InputError: the device, or one for each process, is not there; or torchrun's environment is not whole.
    """
    processes, local = asked_processes(), _told("LOCAL_RANK", 0)
    if str(device).partition(":")[0] == "cuda" and torch.cuda.is_available() and processes > 1:
        # Before anything touches the device, so that no process opens the first one beside its own.
        torch.cuda.set_device(local % torch.cuda.device_count())
    place = check_device(device)
    if dist.is_initialized() or processes == 1:
        yield place
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise InputError(f"WORLD_SIZE is set but {missing[0]} is not; start several processes with torchrun")
    for name in ("RANK", "MASTER_PORT"):
        _told(name, 0)
    if place.type == "cuda":
        there = torch.cuda.device_count()
        if local >= there:
            raise InputError(f"there are {there} CUDA devices for more processes; lower torchrun's --nproc-per-node")
        place = torch.device("cuda", local)
        torch.cuda.set_device(place)
        _join("nccl", device_id=place)
    else:
        _join("gloo")
    try:
        yield place
    finally:
        dist.destroy_process_group()


def _join(backend: str, **options: Any) -> None:
    """Wait for the other processes, in C++, where no handler of Python's runs: a watchdog hears of signals."""
    with stop_signals(lambda: "what the folder holds", grace=1.0) as request:
        try:
            dist.init_process_group(backend, timeout=_PATIENCE, **options)
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"the processes of torchrun do not come together ({first_line(error)}); see RANK, WORLD_SIZE, "
                "MASTER_ADDR and MASTER_PORT in the environment"
            ) from None
    if request.requested:
        signal.raise_signal(request.number)


def asked_processes() -> int:
    """How many processes torchrun's environment asks for; 1 where it is not set.

    Raises:
        InputError: it is no whole number.
    """
    return _told("WORLD_SIZE", 1)


def _told(name: str, otherwise: int) -> int:
    """A number in the environment, which torchrun writes there."""
    text = os.environ.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit()):
        raise InputError(
            f"{name} in the environment must be a whole number, not {text!r}; torchrun sets it, or unset it"
        )
    return int(text)


def rank() -> int:
    """The number of this process, from 0; 0 where there is one only."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    """Whether this process is the one that writes files and reports."""
    return rank() == 0


def barrier() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        dist.barrier()


def gather(tensor: Tensor) -> Tensor:
    r"""The tensors of all processes, one after another along the first dimension, so that a loss sees the whole batch.

    Gradients flow back. Every process computes the *same* loss :math:`L` from the gathered tensors, and
    DistributedDataParallel then averages the gradients of the :math:`W` processes. The share :math:`x_r` of process r
    reaches the weights only through process r, so that the mean is :math:`\frac1W \sum_r g_r`, with :math:`g_r` what
    process r sends back through its own share. For this to be the gradient of :math:`L` in a single process,
    :math:`\sum_r \frac{\partial L}{\partial x_r} \frac{\partial x_r}{\partial w}`, each must send back
    :math:`W \, \partial L / \partial x_r`: its slice of the gradient, times the number of processes. No message is
    needed for it, because the other processes' gradients of the gathered tensor are the same as this one's.

    A loss of the local share alone needs no gathering: the mean over processes is right as it is. Parameters that act
    behind the gathering (a critic, a head) get the same gradient in every process, which the mean leaves alone.

    Args:
        tensor: (share, ...) of any kind of number, of the same shape in every process. Tensors of whole numbers
            (labels) are gathered too; they carry no gradient.

    Returns:
        (share * processes, ...); the tensor itself where there is one process only.

    Raises:
        InputError: the shares differ between processes, or the tensor has no dimension.

    Example:
        >>> gather(torch.tensor([3, 4]))  # one process only
        tensor([3, 4])
    """
    if world_size() == 1:
        return tensor
    _check_shares(tensor)
    if tensor.requires_grad:
        return _Gather.apply(tensor)  # type: ignore[no-any-return, no-untyped-call]
    return _gathered(tensor)


def gather_rows(tensor: Tensor) -> Tensor:
    """As `gather`, of shares that may differ in their number of rows, none included; gradients flow back likewise.

    Args:
        tensor: (rows, ...), alike in all processes but for the rows.

    Returns:
        (rows of all processes, ...), those of the first process first.
    """
    if world_size() == 1:
        return tensor
    rows = gather(torch.tensor([len(tensor)], device=tensor.device)).tolist()
    if not max(rows):
        return tensor
    filling = tensor.new_zeros(max(rows) - len(tensor), *tensor.shape[1:])
    whole = gather(torch.cat([tensor, filling])).view(world_size(), max(rows), *tensor.shape[1:])
    return torch.cat([share[:held] for share, held in zip(whole, rows, strict=True)])


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _gathered(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return gradient.chunk(world_size())[rank()] * world_size()


def _gathered(tensor: Tensor) -> Tensor:
    # As bytes, because not every backend knows every kind of number (gloo has no bool).
    raw = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    parts = [torch.empty_like(raw) for _ in range(world_size())]
    dist.all_gather(parts, raw)
    return torch.cat(parts).view(tensor.dtype).reshape(-1, *tensor.shape[1:])


def _check_shares(tensor: Tensor) -> None:
    """Unequal shares would hang or mix up the processes; one small message finds them out."""
    if not 0 < tensor.dim() <= _MOST_DIMENSIONS or not tensor.numel():
        raise InputError(f"gather needs a tensor of at least one row, not one of shape {tuple(tensor.shape)}")
    code = torch.zeros(_MOST_DIMENSIONS, dtype=torch.int64, device=tensor.device)
    code[: tensor.dim()] = torch.tensor(tensor.shape, device=tensor.device)
    codes = [torch.empty_like(code) for _ in range(world_size())]
    dist.all_gather(codes, code)
    shapes = [tuple(size for size in row if size) for row in torch.stack(codes).tolist()]
    if len(set(shapes)) > 1:
        raise InputError(
            f"the processes' shares of a batch differ in shape ({', '.join(map(str, shapes))}); give each process "
            "equally many samples"
        )


def sum_over_processes(tensor: Tensor) -> Tensor:
    """The sum of a tensor over all processes, in each of them; its gradient is summed over them likewise.

    Every process's result holds every process's summand, so that the derivative of the sum of all losses by one
    summand is the sum of the gradients of all results.
    """
    if world_size() == 1:
        return tensor
    return _Sum.apply(tensor)  # type: ignore[no-any-return, no-untyped-call]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _summed(tensor)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _summed(gradients[0])


def _summed(tensor: Tensor) -> Tensor:
    total = tensor.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def from_main(value: Any, device: torch.device) -> Any:
    """What the main process holds, in every process; `value` is what JSON can hold, and nothing is pickled."""
    if world_size() == 1:
        return value
    text = json.dumps(value).encode() if is_main() else b""
    length = torch.tensor([len(text)], device=device)
    dist.broadcast(length, 0)
    content = torch.zeros(int(length), dtype=torch.uint8, device=device)
    if is_main():
        content.copy_(torch.frombuffer(bytearray(text), dtype=torch.uint8))
    dist.broadcast(content, 0)
    return json.loads(content.cpu().numpy().tobytes())


def state_from_main(state: Any, device: torch.device) -> Any:
    """The main process's nested state of tensors and plain values (see `flatten`), in every process, on the CPU."""
    if world_size() == 1:
        return state
    skeleton, tensors = flatten(state)
    kinds = {name: (str(tensor.dtype).removeprefix("torch."), list(tensor.shape)) for name, tensor in tensors.items()}
    skeleton, kinds = from_main([skeleton, kinds], device)
    shared = {}
    for name, (dtype, shape) in kinds.items():
        # As bytes, because not every backend knows every kind of number.
        tensor = tensors[name].cpu() if is_main() else torch.empty(shape, dtype=getattr(torch, dtype))
        raw = tensor.contiguous().reshape(-1).view(torch.uint8).to(device)
        dist.broadcast(raw, 0)
        shared[name] = raw.cpu().view(tensor.dtype).reshape(shape)
    return unflatten(skeleton, shared)
