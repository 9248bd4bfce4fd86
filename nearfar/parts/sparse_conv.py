"""Sparse convolution by a dense network: what masked pre-training of convolutional encoders needs (SparK)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

MASKED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.Linear, nn.LayerNorm)
"""Layers that see one position or a neighbourhood: their output is multiplied by the mask."""
NORMALISED = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.GroupNorm, nn.InstanceNorm2d)
"""Layers with statistics over positions: they are given the seen positions only."""
BY_IMAGE = (nn.GroupNorm, nn.InstanceNorm2d)
PROBE = 64


class Level(NamedTuple):
    """A resolution of a backbone: where its map is read, pixels per cell, channels.

    ``entering`` tells whether the map is what enters ``module`` (which goes on to the next resolution) or leaves it.
    """

    module: str
    entering: bool
    stride: int
    width: int


@torch.no_grad()
def feature_levels(backbone: nn.Module, count: int = 4) -> list[Level]:
    """The last map of every resolution of a convolutional backbone, coarsest first: at most ``count``, not of stride 1.

    One picture of 64 pixels is sent through in evaluation mode. What enters the outermost module that halves a
    resolution is the last map of that resolution; so any backbone that gives maps will do: ResNets from c5 to c2,
    :class:`~nearfar.encoders.resnet.SmallConvNet` at strides 16, 8, 4 and 2.

    Raises:
        ValueError: a backbone without maps (a transformer over patches, a network on vectors), or with strides that
            are not powers of two in a row.
    """
    halving: dict[str, Level] = {}
    last = Level("", False, 1, 0)

    def note(name: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal last
        stride = _stride(output)
        if stride is None:
            return
        if stride >= last.stride:
            last = Level(name, False, stride, output.shape[1])
        if inputs and _stride(inputs[0]) == stride // 2:
            halving[name] = Level(name, True, stride // 2, inputs[0].shape[1])

    modes = {module: module.training for module in backbone.modules()}
    parameter = next(backbone.parameters(), torch.empty(0))
    with ExitStack() as stack:
        for name, module in backbone.named_modules():
            stack.callback(module.register_forward_hook(partial(note, name)).remove)
        backbone.eval()
        backbone(torch.zeros(1, 3, PROBE, PROBE, device=parameter.device, dtype=parameter.dtype))
    for module, mode in modes.items():
        module.training = mode
    found = {last.stride: last}
    for name, _ in backbone.named_modules():  # parents come before what they hold
        if name in halving:
            found.setdefault(halving[name].stride, halving[name])
    strides = sorted((stride for stride in found if stride > 1), reverse=True)[:count]
    if len(strides) < 2 or any(coarse != 2 * fine for coarse, fine in zip(strides, strides[1:], strict=False)):
        raise ValueError(
            f"{type(backbone).__name__} gives no maps at strides that double (found {strides or 'none'}); masked "
            "pre-training of this kind is for convolutional encoders such as small-conv, resnet18 or resnet50. For a "
            "vision transformer use mae"
        )
    return [found[stride] for stride in strides]


def _stride(maps: Any) -> int | None:
    """Pixels per cell of a map of the probe, where it is one (of more than a single cell)."""
    if not isinstance(maps, Tensor) or maps.ndim != 4 or maps.shape[2] != maps.shape[3] or maps.shape[2] < 2:
        return None
    return PROBE // maps.shape[2]


class Seen:
    """Which cells of a grid are seen, at that resolution and every finer one.

    Args:
        grid: (N, h, w) boolean, true where a cell is seen. Norms that take each image by itself (group norm, instance
            norm) need as many in every image; batch norm and layers without statistics do not.

    Raises:
        TypeError: a grid that is not boolean. ValueError: another shape, no cell seen.
    """

    def __init__(self, grid: Tensor) -> None:
        if grid.dtype != torch.bool:
            raise TypeError(f"grid must be boolean, true where a cell is seen, got {grid.dtype}")
        if grid.ndim != 3:
            raise ValueError(f"grid must have shape (N, h, w), got {tuple(grid.shape)}")
        counts = grid.flatten(1).sum(1)
        if not bool(counts.any()):
            raise ValueError("at least one cell of some image must be seen")
        self.grid, self.equal = grid, bool((counts == counts[0]).all())
        self._at: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def at(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """At another resolution: the mask (N, height, width) and the flat positions of what is seen, image by image."""
        if (height, width) not in self._at:
            rows, columns = self.grid.shape[1:]
            if height % rows or width % columns:
                raise ValueError(
                    f"a layer gave maps of {height}x{width} cells, which the mask of {rows}x{columns} does not divide"
                )
            fine = self.grid.repeat_interleave(height // rows, 1).repeat_interleave(width // columns, 2)
            self._at[height, width] = fine, fine.flatten().nonzero().squeeze(1)
        return self._at[height, width]

    def mask(self, maps: Tensor, *, channels_last: bool = False) -> Tensor:
        """Maps (N, C, H, W), or (N, H, W, C), with zeros where nothing is seen."""
        if channels_last:
            return maps * self.at(maps.shape[1], maps.shape[2])[0].unsqueeze(3)
        return maps * self.at(maps.shape[2], maps.shape[3])[0].unsqueeze(1)

    def through(self, layer: Any, maps: Tensor) -> Tensor:
        """``layer`` applied to the seen positions as a map of shape (N, C, seen, 1), (1, C, all seen, 1) where images
        show more or less than others; zeros elsewhere."""
        n, channels, height, width = maps.shape
        images = n if self.equal else 1
        if not self.equal and isinstance(getattr(layer, "__self__", layer), BY_IMAGE):
            raise ValueError("every image must have as many seen cells as the others for norms of each by itself")
        positions = self.at(height, width)[1]
        rows = maps.permute(0, 2, 3, 1).reshape(-1, channels)
        seen = rows.index_select(0, positions).view(images, -1, 1, channels).permute(0, 3, 1, 2)
        given = layer(seen).permute(0, 2, 3, 1).reshape(len(positions), channels)
        whole = given.new_zeros(rows.shape).index_copy(0, positions, given)
        return whole.view(n, height, width, channels).permute(0, 3, 1, 2)


@contextmanager
def sparse(module: nn.Module, seen: Seen) -> Iterator[None]:
    r"""Inside, a dense network computes as a sparse one over the seen cells; its weights and names stay its own.

    SparK (Tian et al., 2023, arXiv 2301.03580; released ``pretrain/encoder.py``): after every convolution and pooling
    what was not seen is zero again, so that no bias and no neighbour's value leaks into it and the pattern of the
    mask survives every layer; norms take their statistics over seen positions only, batch norm over those of all
    images together. Zeros in the picture alone would not do: batch norm would count them.

    Linear layers and layer norms on maps (N, H, W, C), as ConvNeXt has them, are masked too. What pools over the
    whole picture inside the network (squeeze-and-excitation) is refused, for it would count the hidden cells.

    Args:
        module: the network, in any mode. In training mode running statistics move by what is seen.
        seen: the mask.
    """

    def masked(layer: nn.Module, forward: Any, maps: Tensor) -> Tensor:
        if maps.ndim != 4:
            return forward(maps)
        last = isinstance(layer, nn.Linear) or type(layer) is nn.LayerNorm
        return seen.mask(forward(maps), channels_last=getattr(layer, "data_format", None) == "channels_last" or last)

    with ExitStack() as stack:
        for layer in module.modules():
            if isinstance(layer, NORMALISED):
                layer.forward = partial(seen.through, layer.forward)  # type: ignore[method-assign]
            elif isinstance(layer, MASKED):
                layer.forward = partial(masked, layer, layer.forward)  # type: ignore[method-assign]
            else:
                continue
            stack.callback(layer.__dict__.pop, "forward")
        yield


def level_maps(backbone: nn.Module, levels: list[Level], pixels: Tensor) -> list[Tensor]:
    """The backbone's maps of pixels (N, 3, H, W) at ``levels``, in their order."""
    maps: dict[int, Tensor] = {}

    def keep(stride: int, module: nn.Module, inputs: tuple[Any, ...], *output: Any) -> None:
        maps[stride] = output[0] if output else inputs[0]

    with ExitStack() as stack:
        for level in levels:
            module = backbone.get_submodule(level.module)
            hook = module.register_forward_pre_hook if level.entering else module.register_forward_hook
            stack.callback(hook(partial(keep, level.stride)).remove)
        backbone(pixels)
    return [maps[level.stride] for level in levels]


def sparse_maps(backbone: nn.Module, levels: list[Level], pixels: Tensor, seen: Seen) -> list[Tensor]:
    """The same where only the seen cells of the pixels count (see :func:`sparse`): zero where nothing is seen."""
    with sparse(backbone, seen):
        return level_maps(backbone, levels, seen.mask(pixels))
