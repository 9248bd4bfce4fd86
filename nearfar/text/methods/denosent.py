"""DenoSent: a sentence's vector must also suffice to restore the sentence."""

from __future__ import annotations

import itertools
from typing import Literal, NamedTuple, get_args

from torch import Tensor, nn

from nearfar.encoders.text import Pooling
from nearfar.encoders.tokens import HashTokenizer, Tokens
from nearfar.encoders.word_head import with_word_head
from nearfar.losses import info_nce, masked_tokens
from nearfar.text.blanks import BlankEncoder, BlankTokenizer, words_of
from nearfar.text.method import TextBatch, TextMethod
from nearfar.text.restoring import Restorer, Restoring
from nearfar.training import Optimization
from nearfar.training.steps import Terms

Restored = Literal["partner", "sentence"]


class Read(NamedTuple):
    """Tokens of sentences, partners and contradictions one after another, and how many lists they are."""

    tokens: Tokens
    lists: int


class DenoSent(TextMethod):
    """Wang et al., 2024, AAAI, arXiv 2401.13621.

    Contrast says how a sentence differs from others, and denoising what is in it. A small decoder gets one side's
    vector and the other side's embedded words, of which dropout leaves a sixth, and has to name every word:
    ``loss = contrast_weight * InfoNCE + denoising_weight * cross-entropy``. Both go through one linear layer, which is
    not used afterwards. A sentence is read in a prompt, and its vector is the state of the prompt's blank; the words
    of the prompt are restored too.

    The two sides are a sentence and its partner, which the paper makes by translation forth and back; where the data
    has none, a sentence under two dropout masks. The weights, the temperature and the rate are those of the released
    command; the paper writes a plain sum, 0.03 and 5e-5. A released row of sentences is cut to ``max_length`` with its
    two marks, here without them.

    Args:
        encoder: sentence encoder of a kind that transformers has a masked language model of, by name (``hf:<model>``
            for a pretrained one, with its head) or as a ``TextEncoder``, whose head is then random.
        pooling: ``mask``, or one of the usual, of the sentence without a prompt.
        template: what is read with ``mask``, with ``{sentence}`` and then ``[MASK]`` in it.
        restoring: the decoder.
        restored: which side's words are restored from the other side's vector.
        contrast_weight, denoising_weight: weights of the two terms, at least 0; 0 leaves a term out.
        temperature: divides the cosine similarities, above 0.
        max_length: tokens kept per sentence, the prompt not counted.
        dropout: probability of every dropout in the encoder; its own when not given.
        optimization: AdamW at a constant rate after 500 of 5,000 steps of warm-up.
    """

    def __init__(
        self,
        encoder: str | nn.Module = "hf:bert-base-uncased",
        *,
        pooling: Pooling | Literal["mask"] = "mask",
        template: str = '"{sentence}" means [MASK].',
        restoring: Restoring = Restoring(),
        restored: Restored = "partner",
        contrast_weight: float = 5.0,
        denoising_weight: float = 7.0,
        temperature: float = 0.05,
        max_length: int = 32,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=4e-5, weight_decay=0.0, schedule="constant", warmup=0.1),
    ) -> None:
        if restored not in get_args(Restored):
            raise ValueError(f"restored must be one of {', '.join(get_args(Restored))}; got {restored!r}")
        if min(contrast_weight, denoising_weight) < 0 or not contrast_weight + denoising_weight:
            raise ValueError(
                "contrast_weight and denoising_weight must be at least 0 and not both 0; got "
                f"{contrast_weight} and {denoising_weight}"
            )
        longest = max_length + (len(HashTokenizer().words(template)) + 2) * (pooling == "mask")
        plain: Pooling = "avg" if pooling == "mask" else pooling
        found, head = with_word_head(encoder, pooling=plain, max_length=longest, dropout=dropout)
        if pooling == "mask":
            found = BlankEncoder(found.model, BlankTokenizer(words_of(found), template, max_length))
        super().__init__(found, plain, max_length, dropout, optimization)
        self.word_head = head
        self.projector = nn.Linear(self.features, self.features)
        self.restorer = Restorer(self.features, restoring)
        self.restored, self.temperature = restored, temperature
        self.weights = contrast_weight, denoising_weight

    def views(self, batch: TextBatch) -> Read:
        """Sentences, their partners (themselves where there are none), and contradictions where there are some."""
        lists = [batch.sentences, batch.positives or batch.sentences, *([batch.negatives] if batch.negatives else ())]
        return Read(self.encoder.tokenize([*itertools.chain(*lists)]), len(lists))  # type: ignore[operator]

    def loss(self, views: Read) -> Terms:
        vectors, embedded = self.encoder.entered(views.tokens)  # type: ignore[operator]
        return self.terms(vectors, embedded, views)

    def terms(self, vectors: Tensor, embedded: Tensor, views: Read) -> dict[str, Tensor]:
        """Both terms, of the vectors (L * N, D) and embedded words (L * N, T, D) of L lists of sentences."""
        sides = self.projector(vectors).chunk(views.lists)
        contrast, denoising = self.weights
        found = {}
        if contrast:
            first, second, *negatives = self.gather(*sides)
            hard = negatives[0] if negatives else None
            found["contrast"] = contrast * info_nce(first, second, temperature=self.temperature, negatives=hard)
        if denoising:
            known, wanted = (0, 1) if self.restored == "partner" else (1, 0)
            ids, mask = (part.chunk(views.lists)[wanted] for part in views.tokens)
            states = self.restorer(sides[known], embedded.chunk(views.lists)[wanted], mask)
            found["denoising"] = denoising * masked_tokens(self.word_head(states), ids.masked_fill(mask == 0, -1))
        return found
