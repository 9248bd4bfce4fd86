"""Hidden patches and hidden words of captioned images, guessed from one tower and from both (FLAVA)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder, Transformer, VisionTransformer, sine_positions
from nearfar.encoders.hidden_words import HiddenWords
from nearfar.encoders.location import LocationEncoder
from nearfar.encoders.tokens import Tokens
from nearfar.losses import masked_tokens
from nearfar.multimodal.method import DualEncoder
from nearfar.parts import LogitScale, TokenHead

__all__ = ["Guesses", "Hiding", "Joint", "PicturesOfPlaces", "Places", "Views", "Weights", "guessed", "transformer_of"]


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts; a part of 0 is not computed.

    Args:
        contrast: of images and captions.
        image: hidden patches, from the image alone.
        text: hidden words, from the caption alone.
        joint_image: hidden patches, from both.
        joint_text: hidden words, from both.
        matching: whether image and caption belong together; asked only where captions are exchanged.
        location: contrast of images and places; only where places are known.
    """

    contrast: float = 1.0
    image: float = 1.0
    text: float = 1.0
    joint_image: float = 1.0
    joint_text: float = 1.0
    matching: float = 1.0
    location: float = 1.0

    def __post_init__(self) -> None:
        if min(getattr(self, each.name) for each in fields(self)) < 0:
            raise ValueError(f"weights must be 0 or above, got {self}")


@dataclass(frozen=True)
class Hiding:
    """What is hidden from the encoders.

    Args:
        patches: share of an image's patches, in (0, 1), in blocks.
        words: share of a caption's words, in (0, 1).
        exchanged: share of the images that get another's caption, in [0, 1), for the matching loss; FLAVA's is 0.1.
        codes: size of the vocabulary of patches.
    """

    patches: float = 0.4
    words: float = 0.15
    exchanged: float = 0.0
    codes: int = 8192

    def __post_init__(self) -> None:
        if not (0 < self.patches < 1 and 0 < self.words < 1 and 0 <= self.exchanged < 1):
            raise ValueError(f"patches and words must be in (0, 1) and exchanged in [0, 1), got {self}")


@dataclass(frozen=True)
class Joint:
    """The transformer over both modalities.

    Args:
        width, depth, heads: of it; the image's and the text's states are projected to its width.
    """

    width: int = 768
    depth: int = 6
    heads: int = 12


@dataclass(frozen=True)
class Places:
    """The encoder of places, as SatCLIP has it.

    Args:
        degrees: of the spherical harmonics; few tell continents apart, many towns.
        hidden: width of its layers of sines.
        layers: how many there are.
        dropout: before each sine, in [0, 1).
    """

    degrees: int = 32
    hidden: int = 256
    layers: int = 2
    dropout: float = 0.5


class Views(NamedTuple):
    """Cropped images (N, 3, H, W), which patches are ``hidden`` (N, L), and the ``codes`` (N, L) of all of them; the
    captions whole and with ``words`` hidden; whether they ``match`` (N,); ``places`` (N, 2), NaN where unknown."""

    images: Tensor
    hidden: Tensor
    codes: Tensor
    text: Tokens
    words: HiddenWords
    match: Tensor
    places: Tensor | None


