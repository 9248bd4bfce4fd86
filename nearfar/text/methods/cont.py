"""CoNT: a generator ranks its own candidates as their n-grams rank them, and chooses by that afterwards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.common.randomness import seed_torch
from nearfar.encoders.seq2seq import Seq2SeqLM, diverse_candidates, encoded, seq2seq_model
from nearfar.encoders.tokens import Tokens
from nearfar.losses import ranked_margin
from nearfar.system import Scores
from nearfar.text.candidates import Ranked, Ranking, Search, averaged, chosen_beams, ranked
from nearfar.text.method import TextBatch
from nearfar.text.written import writing_scores, written
from nearfar.training import Data, Method, Optimization
from nearfar.training.steps import Phase, Terms


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
        return ranked(gold, own, kept=how.kept, pad=pad)

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
        seed_torch(seed, self.device)  # nothing is drawn today
        yield from written(self, data)

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """See :func:`nearfar.text.written.writing_scores`."""
        return writing_scores([*self.generate(data, seed=seed)], data)
