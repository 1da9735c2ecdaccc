"""Half precision (`TrainConfig.amp`): which kind a device computes in, and what float16 needs besides.

bfloat16 reaches as far as float32, with fewer digits. float16 has more digits and ends at 65,504, and small gradients
become 0 in it: the loss is multiplied by a large factor before the backward pass, and a step whose gradients are no
finite numbers is left out (Micikevicius et al. 2018, "Mixed Precision Training"; PyTorch's GradScaler).
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Precision:
    """What forward passes of training compute in; weights are float32 always. scaler: does nothing but in float16."""

    dtype: torch.dtype
    scaler: torch.amp.GradScaler

    def autocast(self, device: torch.device) -> torch.autocast:
        """Around a forward pass."""
        half = self.dtype != torch.float32
        return torch.autocast(device.type, self.dtype if half else torch.bfloat16, enabled=half)

    def __str__(self) -> str:
        return str(self.dtype).removeprefix("torch.")


def precision(device: torch.device, amp: bool) -> Precision:
    """float32, or with `amp` bfloat16, and float16 on NVIDIA's cards before Ampere (such as a T4), which lack it."""
    dtype = _half(device) if amp else torch.float32
    return Precision(dtype, torch.amp.GradScaler(device.type, enabled=dtype == torch.float16))


def _half(device: torch.device) -> torch.dtype:
    # PyTorch would imitate bfloat16 there, more slowly than float32.
    lacks = device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0)
    return torch.float16 if lacks else torch.bfloat16
