"""Agreement of dense feature maps of one scene in two appearances."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.losses._checks import boolean, choice, floating, full_precision, mean_where, unit_rows

METRICS = ("cosine", "l2", "mmd")
HINT = "; compare it first, as in labels != 255"
MMD_POSITIONS = 256
MMD_BANDWIDTHS = (0.5, 1.0, 2.0)


@full_precision
def feature_distance(
    a: Tensor,
    b: Tensor,
    metric: str = "cosine",
    mask: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    r"""Distance between two aligned feature maps, position by position or as distributions.

    The consistency term of contrastive segmentation under varying appearance (arXiv 2412.16592), where
    pixel p of both maps shows the same thing; there are no negatives. With :math:`f_{np}` the C features of
    image n at position p:

    - ``"cosine"``: mean over n, p of ``1 - cos(a_np, b_np)``, in [0, 2]. The paper's best.
    - ``"l2"``: mean over n, p of ``||a_np - b_np||^2 / C``. Shrinking the features lowers it.
    - ``"mmd"``: mean over n of the squared maximum mean discrepancy between the two sets of positions,
      ``mean k(a,a') + mean k(b,b') - 2 mean k(a,b)`` (biased, at least 0), with
      ``k(x,y) = mean over s in {1/2, 1, 2} of exp(-||x-y||^2 / (s m))`` and m the median squared distance
      between the joined sets, held constant. At most 256 positions of each image are drawn, the same in both
      maps. Only the sets are compared, so it does not need a pixel to correspond. No released code fixes the
      kernel; this one is ours.

    Gradients reach both maps; detach one to hold it.

    Args:
        a: (B, C, h, w).
        b: (B, C, h, w), the same scenes in another appearance.
        metric: ``"cosine"``, ``"l2"`` or ``"mmd"``.
        mask: (B, h, w), boolean, which positions take part; all when None. Images and batches without any
            give 0.
        generator: the source of the drawn positions (``"mmd"``), on any device.

    Returns:
        A scalar, at least 0.

    Raises:
        TypeError: maps that are not floating, or a mask that is not boolean.
        ValueError: shapes, devices or a metric that do not fit.
    """
    a, b = floating(a=a, b=b)
    if a.ndim != 4 or a.shape != b.shape or a.numel() == 0:
        raise ValueError(
            f"a and b must be non-empty maps of one shape (B, C, h, w), got {tuple(a.shape)} and {tuple(b.shape)}"
        )
    choice("metric", metric, METRICS)
    batch, channels, height, width = a.shape
    if mask is None:
        weight = a.new_ones(batch, height * width)
    else:
        weight = boolean("mask", mask, (batch, height, width), a, "maps", HINT).reshape(batch, -1)
    x, y = (f.flatten(2).transpose(1, 2) for f in (a, b))
    if metric == "mmd":
        return _mmd(x, y, weight, generator)
    if metric == "cosine":
        distance = 1 - (unit_rows(x) * unit_rows(y)).sum(2)
    else:
        distance = (x - y).square().sum(2) / channels
    return mean_where(distance, weight)


def _mmd(x: Tensor, y: Tensor, weight: Tensor, generator: torch.Generator | None) -> Tensor:
    batch, positions, _ = x.shape
    count = min(MMD_POSITIONS, positions)
    # Random keys, with the masked positions behind all others: no count of valid ones has to be known.
    source = x.device if generator is None else generator.device
    keys = torch.rand(batch, positions, generator=generator, device=source, dtype=torch.float32).to(x.device)
    chosen = torch.where(weight > 0, keys, keys - 2).topk(count, dim=1).indices
    w = weight.gather(1, chosen)
    w = w / w.sum(1, keepdim=True).clamp_min(1)
    x, y = (f.gather(1, chosen.unsqueeze(2).expand(-1, -1, f.shape[2])) for f in (x, y))
    joined = torch.cat((x, y), dim=1)
    # Centred, because the expansion of the square loses digits when the mean is far from the origin.
    joined = joined - joined.detach().mean(dim=1, keepdim=True)
    norms = joined.square().sum(2)
    squared = norms.unsqueeze(2) + norms.unsqueeze(1) - 2 * torch.bmm(joined, joined.transpose(1, 2))
    squared = squared.clamp_min(0)
    with torch.no_grad():
        signed = torch.cat((w, w), dim=1)
        valid = (signed.unsqueeze(2) * signed.unsqueeze(1)) > 0
        off_diagonal = ~torch.eye(2 * count, dtype=torch.bool, device=x.device)
        distances = squared.masked_fill(~(valid & off_diagonal), float("nan")).flatten(1)
        bandwidth = distances.nanmedian(dim=1).values.nan_to_num(1.0).clamp_min(1e-12).view(-1, 1, 1)
    kernel = torch.stack([torch.exp(-squared / (s * bandwidth)) for s in MMD_BANDWIDTHS]).mean(0)
    difference = torch.cat((w, -w), dim=1).unsqueeze(2)
    return torch.bmm(torch.bmm(kernel, difference).transpose(1, 2), difference).flatten().mean()
