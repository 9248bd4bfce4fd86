"""A sparse autoencoder of a model's states."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.feature_selection import mutual_info_classif
from torch import Tensor, nn

from nearfar.losses import Latents, functional_activations, knowledge_features


class Autoencoder(nn.Module):
    """States (N, D) through L rectified latents of which the k largest are kept, and back; and which latents speak for
    the context and for memory (L,), with the activations that each behaviour has (L,)."""

    for_context: Tensor
    for_memory: Tensor
    context_level: Tensor
    memory_level: Tensor

    def __init__(self, width: int, latents: int, k: int) -> None:
        super().__init__()
        directions = nn.functional.normalize(torch.randn(latents, width), dim=1)
        self.decoder, self.encoder = nn.Parameter(directions.clone()), nn.Parameter(directions)
        self.encoder_bias, self.decoder_bias = nn.Parameter(torch.zeros(latents)), nn.Parameter(torch.zeros(width))
        self.k = k
        for name in ("for_context", "for_memory", "context_level", "memory_level"):
            self.register_buffer(name, torch.zeros(latents))

    @property
    def latents(self) -> Latents:
        return Latents(self.encoder, self.encoder_bias, self.decoder, self.decoder_bias)

    def forward(self, states: Tensor) -> Tensor:
        z = self.latents.activations(states)
        best = z.topk(self.k, -1)
        return torch.zeros_like(z).scatter(-1, best.indices, best.values) @ self.decoder + self.decoder_bias

    @property
    def sets(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Which latents speak for the context, with their levels, and which for memory."""
        return (self.for_context, self.context_level), (self.for_memory, self.memory_level)

    @torch.no_grad()
    def choose(self, states: Tensor, labels: np.ndarray, losses: Tensor, *, proportion: float) -> None:
        """Find which latents tell two behaviours apart, and how active they are in either.

        Args:
            states: (N, D) of prompts that show one of them.
            labels: (N,) 1 where the model answered from the context, 0 where from memory.
            losses: (2, N) of memory's and of the context's answer.
            proportion: share of all mutual information that the chosen latents hold, in (0, 1).
        """
        z = self.latents.activations(states.to(self.decoder))
        information = torch.as_tensor(
            mutual_info_classif(z.cpu().numpy(), labels, random_state=0), dtype=torch.float32, device=z.device
        )
        told = torch.as_tensor(labels == 1, device=z.device)
        expectation = z[told].mean(0) - z[~told].mean(0)
        context, memory = knowledge_features(information, expectation, proportion=proportion)
        from_memory, from_context = losses.to(z)
        self.for_context.zero_()[context] = 1.0
        self.for_memory.zero_()[memory] = 1.0
        self.context_level.copy_(functional_activations(z[told], from_memory[told], from_context[told]))
        self.memory_level.copy_(functional_activations(z[~told], from_context[~told], from_memory[~told]))
