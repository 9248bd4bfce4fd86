"""CoBIT: contrast, captions from pictures and pictures from captions, in one network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from nearfar.common.share import for_examples
from nearfar.encoders.tokens import PADDING, Tokens
from nearfar.losses import masked_tokens, symmetric_info_nce
from nearfar.multimodal.data.pairs import CaptionedImages
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.method import PairBatch
from nearfar.multimodal.pair_method import PairMethod
from nearfar.multimodal.unicoders import Sizes, UnicoderNetwork
from nearfar.multimodal.writing import Told
from nearfar.parts import LogitScale
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Data, Optimization
from nearfar.training.embed import to_device

SEEN = 1000
"""Pictures of whose patches the codes are made."""
JUDGED = 200
"""Pairs of a held-out set that are read word by word and code by code."""


@dataclass(frozen=True)
class Weights:
    """What each part of the loss counts; a part of 0 is not computed.

    Args:
        contrast: of pictures and captions.
        picture: of codes from captions.
        caption: of words from pictures.
    """

    contrast: float = 0.1
    picture: float = 0.2
    caption: float = 1.0

    def __post_init__(self) -> None:
        if min(self.contrast, self.picture, self.caption) < 0 or not self.contrast + self.picture + self.caption:
            raise ValueError(f"weights must be 0 or above, and one of them above, got {self}")


class Views(NamedTuple):
    """Cropped pictures with their ``codes`` (N, K), the captions' tokens, and which are drawn ``blind`` (N,)."""

    images: Tensor
    codes: Tensor
    tokens: Tokens
    blind: Tensor


