"""CLC: recognition of speech that also learns from dialogs which nobody wrote down."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.audio.data.dialogs import DialogBatch, SpokenDialogs, likeness
from nearfar.audio.speech import Letters, SpeechEncoder, SpeechNet, log_likelihood
from nearfar.common.share import agreed_most
from nearfar.encoders.mel import Mel
from nearfar.evaluation import word_error_rate
from nearfar.losses import nbest_agreement, past_future
from nearfar.sources.data import in_order
from nearfar.system import Scores
from nearfar.training import Data, Method, Optimization


class CLC(Method):
    """Contrastive learning for conversations (2024, ICASSP, arXiv 2401.02417).

    A recogniser is tuned by ``loss = CTC + past_weight * past-future + nbest_weight * n-best``. Past-future: what a
    dialog was so far finds what it became, among what other dialogs became. N-best: of a turn that failed and was said
    again, hypotheses are scored as much as they are like the words said again. Neither needs the turns' own words.

    The paper's losses are published in words and without code: pooling, weights, temperatures and the form of the
    n-best loss are reconstructions, and so are all defaults. A dialog's turns have one voice, so that past and future
    could be told by it, and the loss has no guard against that.

    Args:
        encoder: a network from spectrograms to states, see :class:`nearfar.audio.speech.SpeechNet`; one of ``width``
            when not given.
        rate: samples a second; taken from the data.
        letters: every letter that is written; taken from the data.
        width: of the network that is made.
        projection_dim: width of the space of past and future, at least 1.
        past_weight, nbest_weight: weights of the two losses, at least 0.
        temperature: divides the cosines of past and future, above 0.
        nbest_temperature: divides the likeness of hypotheses, above 0.
        symmetric: whether futures find pasts too.
        mel: what spectrograms are made with.
        optimization: AdamW with linear warm-up and decay.
    """

    verbs = ("embeds", "predicts")
    takes = DialogBatch
    can_collapse = False
    encoder: SpeechEncoder

    def __init__(
        self,
        encoder: nn.Module | None = None,
        rate: int | None = None,
        letters: str | None = None,
        *,
        width: int = 256,
        projection_dim: int = 128,
        past_weight: float = 0.1,
        nbest_weight: float = 0.1,
        temperature: float = 0.1,
        nbest_temperature: float = 0.1,
        symmetric: bool = False,
        mel: Mel = Mel(bands=40, hop=0.02),
        optimization: Optimization = Optimization("adamw", lr=1e-3, warmup=0.1, schedule="linear", clip=1.0),
    ) -> None:
        super().__init__(optimization)
        if rate is None:
            raise ValueError("rate is needed: the samples a second of the sounds")
        if projection_dim < 1 or min(past_weight, nbest_weight) < 0:
            raise ValueError(
                "projection_dim must be at least 1, past_weight and nbest_weight at least 0; got "
                f"{projection_dim}, {past_weight} and {nbest_weight}"
            )
        self.letters = Letters(letters or "")
        network = SpeechNet(mel.bands, width) if encoder is None else encoder
        self.encoder = SpeechEncoder(network, mel, rate)
        self.writer = nn.Linear(self.encoder.out_features, len(self.letters))
        self.project = nn.Linear(self.encoder.out_features, projection_dim)
        self.weights, self.symmetric = (past_weight, nbest_weight), symmetric
        self.temperatures = temperature, nbest_temperature

    def kept(self) -> nn.Module:
        return nn.ModuleDict({"encoder": self.encoder, "writer": self.writer})

    def loss(self, batch: DialogBatch) -> dict[str, Tensor]:
        states, frames = self.encoder(batch.sounds)
        told = self.writer(states).log_softmax(2)
        rows = [row for row, turn in enumerate(batch.turns) if turn.text]
        terms = {"ctc": told.sum() * 0}
        if rows:
            texts = [self.letters.numbers(batch.turns[row].text) for row in rows]
            terms["ctc"] = -(log_likelihood(told[rows], frames[rows], texts) / lengths(texts, told)).mean()
        if self.weights[0]:
            terms["past"] = self.weights[0] * self.past(self.project(averaged(states, frames)), batch.counts)
        if self.weights[1]:
            terms["nbest"] = self.weights[1] * self.nbest(told, frames, batch)
        return terms

    def past(self, turns: Tensor, counts: list[int]) -> Tensor:
        """Past-future of the turns (T, D) of dialogs with so many each."""
        most = agreed_most(max(counts), turns.device)
        padded = torch.stack([F.pad(of, (0, 0, 0, most - len(of))) for of in turns.split(counts)])
        there = torch.arange(most, device=turns.device) < torch.tensor(counts, device=turns.device).unsqueeze(1)
        every, held = self.gather(padded, there.to(torch.uint8))
        return past_future(every, held.bool(), temperature=self.temperatures[0], symmetric=self.symmetric)

    def nbest(self, told: Tensor, frames: Tensor, batch: DialogBatch) -> Tensor:
        """The n-best loss of turns that were said again, whose scores are log likelihoods."""
        failed = [row for row, turn in enumerate(batch.turns) if turn.correction and len(turn.nbest) > 1]
        if not failed:
            return told.sum() * 0
        most = max(len(batch.turns[row].nbest) for row in failed)
        empty = told.new_zeros(len(failed), most)
        places = [(n, k) for n, row in enumerate(failed) for k in range(len(batch.turns[row].nbest))]
        said = [batch.turns[failed[n]].nbest[k] for n, k in places]
        texts = [self.letters.numbers(text) for text in said]
        of = [failed[n] for n, _ in places]
        at = tuple(torch.tensor(places, device=told.device).t())
        found = log_likelihood(told[of], frames[of], texts)
        alike = [likeness(text, batch.turns[row].correction) for text, row in zip(said, of, strict=True)]
        filled = (empty.index_put(at, value) for value in (found, told.new_tensor(alike), torch.ones_like(found)))
        scores, quality, there = filled
        return nbest_agreement(scores, quality, there > 0, temperature=self.temperatures[1])

    def encode(self, batch: DialogBatch) -> Tensor:
        """The mean (N, D) over the turns of each dialog."""
        turns = averaged(*self.encoder(batch.sounds))
        return torch.stack([of.mean(0) for of in turns.split(batch.counts)])

    def predict(self, batch: DialogBatch) -> list[list[str]]:
        """Of each dialog what its turns say, the best letter at each frame."""
        states, frames = self.encoder(batch.sounds)
        best = self.writer(states).argmax(2)
        texts = iter([self.letters.written(row[:n].tolist()) for row, n in zip(best, frames.tolist(), strict=True)])
        return [[next(texts) for _ in range(count)] for count in batch.counts]

    def evaluate(self, data: Data, *, seed: int = 0) -> Scores:
        """``wer`` and ``letter error`` over held-out turns that are written down, and ``wer failed`` over those of them
        that were said again; all better lower.

        Raises:
            TypeError: no spoken dialogs. ValueError: none is written down.
        """
        held = data.splits().get("test", data)
        if not isinstance(held, SpokenDialogs):
            raise TypeError(f"{held.name} has no spoken dialogs")
        with self.frozen():
            found = [text for _, batch in in_order(held, 32) for turns in self.predict(batch) for text in turns]
        turns = [turn for of in held.dialogs for turn in of]
        pairs = [(turn, text) for turn, text in zip(turns, found, strict=True) if turn.text]
        if not pairs:
            raise ValueError(f"no turn of {held.name} is written down, so there is nothing to compare with")
        scores = {"wer": word_error_rate([turn.text for turn, _ in pairs], [text for _, text in pairs])}
        failed = [(turn.text, text) for turn, text in pairs if turn.correction]
        if failed:
            scores["wer failed"] = word_error_rate([a for a, _ in failed], [b for _, b in failed])
        said = [" ".join(turn.text.replace(" ", "_")) for turn, _ in pairs]
        scores["letter error"] = word_error_rate(said, [" ".join(text.replace(" ", "_")) for _, text in pairs])
        return Scores(scores, lower=[*scores])


def averaged(states: Tensor, counts: Tensor) -> Tensor:
    """The mean (N, D) over the frames (N, F, D) that are each utterance's."""
    there = torch.arange(states.shape[1], device=states.device) < counts.unsqueeze(1)
    return (states * there.unsqueeze(2)).sum(1) / counts.unsqueeze(1)


def lengths(texts: list[list[int]], like: Tensor) -> Tensor:
    """The letters of each text, at least 1."""
    return like.new_tensor([max(len(text), 1) for text in texts])
