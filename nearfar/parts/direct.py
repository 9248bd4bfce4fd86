"""A linear predictor that is computed from the features' correlation instead of trained (DirectPred)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LEAST_GAIN = 1e-4


class DirectPredictor(nn.Linear):
    r"""A linear map, without bias, whose matrix is set from the correlation of what it is given.

    With the running correlation :math:`F \leftarrow \rho F + (1 - \rho) \operatorname{mean}_i f_i f_i^T` (not
    centred; the first batch sets it whole) and its eigenvectors :math:`U` and eigenvalues :math:`s`,

    .. math::
        W = U \operatorname{diag}\big( (s / \max s)^\alpha + \epsilon \big) U^T
          = F^\alpha / \|F^\alpha\|_2 + \epsilon I .

    ``alpha=0.5`` is DirectPred (arXiv 2102.06810; released code ``byol_trainer.py``, "boost_scale": the paper's
    text leaves ``s`` unscaled and multiplies epsilon by its maximum, the same map up to a factor that a cosine
    does not see); any other is DirectSet and ``alpha=1`` DirectCopy (arXiv 2110.04947), which needs no
    eigenvectors.

    Two more rules of the released code are options. Its "direct" balance, which it calls DirectCopy, leaves the
    correlation as it is: ``alpha=1, scaled=False`` is :math:`W = F + \epsilon I`. ``eps_inside`` puts :math:`\epsilon`
    under the exponent, :math:`(s / \max s + \epsilon)^\alpha`, and ``centred`` takes the running mean out of the
    correlation, :math:`F - \mu \mu^T`.

    Call :meth:`update` after every optimiser step. Until the first call the matrix is a random one.

    Args:
        dim: width of the features.
        alpha: exponent of the eigenvalues, above 0.
        eps: what every direction gets, at least 0.
        rho: weight of the past in the running correlation, in [0, 1).
        every: updates between two settings of the matrix; with 1 it is never trained, otherwise gradients move it
            in between.
        eps_inside: add ``eps`` before the exponent instead of after it; not with ``alpha=1``, where it is the same.
        centred: work on the covariance instead of the correlation.
        scaled: divide eigenvalues by the largest; ``False`` is for ``alpha=1``.

    Shape: ``(N, dim) -> (N, dim)``.
    """

    correlation: Tensor
    updates: Tensor
    mean: Tensor | None

    def __init__(
        self,
        dim: int,
        *,
        alpha: float = 0.5,
        eps: float = 0.01,
        rho: float = 0.3,
        every: int = 1,
        eps_inside: bool = False,
        centred: bool = False,
        scaled: bool = True,
    ) -> None:
        if not alpha > 0 or not eps >= 0 or not 0 <= rho < 1 or every < 1:
            raise ValueError(
                "alpha must be above 0, eps at least 0, rho in [0, 1) and every at least 1; "
                f"got alpha={alpha}, eps={eps}, rho={rho}, every={every}"
            )
        if not scaled and alpha != 1:
            raise ValueError(f"scaled=False leaves the correlation as it is, which needs alpha=1, got alpha={alpha}")
        super().__init__(dim, dim, bias=False)
        self.weight.requires_grad_(every > 1)
        self.register_buffer("correlation", torch.zeros(dim, dim))
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))
        self.register_buffer("mean", torch.zeros(dim) if centred else None)
        self.alpha, self.eps, self.rho, self.every = alpha, eps, rho, every
        self.eps_inside, self.scaled = eps_inside, scaled

    @torch.no_grad()
    def update(self, features: Tensor) -> None:
        """Let ``features`` (N, dim), all views and ranks of a batch, move the correlation and set the matrix."""
        if features.ndim != 2 or features.shape[1] != self.in_features or len(features) == 0:
            raise ValueError(f"expected features of shape (N, {self.in_features}), got {tuple(features.shape)}")
        f = features.to(self.correlation.dtype)
        past = self.rho * (self.updates > 0).to(f.dtype)
        self.correlation.mul_(past).add_((1 - past) * (f.t() @ f / len(f)))
        if self.mean is not None:
            self.mean.mul_(past).add_((1 - past) * f.mean(0))
        if self.every == 1 or int(self.updates) % self.every == 0:
            self.weight.copy_(self._matrix())
        self.updates += 1

    def _matrix(self) -> Tensor:
        tiny = torch.finfo(self.correlation.dtype).tiny
        found = self.correlation
        if self.mean is not None:
            found = found - torch.outer(self.mean, self.mean)
        if self.alpha == 1:
            scale = torch.linalg.matrix_norm(found, 2).clamp_min(tiny) if self.scaled else 1.0
            return found / scale + self.eps * torch.eye(len(found), dtype=found.dtype, device=found.device)
        values, vectors = torch.linalg.eigh(found)
        shares = values.clamp_min(0) / values[-1].clamp_min(tiny)
        if self.eps_inside:
            gains = (shares + self.eps).clamp_min(LEAST_GAIN) ** self.alpha
        else:
            gains = (shares**self.alpha + self.eps).clamp_min(LEAST_GAIN)
        return (vectors * gains) @ vectors.t()
