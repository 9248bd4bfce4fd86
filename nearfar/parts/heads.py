"""Projection and prediction heads: representation -> the space where contrast happens."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

Norm = Literal["bn", "ln", "none"]
LastNorm = Literal["bn", "bn_no_affine", "none"]


class MLPHead(nn.Sequential):
    """Multi-layer perceptron: ``layers - 1`` blocks of Linear, norm, ReLU, then a last Linear.

    The shapes used by the papers are all reachable: SimCLR v1 ``MLPHead(d, d, 128, norm="none")``, MoCo v2 the
    same, BYOL ``MLPHead(d, 4096, 256)``, SimSiam ``MLPHead(d, 2048, 2048, layers=3, last_norm="bn_no_affine")``,
    Barlow Twins ``MLPHead(d, 8192, 8192, layers=3, bias=False)``.

    Args:
        in_features: width of the representation, at least 1.
        hidden_features: width of every hidden layer.
        out_features: width of the space where contrast happens.
        layers: number of Linear layers, at least 1 (1 is a plain projection).
        norm: normalisation after every hidden Linear. ``"bn"`` shares statistics over the batch.
        last_norm: normalisation after the last Linear; without affine parameters for ``"bn_no_affine"``.
        bias: whether the *last* Linear has a bias. A hidden Linear has one only where no batch norm follows
            that would cancel it.

    Shape: ``(N, in_features) -> (N, out_features)``.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        out_features: int,
        *,
        layers: int = 2,
        norm: Norm = "bn",
        last_norm: LastNorm = "none",
        bias: bool = True,
    ) -> None:
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        for name, size in (("in", in_features), ("hidden", hidden_features), ("out", out_features)):
            if size < 1 and not (name == "hidden" and layers == 1):
                raise ValueError(f"{name}_features must be at least 1, got {size}")
        blocks: list[nn.Module] = []
        width = in_features
        for _ in range(layers - 1):
            blocks.append(nn.Linear(width, hidden_features, bias=norm != "bn"))
            if norm == "bn":
                blocks.append(nn.BatchNorm1d(hidden_features))
            elif norm == "ln":
                blocks.append(nn.LayerNorm(hidden_features))
            blocks.append(nn.ReLU(inplace=True))
            width = hidden_features
        blocks.append(nn.Linear(width, out_features, bias=bias and last_norm == "none"))
        if last_norm != "none":
            blocks.append(nn.BatchNorm1d(out_features, affine=last_norm == "bn"))
        super().__init__(*blocks)
        self.in_features = in_features
        self.out_features = out_features

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.in_features:
            raise ValueError(f"expected representations of shape (N, {self.in_features}), got {tuple(x.shape)}")
        return super().forward(x)
