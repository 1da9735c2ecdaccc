"""Weights between two modules that hold the same tensors in the same order under other names, such as torchvision's."""

from collections.abc import Mapping

import torch
from torch import nn

from cnn_course.arguments.objects import instance
from cnn_course.arguments.shown import shown


def renamed(state: Mapping[str, torch.Tensor], like: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of `state`, a state dict, under the names of `like`, first to first and last to last.

        ours.load_state_dict(renamed(theirs.state_dict(), ours))

    Raises TypeError for a state that is no dict of tensors and for a `like` that is no module; ValueError where the
    number of tensors or a shape differs: then the two are not the same network.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"state must be a state dict, such as module.state_dict(), not {shown(state)}")
    target = instance("like", like, nn.Module, "a torch.nn.Module").state_dict()
    if len(state) != len(target):
        raise ValueError(
            f"state and like are not the same network: {len(state)} tensors for a module with {len(target)}"
        )
    for (name, tensor), (goal, place) in zip(state.items(), target.items(), strict=True):
        if not isinstance(tensor, torch.Tensor):
            raise TypeError(f"state[{name!r}] must be a tensor, not {shown(tensor)}")
        if nn.parameter.is_lazy(place):
            raise ValueError(f"like has a lazy layer without a size yet, {goal}: call it on an input once")
        if tensor.shape != place.shape:
            raise ValueError(
                f"state and like are not the same network: {name} has shape {tuple(tensor.shape)}, "
                f"but in its place {goal} has {tuple(place.shape)}"
            )
    return dict(zip(target, state.values(), strict=True))
