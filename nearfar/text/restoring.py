"""A sentence restored from its vector and from almost nothing of its words."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Restoring:
    """The decoder that restores sentences.

    Args:
        layers: of the transformer.
        heads: of its attention.
        hidden: width of its feed-forward layers.
        dropout: inside it.
        noise: probability with which each number of the embedded words is dropped, in [0, 1). At a low one the words
            give each other away, and the vector has nothing to say; 0.8 to 0.9 work in the paper.
    """

    layers: int = 16
    heads: int = 1
    hidden: int = 2048
    dropout: float = 0.1
    noise: float = 0.825

    def __post_init__(self) -> None:
        if min(self.layers, self.heads, self.hidden) < 1:
            raise ValueError(
                "restoring.layers, restoring.heads and restoring.hidden must be at least 1; got "
                f"{self.layers}, {self.heads} and {self.hidden}"
            )
        if not (0 <= self.noise < 1 and 0 <= self.dropout < 1):
            raise ValueError(
                f"restoring.noise and restoring.dropout must be in [0, 1), got {self.noise} and {self.dropout}"
            )


class Restorer(nn.Module):
    """A transformer decoder without a causal mask, whose only memory is the sentence's vector.

    Args:
        width: of vectors and embedded words.
        settings: its shape and the noise.
    """

    def __init__(self, width: int, settings: Restoring) -> None:
        super().__init__()
        if width % settings.heads:
            raise ValueError(f"restoring.heads must divide the encoder's width {width}, got {settings.heads}")
        layer = nn.TransformerDecoderLayer(
            width, settings.heads, settings.hidden, dropout=settings.dropout, batch_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, settings.layers)
        for part in self.decoder.modules():
            if isinstance(part, nn.Linear):  # the layers are copies of one, otherwise
                nn.init.normal_(part.weight, std=0.02)
                nn.init.zeros_(part.bias)
        self.noise = nn.Dropout(settings.noise)

    def forward(self, vectors: Tensor, embedded: Tensor, mask: Tensor) -> Tensor:
        """States (N, T, D) of the words, of vectors (N, D), embedded words (N, T, D) and their mask (N, T).

        No gradient reaches the embedded words: they would learn to survive the noise.
        """
        noisy = self.noise(embedded.detach())
        return self.decoder(noisy, vectors.unsqueeze(1), tgt_key_padding_mask=mask == 0)