class CoBIT(PairMethod):
    r"""You et al., 2023, arXiv 2303.13455.

    .. math::
        L = \lambda_c L_{CLIP} - \frac{\lambda_w}{T} \sum_t \log p(w_t \mid w_{<t}, \text{pixels})
            - \frac{\lambda_p}{K} \sum_k \log p(c_k \mid c_{<k}, \text{caption})

    A *unicoder* encodes a modality where all of its tokens see each other and decodes it where each sees those before
    it: the mask alone differs, the weights are shared. A decoder on top of both reads the decoded states of one
    modality and the encoded ones of the other. So one network embeds pictures and captions, writes captions of pictures
    and draws pictures of captions. A tenth of the captions is hidden from the drawing, so that it can be guided.

    No code is released; weights of the parts are from memory of the paper. Codes are centres of patches by k-means in
    place of a pretrained ViT-VQGAN, and words are those of the captions, whole. To retrieve alone, CLIP is cheaper.

    Args:
        projection_dim: width of the shared space.
        sizes: of the network.
        weights: of the parts of the loss.
        blind: share of the captions that the drawing does not see, in [0, 1).
        guidance: how much pictures are drawn away from what would be drawn without a caption; 1 for not at all.
        temperature: of the contrast, at the start; it is learned.
        crop_scale: smallest share of the image's area that the random square crop keeps, in (0, 1].
        optimization: how the parameters move.
    """

    verbs: ClassVar[tuple[str, ...]] = ("embeds", "generates")
    encoder: UnicoderNetwork

    def __init__(
        self,
        *,
        projection_dim: int = 512,
        sizes: Sizes = Sizes(),
        weights: Weights = Weights(),
        blind: float = 0.1,
        guidance: float = 2.0,
        temperature: float = 0.07,
        crop_scale: float = 0.9,
        optimization: Optimization = Optimization("adamw", lr=2e-4, weight_decay=0.045, beta2=0.96, warmup=0.01),
    ) -> None:
        super().__init__(optimization, crop_scale)
        if not 0 <= blind < 1:
            raise ValueError(f"blind must be in [0, 1), got {blind}")
        self.encoder = UnicoderNetwork(sizes, projection_dim)
        self.weights, self.blind, self.guidance = weights, blind, guidance
        self.scale = LogitScale(temperature)

    def begin(self, data: Any) -> None:
        rows = np.random.default_rng(self.seed).permutation(len(data))[:SEEN]
        self.encoder.fit(data.batch(np.sort(rows)).images, data.captions, self.seed)

    def views(self, batch: PairBatch) -> Views:  # type: ignore[override]
        images, captions = super().views(batch)
        drawn = for_examples(lambda n: torch.rand(n, generator=self.generator, device=self.device), len(images))
        tokens = self.encoder.vocabulary(captions)
        return Views(images, self.encoder.tokenizer.codes(images), tokens, drawn < self.blind)

    def loss(self, views: Views) -> dict[str, Tensor]:  # type: ignore[override]
        network, of = self.encoder, self.weights
        terms: dict[str, Tensor] = {}
        image = network.encode_images(views.images)
        text, padding = network.encode_text(views.tokens)
        if of.contrast:
            pairs = self.gather(network.of_image(image), network.of_text(text))
            terms["contrast"] = symmetric_info_nce(*pairs, temperature=self.scale.temperature)
        if of.caption:
            terms["caption"] = self.caption_loss(views, image)
        if of.picture:
            blind = views.blind[:, None, None]
            hidden = torch.ones_like(padding)
            hidden[:, 0] = False
            given = torch.where(blind, network.nothing.to(text.dtype), text)
            terms["picture"] = self.picture_loss(views, given, torch.where(blind[:, 0], hidden, padding))
        return {name: getattr(of, name) * term for name, term in terms.items()}

    def caption_loss(self, views: Views, given: Tensor) -> Tensor:
        """Cross-entropy of each next word, given encoded pictures."""
        ids = views.tokens.input_ids
        following = ids[:, 1:].masked_fill(ids[:, 1:] == PADDING, -1)
        return masked_tokens(self.encoder.next_words(ids[:, :-1], given), following)

    def picture_loss(self, views: Views, given: Tensor, padding: Tensor) -> Tensor:
        """Cross-entropy of each code, given encoded captions."""
        return masked_tokens(self.encoder.next_codes(views.codes[:, :-1], given, padding), views.codes)

    def after_step(self) -> None:
        self.scale.clamp()

    def generate(self, data: Data, *, seed: int = 0, batch_size: int = 32) -> Iterator[Told]:
        """A caption of each picture and a picture of each caption, of the first held-out set where there is one."""
        asked = next(iter(data.splits().values()), data)
        count = int(self.encoder.grid.prod())
        with self.frozen():
            for rows, batch in in_order(asked, batch_size):
                uniform = torch.tensor(np.stack([np.random.default_rng([seed, row]).random(count) for row in rows]))
                said = self.encoder.caption(to_device(batch.images, self.device))
                drawn = self.encoder.draw(batch.captions, uniform.to(self.device), self.guidance)
                pictures = drawn.permute(0, 2, 3, 1).cpu().numpy()
                for row, given, caption, picture in zip(rows, batch.captions, said, pictures, strict=True):
                    yield Told(int(row), given, caption, picture)

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """As :func:`nearfar.multimodal.evaluation.evaluate`, and the mean negative log-likelihood of a word and of a
        code of the first 200 pairs of each set."""
        scores = evaluate(self, data, seed=seed)
        for name, held in (dict(data.splits()) or {"data": data}).items():
            assert isinstance(held, CaptionedImages)
            with self.frozen():
                batch = to_device(held.batch(np.arange(min(JUDGED, len(held)))), self.device)
                tokens = self.encoder.vocabulary(batch.captions)
                codes = self.encoder.tokenizer.codes(batch.images)
                views = Views(batch.images, codes, tokens, torch.zeros(len(codes), dtype=torch.bool))
                words = self.caption_loss(views, self.encoder.encode_images(batch.images))
                drawn = self.picture_loss(views, *self.encoder.encode_text(tokens))
            found = {f"word nll {name}": float(words), f"code nll {name}": float(drawn)}
            scores.add(Scores(found, lower=found))
        return scores
