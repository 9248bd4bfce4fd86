"""Graph convolution over sparse or dense features, edge lists or dense adjacency matrices."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.parts import sparse_product
from nearfar.parts.sparse_product import compressed


class Adjacency:
    """The matrix by which a graph convolution averages, in compressed rows, with its transpose.

    Args:
        edge_index: (2, E), from sources to targets: row i of the product sums over the columns (j, i).
        nodes: N.
        normalize: divide by the roots of both ends' numbers of incoming edges, after adding a loop to every node
            (Kipf and Welling, 2017). Otherwise every entry is 1.
    """

    def __init__(self, edge_index: Tensor, nodes: int, *, normalize: bool = True) -> None:
        source, target = edge_index
        if normalize:
            loops = torch.arange(nodes, device=edge_index.device)
            source, target = torch.cat((source, loops)), torch.cat((target, loops))
            scale = torch.bincount(target, minlength=nodes).to(torch.get_default_dtype()).rsqrt()
            values = scale[source] * scale[target]
        else:
            values = torch.ones(len(source), device=edge_index.device)
        self.matrix = _by_row(target, source, values, nodes)
        self.transpose = _by_row(source, target, values, nodes)

    def __matmul__(self, x: Tensor) -> Tensor:
        return sparse_product(self.matrix, self.transpose, x.to(self.matrix.dtype))


def _by_row(rows: Tensor, columns: Tensor, values: Tensor, nodes: int) -> Tensor:
    order = torch.argsort(rows, stable=True)
    starts = torch.zeros(nodes + 1, dtype=torch.int32, device=rows.device)
    starts[1:] = torch.bincount(rows, minlength=nodes).cumsum(0)
    return compressed(starts, columns[order].int(), values[order], (nodes, nodes))


def adjacency_of(graph: Any, *, normalize: bool = True) -> Any:
    """What multiplies the features of a graph: its dense ``adj`` where it has one, else its edges."""
    dense = getattr(graph, "adj", None)
    if dense is not None:
        return dense
    return Adjacency(graph.edge_index, graph.num_nodes, normalize=normalize)


class Projection(nn.Linear):
    """A linear map without bias that multiplies the features of a graph, stored whole or in compressed rows.

    A graph with ``rows`` and ``rows_transposed`` (its features in compressed rows) is multiplied by those; columns
    that ``columns`` (F,) sets to 0 are then taken out of the weights instead of the features, which is the same.
    Weights start as Glorot's uniform numbers.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.xavier_uniform_(self.weight)

    def of_graph(self, graph: Any) -> Tensor:
        rows = getattr(graph, "rows", None)
        if rows is None:
            return self(graph.x)
        columns = getattr(graph, "columns", None)
        weight = self.weight.t() if columns is None else self.weight.t() * columns.unsqueeze(1)
        return sparse_product(rows, graph.rows_transposed, weight.contiguous())


class GraphConvolution(nn.Module):
    r"""Kipf and Welling's convolution, :math:`D^{-1/2} (A + I) D^{-1/2} X W + b` (arXiv 1609.02907).

    Degrees count incoming edges, which matters once the two directions of an edge are dropped separately; without
    weights on edges this is PyTorch Geometric's ``GCNConv``, with the same initial weights for the same seed.

    Args:
        in_features, out_features: widths.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.lin = Projection(in_features, out_features)
        self.bias = nn.Parameter(torch.zeros(out_features))

    def forward(self, x: Tensor, adjacency: Any) -> Tensor:
        """(N, in_features) to (N, out_features); ``adjacency`` is an :class:`Adjacency` or a dense (N, N) matrix."""
        return adjacency @ self.lin(x) + self.bias

    def first(self, graph: Any, adjacency: Any) -> Tensor:
        """The convolution of a graph's own features."""
        return adjacency @ self.lin.of_graph(graph) + self.bias


class OneSlope(nn.PReLU):
    """PReLU with one slope for all channels, in fewer passes over memory than torch's own takes."""

    def __init__(self, init: float = 0.25) -> None:
        super().__init__(1, init)

    def forward(self, x: Tensor) -> Tensor:
        return _OneSlope.apply(x, self.weight)


class _OneSlope(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: Tensor) -> Tensor:
        ctx.save_for_backward(x, slope)
        if x.device.type == "cpu":  # elsewhere reading the number would wait for the device
            return F.leaky_relu(x, float(slope.to(x.dtype)))
        return torch.where(x > 0, x, x * slope.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, slope = ctx.saved_tensors
        (grad,) = grads
        below = x.clamp_max(0)
        if x.device.type == "cpu" and not torch.is_grad_enabled():
            back = torch.ops.aten.leaky_relu_backward(grad, x, float(slope.to(grad.dtype)), False)
        else:  # a gradient of the gradient needs the slope itself
            back = torch.where(x > 0, grad, grad * slope.to(grad.dtype))
        return (
            back if ctx.needs_input_grad[0] else None,
            (grad * below).sum().to(slope.dtype).view(1) if ctx.needs_input_grad[1] else None,
        )
