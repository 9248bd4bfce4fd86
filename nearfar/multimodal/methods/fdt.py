"""FDT: image patches and words as sparse mixtures of one set of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.losses import symmetric_info_nce
from nearfar.multimodal.method import DualEncoder
from nearfar.multimodal.pair_method import PairMethod
from nearfar.parts import LogitScale, discrete_weights, mixture
from nearfar.parts.discrete_tokens import Activation
from nearfar.training import Optimization


@dataclass(frozen=True)
class Attention:
    """The temperature of the tokens' scores, and how it falls.

    Args:
        temperature: at the start, above 0; it belongs to the number of tokens. For 128 of them 20 to 80 learn; at 1 to
            5 a handful takes all in the first steps and the rest never get a gradient.
        rate: multiplies it every ``every`` steps; 1 in the released configuration, 0.3 where its command line anneals.
        every: steps between two falls.
        least: it falls no further.
    """

    temperature: float = 1000.0
    rate: float = 1.0
    every: int = 2700
    least: float = 0.01

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and 0 < self.rate <= 1 and self.every >= 1 and self.least > 0):
            raise ValueError(f"temperature and least above 0, rate in (0, 1] and every from 1 are needed, got {self}")

    def at(self, step: int) -> float:
        """The temperature of a step."""
        return max(self.temperature * self.rate ** (step // self.every), self.least)


class DiscreteTokens(DualEncoder):
    """Two towers whose patches and words meet in a codebook.

    Args:
        image: image encoder, by name or as a module; one that gives a map or tokens.
        text: sentence encoder, by name or as a ``TextEncoder``.
        dim: width of the tokens.
        tokens: how many there are.
        temperature: divides their scores.
        activation: what makes weights of scores.
        max_length: tokens kept per caption.
    """

    temperature: Tensor

    def __init__(
        self,
        image: str | nn.Module,
        text: str | nn.Module,
        dim: int,
        *,
        tokens: int,
        temperature: float,
        activation: Activation,
        max_length: int,
    ) -> None:
        super().__init__(image, text, dim, max_length=max_length)
        self.image_projection = _queries(self.image.out_features, dim)  # type: ignore[assignment]
        self.text_projection = _queries(self.text.out_features, dim)  # type: ignore[assignment]
        self.codebook = nn.Parameter(torch.randn(tokens, dim))
        self.activation: Activation = activation
        self.register_buffer("temperature", torch.tensor(float(temperature)))

    def image_weights(self, images: Tensor) -> Tensor:
        """How much of every token is in each picture, (N, K)."""
        states = self.image.maps(images)
        states = getattr(states, "last_hidden_state", states)
        if states.ndim not in (3, 4):
            raise ValueError(f"FDT needs an image encoder that gives a map or tokens, got {tuple(states.shape)} of it")
        patches = states.flatten(2).transpose(1, 2) if states.ndim == 4 else states[:, 1:]
        return self._weights(self.image_projection(patches), None)

    def text_weights(self, sentences: Sequence[str]) -> Tensor:
        """The same of each sentence, (N, K). One token of padding follows each, however long the others are."""
        states, mask = self.text.states(sentences)
        return self._weights(self.text_projection(F.pad(states, (0, 0, 0, 1))), F.pad(mask, (0, 1)))

    def _weights(self, queries: Tensor, mask: Tensor | None) -> Tensor:
        options = {"temperature": self.temperature, "mask": mask}
        return discrete_weights(queries, self.codebook, activation=self.activation, **options)  # type: ignore[arg-type]

    def embed_images(self, images: Tensor) -> Tensor:
        return mixture(self.image_weights(images), self.codebook)

    def embed_text(self, sentences: Sequence[str]) -> Tensor:
        return mixture(self.text_weights(sentences), self.codebook)


class FDT(PairMethod):
    """Chen et al., 2023, arXiv 2303.14865; the author's ``prototype/model/clip_fdt.py``.

    A patch and a word have little in common. Here both are asked how much of each of a finite set of learned tokens is
    in them; the most that any patch or word has of a token counts for the whole, most weights are exactly 0, and the
    contrast of CLIP is one of the mixtures. The set is key and value at once, neither projected nor normalised. The
    towers' pooled features have no loss, as in the released code.

    A caption is always read as if padding followed it: the released code pads to one length, and its padding scores 0,
    so that a caption means the same in every batch. Temperature and number of tokens belong together
    (:class:`Attention`); the learned scale is kept at 100 as CLIP's is, where the released code cuts only the value
    that it uses.

    Args:
        image_encoder: image tower, by name or as a module; one that gives a map or tokens.
        text_encoder: text tower, by name or as a ``TextEncoder``.
        projection_dim: width of the tokens.
        tokens: how many there are.
        attention: the temperature of their scores.
        activation: ``sparsemax``, ``softmax`` or ``sigmoid``.
        temperature: of the contrast, at the start; it is learned.
        max_length: tokens kept per caption.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: AdamW with the released settings.
    """

    encoder: DiscreteTokens
    steps: Tensor

    def __init__(
        self,
        image_encoder: str | nn.Module = "vit-b16",
        text_encoder: str | nn.Module = "small-bert",
        *,
        projection_dim: int = 512,
        tokens: int = 16384,
        attention: Attention = Attention(),
        activation: Activation = "sparsemax",
        temperature: float = 0.07,
        max_length: int = 76,
        crop_scale: float = 0.9,
        optimization: Optimization = Optimization("adamw", lr=1e-4, weight_decay=0.1, warmup=0.05),
    ) -> None:
        super().__init__(optimization, crop_scale)
        if tokens < 2:
            raise ValueError(f"tokens must be at least 2, got {tokens}")
        self.attention = attention
        self.encoder = DiscreteTokens(
            image_encoder,
            text_encoder,
            projection_dim,
            tokens=tokens,
            temperature=attention.temperature,
            activation=activation,
            max_length=max_length,
        )
        self.scale = LogitScale(temperature)
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def loss(self, views: tuple[Tensor, list[str]]) -> Tensor:
        pictures, captions = self.embedded(views)
        return symmetric_info_nce(pictures, captions, temperature=self.scale.temperature)

    def after_step(self) -> None:
        self.scale.clamp()
        self.steps += 1
        self.encoder.temperature.fill_(self.attention.at(int(self.steps)))


def _queries(width: int, dim: int) -> nn.Sequential:
    """What a tower's tokens ask of the codebook."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, dim), nn.GELU(), nn.LayerNorm(dim), nn.Linear(dim, dim))
