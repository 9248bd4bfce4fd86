"""A mixture of what several texts say of a node: GAugLLM's attention over prompts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["PromptExperts"]


class PromptExperts(nn.Module):
    r"""Weights of a node's texts, by what they say and by how well that goes with what is said about them.

    :math:`w = \operatorname{softmax}\big((W_2 [\rho(W_1 c_1); \dots; \rho(W_1 c_M)] + (c_m \cdot t_m)_m) / \tau\big)`
    with content :math:`c`, context :math:`t` and a leaky ReLU :math:`\rho`; the feature is :math:`\sum_m w_m c_m`
    (released code, ``SimilarityAttentionMLP``).

    Args:
        dim: width D of the vectors, at least 2; W_1 halves it.
        experts: texts of a node, M, at least 2.
        temperature: above 0.

    Shape: contents and contexts (N, M, D) to the weights (N, M) and the features (N, D).
    """

    def __init__(self, dim: int, experts: int = 4, temperature: float = 0.2) -> None:
        super().__init__()
        if dim < 2 or experts < 2 or temperature <= 0:
            raise ValueError(
                f"dim and experts are at least 2 and temperature above 0; got {dim}, {experts} and {temperature}"
            )
        self.inner = nn.Linear(dim, dim // 2)
        self.outer = nn.Linear(experts * (dim // 2), experts)
        self.temperature = temperature

    def forward(self, contents: Tensor, contexts: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.outer(F.leaky_relu(self.inner(contents)).flatten(1)) + (contents * contexts).sum(2)
        weights = torch.softmax(logits / self.temperature, 1)
        return weights, torch.einsum("nm,nmd->nd", weights, contents)
