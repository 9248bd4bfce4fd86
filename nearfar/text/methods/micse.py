"""miCSE: dropout views of a sentence that also attend alike."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.share import for_examples
from nearfar.encoders.text import Pooling
from nearfar.losses import attention_mutual_information
from nearfar.text.method import TextBatch
from nearfar.text.methods.simcse import SimCSE
from nearfar.training import Optimization
from nearfar.training.steps import Terms

GROUPS = 2


class MiCSE(SimCSE):
    """Klein and Nabi, 2023, ACL, arXiv 2211.04928.

    Unsupervised SimCSE, and the attention maps of a sentence's two dropout views are to have much mutual information:
    ``loss = InfoNCE - attention_weight * I``, with the released estimator of
    :func:`nearfar.losses.attention_mutual_information`. It is made for few sentences, down to 64. Partners that the
    data may have are not looked at.

    Args:
        encoder: sentence encoder, by name (``hf:<model>`` for a pretrained one) or as a ``TextEncoder``.
        attention_weight: weight of the mutual information, at least 0. The paper has 5e-4 for a tenth of its million
            sentences (10 epochs), 1e-4 for a hundredth (50), 1e-3 for a thousandth (500) and below (2,500).
        first_layer, last_layer: the layers whose attention counts, from the first to before the last; an even number.
        samples: entries drawn of each attention map, at least 1.
        pooling: how token states become one vector.
        temperature: divides the cosine similarities, above 0.
        head: put a Linear + Tanh between encoder and loss.
        max_length: tokens kept per sentence.
        dropout: probability of every dropout in the encoder, its own when not given. With 0 the views are equal and
            nothing is learned of attention.
        optimization: AdamW with linear decay and no warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        attention_weight: float = 5e-4,
        first_layer: int = 7,
        last_layer: int = 11,
        samples: int = 150,
        pooling: Pooling = "cls",
        temperature: float = 0.05,
        head: bool = True,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-5, weight_decay=0.0, schedule="linear"),
    ) -> None:
        super().__init__(
            encoder,
            pooling=pooling,
            temperature=temperature,
            head=head,
            max_length=max_length,
            dropout=dropout,
            optimization=optimization,
        )
        model: Any = self.encoder.model
        layers = int(model.config.num_hidden_layers)
        if not 0 <= first_layer < last_layer <= layers or (last_layer - first_layer) % GROUPS:
            raise ValueError(
                f"first_layer and last_layer choose an even number of the encoder's {layers} layers; "
                f"got {first_layer} to {last_layer}"
            )
        if attention_weight < 0:
            raise ValueError(f"attention_weight must be at least 0, got {attention_weight}")
        self.attention_weight, self.layers, self.samples = attention_weight, (first_layer, last_layer), samples
        model.set_attn_implementation("eager")

    def views(self, batch: TextBatch) -> list[list[str]]:
        """Every sentence twice."""
        return [batch.sentences, batch.sentences]

    def loss(self, views: list[list[str]]) -> Terms:
        encoder: Any = self.encoder
        vectors, attention = encoder.attended(encoder.tokenize([*views[0], *views[1]]), *self.layers)
        contrast = self.contrast(*self.gather(*self.head(vectors).chunk(2)))
        information = attention_mutual_information(
            *attention.chunk(2), samples=self.samples, groups=GROUPS, keys=self._keys(attention)
        )
        return {"contrast": contrast, "attention": -self.attention_weight * information}

    def _keys(self, attention: Tensor) -> Tensor:
        """What decides which entries are drawn, for each sentence, head and group of layers."""
        layers, heads, length = attention.shape[1:4]
        shape = heads, GROUPS, layers // GROUPS * length * length

        def draw(count: int) -> Tensor:
            return torch.rand(count, *shape, generator=self.generator, device=attention.device)

        return for_examples(draw, len(attention) // 2)
