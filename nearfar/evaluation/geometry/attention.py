"""Where the tokens of a vision transformer look: the measures of Walmer et al., 2023, arXiv 2212.03862.

Every function takes the attention of one layer, a tensor (N, heads, T, T) of rows that sum to 1, with the class token
first and the other ``T - 1 = K^2`` tokens a square grid row by row, and leaves it as it is. Positions lie on
[0, 1]^2, so that numbers of one grid compare; models with other patches have other grids and do not compare.

Deviations from the released code (mwalmer-umd/vit_analysis, analysis/attention_metrics.py and run_seg_analysis.py),
whose formulas these are: it writes into the caller's tensor in three places (attention on tokens, the masks, the
offsets), so that its results depend on the order of calls; its "attention on the class token" reads token 1, which is
the first patch; and its aligned map is divided by the number of tokens but not of images.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "aligned_attention",
    "attention_distance",
    "attention_iou",
    "attention_mask",
    "attention_offset",
    "attention_on_tokens",
    "head_deviation",
    "token_position_deviation",
]

Source = Literal["all", "class", "patches", "patches-only"]
MaskSource = Literal["class", "patches", "centre"]


def attention_distance(attention: Tensor) -> Tensor:
    """How far patches look: mean over patches i of ``sum_j A_ij |p_i - p_j|``, class token left out.

    Rows are normalised without the class token; a row that is all on the class token counts as 0.

    Returns:
        (N, heads), from 0 (every patch looks at itself) to sqrt(2).

    Raises:
        ValueError: not (N, heads, 1 + K^2, 1 + K^2) with K at least 2, or numbers that are no attention.
    """
    spatial = _between_patches(attention)
    positions = _positions(_grid_side(attention), attention)
    return (spatial * torch.cdist(positions, positions)).sum(-1).mean(-1)


def token_position_deviation(attention: Tensor) -> Tensor:
    """How much patches differ in where they look: the standard deviation (unbiased) of each target's attention over
    the patches that look, mean over targets. Not normalised without the class token. 0 where all look alike.

    Returns:
        (N, heads).
    """
    _check(attention)
    return _single(attention[..., 1:, 1:]).std(-2).mean(-1)


def head_deviation(attention: Tensor) -> Tensor:
    """How much the heads of a layer differ: the standard deviation (unbiased) over heads of each patch's attention on
    each patch, averaged.

    Returns:
        (N,).

    Raises:
        ValueError: a single head, or no attention.
    """
    _check(attention)
    if attention.shape[1] < 2:
        raise ValueError("attention must have at least 2 heads for them to differ, got 1")
    return _single(attention[..., 1:, 1:]).std(1).mean((-2, -1))


def attention_on_tokens(attention: Tensor, source: Source = "all") -> Tensor:
    """How much attention each token gets.

    Args:
        attention: (N, heads, T, T).
        source: from all tokens, from the class token, from the patches, or (``patches-only``) from the patches with
            what they give the class token left out and the rest normalised.

    Returns:
        (N, heads, T), the class token first.
    """
    _check(attention)
    if source == "all":
        return _single(attention).mean(-2)
    if source == "class":
        return _single(attention[..., 0, :])
    if source == "patches":
        return _single(attention[..., 1:, :]).mean(-2)
    if source == "patches-only":
        return F.pad(_between_patches(attention).mean(-2), (1, 0))
    raise ValueError(f"source must be all, class, patches or patches-only, got {source!r}")


def aligned_attention(attention: Tensor) -> Tensor:
    """Where patches look from where they are: every patch's map, moved so that the patch is in the middle, averaged
    over patches and images.

    Returns:
        (heads, 2K - 1, 2K - 1), sums to 1 per head unless rows are all on the class token.
    """
    spatial = _between_patches(attention).mean(0)
    k = _grid_side(attention)
    maps = spatial.unflatten(-1, (k, k)).unflatten(1, (k, k))
    total = spatial.new_zeros(len(spatial), 2 * k - 1, 2 * k - 1)
    for i in range(k):
        for j in range(k):
            total[:, k - 1 - i : 2 * k - 1 - i, k - 1 - j : 2 * k - 1 - j] += maps[:, i, j]
    return total / k**2


def attention_offset(aligned: Tensor) -> Tensor:
    """Centre of gravity of aligned maps: "offset local heads" look at a fixed step away from themselves.

    Args:
        aligned: (heads, 2K - 1, 2K - 1) from :func:`aligned_attention`.

    Returns:
        (heads, 3): to the right, downwards, and the distance of both, in [-1, 1]^2, where one token is
        ``2 / (2K - 2)``. A map of zeros has no offset: 0.
    """
    if aligned.ndim != 3 or aligned.shape[1] != aligned.shape[2] or aligned.shape[1] < 3:
        raise ValueError(f"aligned must have shape (heads, 2K - 1, 2K - 1) with K at least 2, got {(*aligned.shape,)}")
    mass = aligned.sum((1, 2), keepdim=True)
    weights = aligned / torch.where(mass > 0, mass, 1)
    axis = torch.linspace(-1, 1, aligned.shape[1], dtype=aligned.dtype, device=aligned.device)
    right, down = (weights.sum(1) * axis).sum(1), (weights.sum(2) * axis).sum(1)
    return torch.stack([right, down, torch.hypot(right, down)], 1)


def attention_mask(attention: Tensor, source: MaskSource = "class", *, mass: float = 0.6) -> Tensor:
    """The patches that get the most attention: the fewest that hold the share ``mass`` of it, with the one that
    crosses it.

    Args:
        attention: (N, heads, T, T); give the mean over heads, (N, 1, T, T), for one map per layer.
        source: the class token's attention, the mean of the patches', or the patch in the middle's (above and left
            of the middle where K is even).
        mass: share of the attention on patches, in (0, 1).

    Returns:
        (N, heads, K, K) bool.
    """
    if not 0 < mass < 1:
        raise ValueError(f"mass must lie between 0 and 1, got {mass}")
    _check(attention)
    k = _grid_side(attention)
    on_patches = _single(attention[..., 1:])
    if source == "class":
        rows = on_patches[..., 0, :]
    elif source == "patches":
        rows = on_patches[..., 1:, :].sum(-2)
    elif source == "centre":
        rows = on_patches[..., 1 + (k - 1) // 2 * (k + 1), :]
    else:
        raise ValueError(f"source must be class, patches or centre, got {source!r}")
    ascending, order = rows.double().sort(-1)
    share = ascending.cumsum(-1) / ascending.sum(-1, keepdim=True).clamp_min(1e-30)
    kept = torch.zeros_like(share, dtype=torch.bool).scatter(-1, order, share > 1 - mass)
    return kept.unflatten(-1, (k, k))


def attention_iou(attention: Tensor, masks: Tensor, source: MaskSource = "class", *, mass: float = 0.6) -> Tensor:
    """Do the patches that get the most attention lie on the objects? Intersection over union of
    :func:`attention_mask` and the objects.

    Args:
        attention: (N, heads, T, T).
        masks: (N, H, W), anything but 0 is an object. A patch is foreground where any of its pixels is, with H and W
            brought to K by averaging, as after the released code's resizing; images without objects score 0.
        source, mass: see :func:`attention_mask`.

    Returns:
        (N, heads), in [0, 1].

    Raises:
        ValueError: a mask per image is missing, or no attention.
    """
    kept = attention_mask(attention, source, mass=mass)
    if masks.ndim != 3 or len(masks) != len(attention):
        raise ValueError(f"masks must have shape ({len(attention)}, H, W), one per image; got {(*masks.shape,)}")
    objects = F.adaptive_avg_pool2d((masks != 0).float()[:, None], kept.shape[-1]) > 0
    both, either = (kept & objects).sum((-2, -1)), (kept | objects).sum((-2, -1))
    return both / either.clamp_min(1)


def _check(attention: Tensor) -> None:
    if attention.ndim != 4 or attention.shape[-1] != attention.shape[-2]:
        raise ValueError(f"attention must have shape (N, heads, T, T), got {(*attention.shape,)}")
    if not torch.isfinite(attention).all() or (attention < 0).any():
        raise ValueError("attention must be finite and not negative: give it after the softmax")


def _grid_side(attention: Tensor) -> int:
    _check(attention)
    side = round((attention.shape[-1] - 1) ** 0.5)
    if side < 2 or side**2 != attention.shape[-1] - 1:
        raise ValueError(
            f"attention must be of 1 + K^2 tokens, the class token and a square grid; got {attention.shape[-1]}: "
            "images that are not square, or register tokens?"
        )
    return side


def _between_patches(attention: Tensor) -> Tensor:
    """(N, heads, K^2, K^2) in at least float32 without the class token, rows normalised; rows of zeros stay zero."""
    _grid_side(attention)
    spatial = _single(attention[..., 1:, 1:])
    total = spatial.sum(-1, keepdim=True)
    return spatial / torch.where(total > 0, total, 1)


def _positions(side: int, like: Tensor) -> Tensor:
    axis = torch.linspace(0, 1, side, dtype=torch.promote_types(like.dtype, torch.float32), device=like.device)
    return torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).flatten(0, 1)


def _single(attention: Tensor) -> Tensor:
    """Half precision lifted to float32; float64 stays float64."""
    return attention.to(torch.promote_types(attention.dtype, torch.float32))
