"""Weights between two modules that hold the same tensors in the same order under other names, such as torchvision's."""

from collections.abc import Mapping

import torch
from torch import nn


def renamed(state: Mapping[str, torch.Tensor], like: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of `state`, a state dict, under the names of `like`, first to first and last to last.

        ours.load_state_dict(renamed(theirs.state_dict(), ours))

    Raises ValueError where the number of tensors or a shape differs: then the two are not the same network.
    """
    target = like.state_dict()
    if len(state) != len(target):
        raise ValueError(f"these are not the same network: {len(state)} tensors for a module with {len(target)}")
    for (name, tensor), (goal, place) in zip(state.items(), target.items(), strict=True):
        if tensor.shape != place.shape:
            raise ValueError(
                f"these are not the same network: {name} has shape {tuple(tensor.shape)}, "
                f"but in its place {goal} has {tuple(place.shape)}"
            )
    return dict(zip(target, state.values(), strict=True))
