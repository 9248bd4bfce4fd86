"""CoNT: a generator ranks its own candidates as their n-grams rank them, and chooses by that afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.randomness import seed_torch
from nearfar.encoders.seq2seq import Seq2SeqLM, diverse_candidates, encoded, seq2seq_model
from nearfar.encoders.tokens import Tokens
from nearfar.losses import ranked_margin
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.text.method import TextBatch
from nearfar.text.overlap import bleu, ngram_overlap
from nearfar.training import Data, Method, Optimization
from nearfar.training.steps import Phase, Terms

COPY = 0.99
"""A candidate whose overlap is above this is the reference itself, which ranks first already."""


@dataclass(frozen=True)
class Ranking:
    """What is compared with the reference, and how.

    Args:
        sampled: candidates that the model writes for each source.
        diversity: penalty of a token that another candidate has at the same place, at least 0.
        kept: candidates of each source, the reference counted.
        margin: for each rank, at least 0.
        tie: overlaps that differ by no more are equal.
    """

    sampled: int = 12
    diversity: float = 2.0
    kept: int = 16
    margin: float = 0.01
    tie: float = 0.01


@dataclass(frozen=True)
class Search:
    """How texts are written afterwards.

    Args:
        beams: of the beam search, at least 1.
        balance: weight of the similarity against the likelihood, in [0, 1].
        length_penalty: exponent of the length that a beam's log-probability is divided by.
    """

    beams: int = 8
    balance: float = 0.5
    length_penalty: float = 1.0


class Ranked(NamedTuple):
    """A source's tokens, its target's ids (B, T), and with ranks candidates (B, K, T'), overlaps and which count."""

    source: Tokens
    target: Tensor
    candidates: Tensor | None = None
    oracle: Tensor | None = None
    valid: Tensor | None = None


class CoNT(Method):
    """An et al., 2022, NeurIPS, arXiv 2205.14690.

    The model first learns by likelihood alone. Then it also writes candidates for every source by diverse beam search;
    they, the batch's targets and the source's own target are ranked by bigrams in common with the own target, and the
    similarities of source and candidate, cosines of averaged and projected states, must follow that order:
    ``loss = NLL + sum over distances in rank of a margin``. Candidates are as far from the target as the model itself
    goes wrong, where likelihood only ever sees right beginnings. Afterwards the beam is chosen by likelihood and
    similarity together.

    The release trains the second part with an optimiser of its own; here the rate is scaled where it begins.
    Candidates that repeat the target are left out, where the release ranks them last.

    Args:
        model: encoder-decoder, by name (``hf:<model>`` for a pretrained one) or as a ``Seq2SeqLM``.
        words: what a model with random weights can read and write; the data's words when not given.
        ranking: candidates and margins.
        search: how texts are written.
        likelihood: share of the run that learns by likelihood alone, in [0, 1].
        contrast_rate: the rate after that, as a share of the one before (2e-5 after 1e-3 in the paper).
        source_length, target_length: tokens that are read and written at most.
        dropout: of every dropout in the model; its own when not given.
        optimization: of the likelihood's part; the release has Adafactor.
    """

    verbs = ("generates",)
    takes = TextBatch
    can_collapse = False

    def __init__(
        self,
        model: str | Seq2SeqLM = "hf:google-t5/t5-small",
        *,
        words: Sequence[str] | None = None,
        ranking: Ranking = Ranking(),
        search: Search = Search(),
        likelihood: float = 0.5,
        contrast_rate: float = 0.02,
        source_length: int = 512,
        target_length: int = 128,
        dropout: float | None = None,
        optimization: Optimization = Optimization("adamw", lr=1e-3, weight_decay=0.0, schedule="constant"),
    ) -> None:
        super().__init__(optimization)
        if not (0 <= likelihood <= 1 and 0 <= search.balance <= 1):
            raise ValueError(f"likelihood and balance must be in [0, 1], got {likelihood} and {search.balance}")
        if ranking.kept < 2 or min(ranking.sampled, search.beams) < 1 or min(source_length, target_length) < 2:
            raise ValueError("at least 2 candidates are kept, 1 sampled, 1 beam searched and 2 tokens read and written")
        self.lm = seq2seq_model(model, words=words, dropout=dropout)
        self.encoder = self.lm.model
        width = self.lm.model.config.hidden_size
        self.head = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.head.weight)
        self.ranking, self.search = ranking, search
        self.lengths = source_length, target_length
        both = Phase("likelihood", likelihood), Phase("contrast", lr_scale=contrast_rate)
        self.phases = both[:1] if likelihood == 1 else both

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"model": self.encoder, "head": self.head})

    def views(self, batch: TextBatch) -> Ranked:
        """The source, its target, and once the likelihood's part is over candidates with their overlaps."""
        if batch.positives is None:
            raise ValueError("CoNT needs a target for each source, and this data has none; give source and target")
        source = encoded(self.lm, batch.sentences, self.lengths[0])
        target = encoded(self.lm, batch.positives, self.lengths[1]).input_ids
        if self.phase == "likelihood":
            return Ranked(source, target)
        return Ranked(source, target, *self.candidates(source, self.started(target)))

    def candidates(self, source: Tokens, gold: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The target (B, T) and the best other candidates, (B, K, T'), with overlaps (B, K) and which of them count."""
        how, pad = self.ranking, self.lm.tokenizer.pad_token_id
        with self.frozen():
            own = diverse_candidates(
                self.lm, source, groups=how.sampled, penalty=how.diversity, max_length=self.lengths[1]
            )
        width = max(own.shape[2], gold.shape[1])
        own, gold = (F.pad(ids, (0, width - ids.shape[-1]), value=pad) for ids in (own, gold))
        others = torch.cat([own, gold.expand(len(gold), *gold.shape)], 1)
        overlap = ngram_overlap(gold, others, pad)
        overlap[overlap > COPY] = -1.0
        best, rows = overlap.topk(min(how.kept - 1, overlap.shape[1]), 1)
        chosen = others.gather(1, rows.unsqueeze(2).expand(-1, -1, width))
        oracle = torch.cat([torch.ones_like(best[:, :1]), best], 1)
        return torch.cat([gold.unsqueeze(1), chosen], 1), oracle, oracle >= 0

    def loss(self, views: Ranked) -> Terms:
        source, labels = views.source, views.target.masked_fill(views.target == self.lm.tokenizer.pad_token_id, -100)
        states = self.lm.model.get_encoder()(input_ids=source.input_ids, attention_mask=source.attention_mask)
        likelihood = self.lm.model(encoder_outputs=states, attention_mask=source.attention_mask, labels=labels).loss
        if views.candidates is None or views.oracle is None:
            return {"likelihood": likelihood}
        similar = self.similarity(states.last_hidden_state, source.attention_mask, views.candidates)
        how = self.ranking
        contrast = ranked_margin(similar, views.oracle, views.valid, margin=how.margin, tie=how.tie)
        return {"likelihood": likelihood, "contrast": contrast}

    def similarity(self, states: Tensor, mask: Tensor, candidates: Tensor) -> Tensor:
        """Cosines (B, K) of a source's encoder states (B, S, D) and the decoder's for candidates (B, K, T)."""
        count = candidates.shape[1]
        ids = candidates.flatten(0, 1)
        decoded = self.lm.model.get_decoder()(
            input_ids=ids,
            encoder_hidden_states=states.repeat_interleave(count, 0),
            encoder_attention_mask=mask.repeat_interleave(count, 0),
        ).last_hidden_state
        there = ids != self.lm.tokenizer.pad_token_id
        there[:, 0] = True
        written = averaged(self.head(decoded), there).unflatten(0, (-1, count))
        return F.cosine_similarity(averaged(self.head(states), mask).unsqueeze(1), written, dim=2)

    def started(self, ids: Tensor) -> Tensor:
        """The ids (B, T) with the start token before them."""
        return F.pad(ids, (1, 0), value=self.lm.model.config.decoder_start_token_id)

    @torch.no_grad()
    def write(self, sources: Sequence[str]) -> list[str]:
        """The text of each source whose beam has the best likelihood and similarity together."""
        source, how = encoded(self.lm, sources, self.lengths[0]), self.search
        found = self.lm.model.generate(
            **source._asdict(), num_beams=how.beams, num_return_sequences=how.beams, do_sample=False,
            max_new_tokens=self.lengths[1], length_penalty=how.length_penalty, output_scores=True,
            return_dict_in_generate=True,
        )  # fmt: skip
        texts = self.lm.tokenizer.batch_decode(found.sequences, skip_special_tokens=True)
        if how.beams == 1:
            return texts
        beams = found.sequences.view(len(sources), how.beams, -1)
        states = self.lm.model.get_encoder()(**source._asdict()).last_hidden_state
        best = chosen_beams(
            found.sequences_scores.view(len(sources), how.beams),
            self.similarity(states, source.attention_mask, beams),
            how.balance,
        )
        return [texts[row * how.beams + beam] for row, beam in enumerate(best.tolist())]

    def generate(self, data: Data, *, seed: int = 0) -> Iterator[dict[str, Any]]:
        """One mapping a source: ``id``, ``source``, ``text`` and, where it is known, ``target``."""
        held = data.splits().get("test", data)
        seed_torch(seed, self.device)  # nothing is drawn today
        for rows, batch in in_order(held, 32):
            with self.frozen():
                texts = self.write(batch.sentences)
            targets = batch.positives or [None] * len(texts)
            for row, text, source, target in zip(rows.tolist(), texts, batch.sentences, targets, strict=True):
                yield {"id": row, "source": source, "text": text, **({} if target is None else {"target": target})}

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``bleu`` of words, ``exact``: the share of texts that are their target, and ``words``: how long they are."""
        made = [*self.generate(data, seed=seed)]
        if "target" not in made[0]:
            raise ValueError(f"{data.name} has no targets to compare with; give a table of source and target")
        texts, targets = [row["text"] for row in made], [row["target"] for row in made]
        scores = Scores(neither=["words"])
        scores["bleu"] = bleu(texts, targets)
        scores["exact"] = sum(a == b for a, b in zip(texts, targets, strict=True)) / len(texts)
        scores["words"] = sum(len(text.split()) for text in texts) / len(texts)
        return scores


def averaged(projected: Tensor, there: Tensor) -> Tensor:
    """The mean (N, D) of rectified states (N, T, D) over all tokens but the last of those that are ``there`` (N, T)."""
    before_last = there.cumsum(1) < there.sum(1, keepdim=True)
    weights = (before_last & (there > 0)).unsqueeze(2).to(projected.dtype)
    return (F.relu(projected) * weights).sum(1) / weights.sum(1).clamp_min(1)


def chosen_beams(logps: Tensor, similarities: Tensor, balance: float) -> Tensor:
    """Row by row the beam (N,) with the largest sum of its share of log-probability and its similarity, (N, K) each."""
    return ((1 - balance) * logps / (-logps).sum(1, keepdim=True) + balance * similarities).argmax(1)
