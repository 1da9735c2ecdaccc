"""A second device, played on the CPU: what a GPU would refuse, a mix of its tensors with the CPU's, fails here too.

    import second_device
    second_device.install()     # from now on "auto" and "cuda" mean this device, in this process
    second_device.COPIES        # how often numbers went to the device and back

Like Apple's it has no float64.
Its tensors wrap one of the CPU, which computes. torch lets a device be written in Python (`privateuse1`); what goes
from one device to the other passes `_dispatch` and is counted there.
"""

import contextlib
from typing import Any

import torch
from torch.utils import _pytree as tree
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

aten = torch.ops.aten
_setup_privateuseone_for_python_backend("gpu")
DEVICE = torch.device("gpu:0")
COPIES = {"to the device": 0, "back": 0}
# A GPU takes an index from the CPU, too.
TAKE_AN_INDEX = (aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default)


class OnDevice(torch.Tensor):
    """A tensor of the second device around one of the CPU, `raw`."""

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> "OnDevice":
        if raw.dtype == torch.float64:
            raise TypeError("Cannot convert a tensor to float64: this device, like Apple's, has none")
        return torch.Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=DEVICE
        )

    def __init__(self, raw: torch.Tensor):
        self.raw = raw

    def __repr__(self) -> str:
        return f"OnDevice({self.raw!r})"

    def tolist(self) -> Any:  # torch refuses it for a subclass, and a GPU does it
        _count(True, False)
        return self.raw.tolist()

    def __format__(self, form: str) -> str:  # the same
        return format(self.item() if self.dim() == 0 else self, form) if form else repr(self)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return _dispatch(func, args, dict(kwargs or {}))


def _raw(value: Any) -> Any:
    return value.raw if isinstance(value, OnDevice) else value


def _dispatch(func: Any, args: tuple, kwargs: dict) -> Any:
    if func.name().startswith("aten::to."):
        return func.decompose(*args, **kwargs)
    if func is aten._to_copy.default:
        return _copy_to(*args, **kwargs)
    if func is aten.copy_.default:
        into, source = args[:2]
        _count(isinstance(source, OnDevice), isinstance(into, OnDevice))
        _raw(into).copy_(_raw(source))
        return into
    if func is aten._local_scalar_dense.default:  # .item(), float(x), if x:
        _count(True, False)
    tensors = [value for value in tree.tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
    ours = [value for value in tensors if isinstance(value, OnDevice)]
    if func in TAKE_AN_INDEX and isinstance(args[0], OnDevice):
        together = [args[0], *args[2:3]]
    else:
        together = tensors
    if ours and any(isinstance(v, torch.Tensor) and not isinstance(v, OnDevice) and v.dim() for v in together):
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, gpu:0 and cpu! ({func})"
        )
    if ours and any(isinstance(v, torch.Generator) for v in tree.tree_leaves((args, kwargs))):
        raise RuntimeError(f"Expected a 'gpu' device type for generator but found 'cpu' ({func})")
    args, kwargs = tree.tree_map(_raw, (args, kwargs))
    asked = kwargs.get("device")
    elsewhere = asked is not None and torch.device(asked).type != DEVICE.type  # "meta", or back to the CPU
    if asked is not None and not elsewhere:
        kwargs["device"] = torch.device("cpu")
    same = {id(value.raw): value for value in ours}  # what works in place gives back what it was given
    out = func(*args, **kwargs)
    return out if elsewhere else tree.tree_map(lambda v: _wrapped(v, same), out)


def _wrapped(value: Any, same: dict[int, OnDevice]) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return same[id(value)] if id(value) in same else OnDevice(value)


def _copy_to(x: torch.Tensor, dtype: Any = None, device: Any = None, memory_format: Any = None, **_: Any) -> Any:
    layout = {} if memory_format is None else {"memory_format": memory_format}
    to_device = torch.device(device or x.device).type == DEVICE.type
    where = "cpu" if to_device else device
    out = _raw(x).to(device=where, dtype=dtype or x.dtype, copy=True, **layout)
    if not out.is_meta:  # it has no numbers
        _count(isinstance(x, OnDevice), to_device)
    return OnDevice(out) if to_device else out


def _count(from_device: bool, to_device: bool) -> None:
    if from_device != to_device:
        COPIES["to the device" if to_device else "back"] += 1


def _empty(size: Any, dtype: Any = None, memory_format: Any = None, **_: Any) -> OnDevice:
    return OnDevice(
        torch.empty(size, dtype=dtype, **({} if memory_format is None else {"memory_format": memory_format}))
    )


def _empty_strided(size: Any, stride: Any, dtype: Any = None, **_: Any) -> OnDevice:
    return OnDevice(torch.empty_strided(size, stride, dtype=dtype))


def _copy_from(source: torch.Tensor, into: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """torch.tensor(..., device=...) fills a tensor of the device in this way."""
    _count(isinstance(source, OnDevice), isinstance(into, OnDevice))
    _raw(into).copy_(_raw(source))
    return into


def install() -> None:
    """Make tensors of this device and let the course choose it for "auto" and "cuda"; there is no way back."""
    global _library
    _library = torch.library.Library("aten", "IMPL")  # goes when nothing holds it
    _library.impl("empty.memory_format", _empty, "PrivateUse1")
    _library.impl("empty_strided", _empty_strided, "PrivateUse1")
    _library.impl("_copy_from", _copy_from, "PrivateUse1")
    from cnn_course import train

    choose = train.choose_device
    train.choose_device = lambda name="auto": DEVICE if name in ("auto", "cuda") else choose(name)
    torch.autocast = lambda *args, **kwargs: contextlib.nullcontext()