class Guesses(nn.Module):
    """What guesses hidden patches and words: a token in place of a patch, a transformer over both towers, and heads.

    Args:
        encoder: the towers, whose sizes it fits.
        joint: the transformer.
        codes: size of the vocabulary of patches.
        matching: whether it also guesses if image and caption belong together.
    """

    def __init__(self, encoder: DualEncoder, joint: Joint, codes: int, *, matching: bool) -> None:
        super().__init__()
        image, text, width = encoder.image.out_features, encoder.text.out_features, joint.width
        self.vocabulary = int(encoder.text.model.config.vocab_size)  # type: ignore[union-attr, arg-type]
        self.mask_token, self.whole = nn.Parameter(torch.empty(image)), nn.Parameter(torch.empty(width))
        nn.init.normal_(self.mask_token, std=0.02)
        nn.init.normal_(self.whole, std=0.02)
        self.from_image, self.from_text = nn.Linear(image, width), nn.Linear(text, width)
        self.joint = Transformer(width, joint.depth, joint.heads)
        self.patch, self.word = TokenHead(image, codes), TokenHead(text, self.vocabulary)
        self.patch_jointly, self.word_jointly = TokenHead(width, codes), TokenHead(width, self.vocabulary)
        self.matching = nn.Linear(width, 2) if matching else None

    def forward(self, encoder: DualEncoder, views: Views, of: Weights) -> dict[str, Tensor]:
        """The parts of the loss that hide something, those that count, before they are weighed."""
        terms: dict[str, Tensor] = {}
        matching = self.matching if of.matching else None
        jointly = of.joint_image or of.joint_text or matching is not None
        if not (of.image or of.text or jointly):
            return terms
        patches, words = views.codes.where(views.hidden, -1), views.words.labels
        image = self.image_states(encoder, views.images, views.hidden)
        text = encoder.text.hidden(views.words.tokens)
        if of.image:
            terms["image"] = guessed(self.patch, image[:, 1:], patches)
        if of.text:
            terms["text"] = guessed(self.word, text, words)
        if jointly:
            whole, image, text = self.joint_states(image, text, views.words.tokens.attention_mask)
            own = (views.match | ~views.match.any())[:, None]
            if of.joint_image:
                terms["joint_image"] = guessed(self.patch_jointly, image, patches.where(own, -1))
            if of.joint_text:
                terms["joint_text"] = guessed(self.word_jointly, text, words.where(own, -1))
            if matching is not None:
                terms["matching"] = masked_tokens(matching(whole), views.match.long())
        return terms

    def image_states(self, encoder: DualEncoder, images: Tensor, hidden: Tensor) -> Tensor:
        """Tokens (N, 1 + L, C) of images whose hidden patches are one learned token at their positions."""
        tower, door = transformer_of(encoder), encoder.image
        assert isinstance(door, ImageEncoder)
        patches = tower.patches(door.standardized(images))
        grid = images.shape[2] // tower.patch, images.shape[3] // tower.patch
        positions = sine_positions(*grid, patches.shape[2]).to(patches)
        return tower.encode(torch.where(hidden[..., None], self.mask_token + positions, patches))

    def joint_states(self, image: Tensor, text: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """States of the whole (N, C), of patches (N, L, C) and of words (N, T, C)."""
        first = self.whole.expand(len(image), 1, -1)
        tokens = torch.cat([first, self.from_image(image), self.from_text(text)], 1)
        padding = torch.cat([mask.new_zeros(len(image), 1 + image.shape[1]), mask == 0], 1).bool()
        states = self.joint(tokens, padding=padding)
        end = 1 + image.shape[1]
        return states[:, 0], states[:, 2:end], states[:, end:]


def guessed(head: nn.Module, states: Tensor, labels: Tensor) -> Tensor:
    """The loss of a head on the states (N, T, C) whose label (N, T) is not -1."""
    asked = labels >= 0
    return masked_tokens(head(states[asked]), labels[asked])


def transformer_of(encoder: DualEncoder) -> VisionTransformer:
    """The image tower behind its door, which takes patches.

    Raises:
        ValueError: it is none that can.
    """
    backbone = getattr(encoder.image, "backbone", None)
    if not isinstance(backbone, VisionTransformer):
        raise ValueError(
            f"patches are hidden, which {type(backbone).__name__} cannot: give vit-nano, vit-mini, vit-ti16, vit-s16, "
            "vit-b16, vit-l16 or a nearfar.encoders.VisionTransformer"
        )
    return backbone


class PicturesOfPlaces(nn.Module):
    """Image features and places in a space of their own.

    Args:
        features: width of the image features.
        dim: width of the space.
        places: the encoder of places.
    """

    def __init__(self, features: int, dim: int, places: Places) -> None:
        super().__init__()
        self.encoder = LocationEncoder(
            places.degrees, places.hidden, places.layers, dim, first_frequency=30.0, dropout=places.dropout
        )
        self.projection = nn.Linear(features, dim, bias=False)
        self.scale = LogitScale(0.07)

    def forward(self, features: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Both (N, dim), not normalised, of features (N, C) and places (N, 2), where NaN stands for some place."""
        return self.projection(features), self.encoder(places.nan_to_num()).to(features.dtype)
