"""A fixed sparse matrix, stored in rows and in columns, that multiplies dense ones in both directions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn


class SparseMatrix(nn.Module):
    """A sparse matrix A (N, M) as buffers: compressed rows of A and of its transpose.

    Both are kept because the gradient of ``A x`` is a product with the transpose, which torch would otherwise make
    anew in every step, and because compressed rows are four times as fast as coordinates. A checkpoint keeps the
    matrix; its number of entries is fixed when the module is made, so that it can be loaded.

    Args:
        rows: N.
        columns: M.
        entries: how many entries it holds.
    """

    row_starts: Tensor
    row_columns: Tensor
    row_values: Tensor
    column_starts: Tensor
    column_rows: Tensor
    column_values: Tensor

    def __init__(self, rows: int, columns: int, entries: int) -> None:
        super().__init__()
        if min(rows, columns, entries) < 1:
            raise ValueError(f"a sparse matrix needs rows, columns and entries, got {rows}, {columns} and {entries}")
        self.rows, self.columns, self.entries = rows, columns, entries
        self._order: Tensor | None = None
        for name, count in (("row", rows), ("column", columns)):
            other = "columns" if name == "row" else "rows"
            self.register_buffer(f"{name}_starts", torch.zeros(count + 1, dtype=torch.int32))
            self.register_buffer(f"{name}_{other}", torch.zeros(entries, dtype=torch.int32))
            self.register_buffer(f"{name}_values", torch.zeros(entries))

    def fill(self, matrix: Any) -> None:
        """Take the entries of a SciPy matrix of the same shape and number of entries.

        Raises:
            ValueError: another shape or number of entries.
        """
        by_row = sparse.csr_matrix(matrix)
        by_row.sort_indices()
        if by_row.shape != (self.rows, self.columns) or by_row.nnz != self.entries:
            raise ValueError(
                f"expected a matrix of {self.rows} x {self.columns} with {self.entries} entries, got "
                f"{by_row.shape[0]} x {by_row.shape[1]} with {by_row.nnz}"
            )
        by_column = by_row.tocsc()
        self._order = None
        for target, array in (
            (self.row_starts, by_row.indptr),
            (self.row_columns, by_row.indices),
            (self.row_values, by_row.data),
            (self.column_starts, by_column.indptr),
            (self.column_rows, by_column.indices),
            (self.column_values, by_column.data),
        ):
            target.copy_(torch.from_numpy(np.ascontiguousarray(array)))

    def to_scipy(self) -> Any:
        """The matrix in compressed rows."""
        parts = [t.cpu().numpy() for t in (self.row_values, self.row_columns, self.row_starts)]
        return sparse.csr_matrix(tuple(parts), shape=(self.rows, self.columns))

    def thinned(self, share: float, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Values with a share of them set to 0 and the others divided by what is left, by rows and by columns.

        Args:
            share: in [0, 1).
            generator: what they are drawn from.
        """
        if not 0 <= share < 1:
            raise ValueError(f"share must lie in [0, 1), got {share}")
        values = self.row_values
        keep = torch.rand(values.shape, generator=generator, device=values.device) >= share
        values = values * keep / (1 - share)
        if self._order is None or self._order.device != values.device:
            # Rows are in order within each column, so a stable sort by column is the order of the transpose.
            self._order = torch.argsort(self.row_columns, stable=True)
        return values, values[self._order]

    def forward(self, x: Tensor, *, transposed: bool = False, kept: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """``A x`` (N, D) of x (M, D), or ``A^T x`` where ``transposed``.

        ``kept`` replaces the values, as :meth:`thinned` makes them.
        """
        values, turned = kept or (self.row_values, self.column_values)
        by_row = compressed(self.row_starts, self.row_columns, values, (self.rows, self.columns))
        by_column = compressed(self.column_starts, self.column_rows, turned, (self.columns, self.rows))
        return sparse_product(by_column, by_row, x) if transposed else sparse_product(by_row, by_column, x)


def compressed(starts: Tensor, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    """A torch matrix in compressed rows of parts that are known to fit."""
    return torch.sparse_csr_tensor(starts, indices, values, shape, check_invariants=False)


# Torch says once a process that compressed rows are new to it; said here, where nobody hears it.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 1]), torch.tensor([0]), torch.ones(1), (1, 1))


def sparse_product(matrix: Tensor, transpose: Tensor, x: Tensor) -> Tensor:
    """``matrix @ x`` with gradients for ``x`` alone, which are products with the ``transpose`` that is given."""
    return _SparseProduct.apply(matrix, transpose, x)


class _SparseProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, matrix: Tensor, transpose: Tensor, x: Tensor) -> Tensor:
        ctx.matrices = matrix, transpose
        return matrix @ x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        matrix, transpose = ctx.matrices
        return None, None, _SparseProduct.apply(transpose, matrix, grads[0].contiguous())
