"""CLC: dialogs as OD3 has them, what was said again, likelihoods by CTC, both losses, and that words are learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from nearfar import losses
from nearfar.audio.data import Sounds, load
from nearfar.audio.data.dialogs import DialogBatch, SpokenDialogs, Turn, likeness, made, reformulated
from nearfar.audio.methods.clc import CLC, averaged
from nearfar.audio.speech import Letters, SpeechEncoder, SpeechNet, log_likelihood
from nearfar.encoders.mel import Mel
from nearfar.reproductions.arms import build
from tests.losses.registry import draw


@pytest.fixture(scope="module")
def dialogs() -> SpokenDialogs:
    return made(8, held_out=2)


def test_generated_dialogs_hold_what_they_promise(dialogs: SpokenDialogs) -> None:
    batch = dialogs.batch(np.array([5, 0]))
    assert sum(batch.counts) == len(batch.turns) == len(batch.sounds.waves)
    assert [bool(turn.text) for turn in batch.turns] == [False] * batch.counts[0] + [True] * batch.counts[1]
    for turns in (*dialogs.dialogs, *dialogs.splits()["test"].dialogs):
        for turn, later in zip(turns, [*turns[1:], None], strict=True):
            if turn.correction:
                assert turn.correction in turn.nbest
                assert len(set(turn.nbest)) > 1
                assert later is not None
                assert later.text in ("", turn.correction)
            else:
                assert not turn.nbest
    assert set(dialogs.facts["letters"]) <= set(" aeiousfh")
    assert dialogs.contents()["turns"] != made(8, held_out=2, seed=1).contents()["turns"]
    with pytest.raises(ValueError, match="at least one for training"):
        made(0)
    with pytest.raises(ValueError, match="has 1 sounds for 2 turns"):
        SpokenDialogs(Sounds([np.ones(9)], 8000), [[Turn(), Turn()]])


def test_what_is_said_again_is_found() -> None:
    texts = ["book a table for two", "yes", "book the table for two", "book a table for two", ""]
    assert reformulated(texts) == {0: 2, 2: 3}
    assert reformulated(texts, gap=1) == {2: 3}
    assert reformulated(texts, least=1.0) == {}
    assert likeness("a b c d", "a x c") == 0.5
    assert likeness("", "") == 1


def test_od3_is_read(tmp_path: Path) -> None:
    import soundfile

    tones = np.sin(np.arange(4000) * np.array([[0.3], [0.5], [0.7]])).astype(np.float32) * 0.5
    for number, tone in enumerate(tones):
        soundfile.write(tmp_path / f"{number}.wav", tone, 8000)

    def voice(number: int, **more: object) -> dict:
        return {"v": {"path": f"{number}.wav", **more}}

    told = [{"text": "wrong"}, "play a song", ""]
    turns = [
        {"text": "play the song", "is_agent": False, "audio": voice(0, nbest=told)},
        {"text": "I did not understand", "is_agent": True, "audio": {}},
        {
            "text": "play the song!",
            "is_agent": False,
            "meta": {"is_induced_by_repeat_rephrase": True},
            "audio": voice(1, normalized_ground_truth="play the song", nbest=told),
        },
        {"text": "thanks", "is_agent": False, "audio": voice(9)},
    ]
    path = tmp_path / "od3_train.jsonl"
    rows = [{"sample_id": 1, "turns": turns}, {"sample_id": 2, "turns": [turns[0] | {"audio": voice(2)}]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"sample_id": 3, "turns": [7]}]))
    with pytest.warns(UserWarning, match="2 of 5 sounds"):
        found = load(path, max_bad=0.5)
    assert isinstance(found, SpokenDialogs)
    assert found.dialogs == [
        [Turn("play the song", ("wrong", "play a song"), "play the song"), Turn("play the song")],
        [Turn("play the song")],
    ]
    assert found.batch(np.array([0, 1])).counts == [2, 1]


def test_likelihoods_are_those_of_all_paths() -> None:
    """Against every path of three frames written out."""
    log_probs = draw(2, 3, 3).log_softmax(2)
    counts = torch.tensor([3, 2])
    found = log_likelihood(log_probs, counts, [[1, 2], [1]])
    letters = Letters("ab")

    def slow(rows: torch.Tensor, said: str) -> torch.Tensor:
        total = torch.zeros((), dtype=torch.float64)
        for path in np.ndindex(*[3] * len(rows)):
            if letters.written(path) == said:
                total = total + sum(rows[n, letter] for n, letter in enumerate(path)).exp()
        return total.log()

    torch.testing.assert_close(found[0], slow(log_probs[0], "ab"))
    torch.testing.assert_close(found[1], slow(log_probs[1, :2], "a"))
    assert letters.numbers("b?a") == [2, 1]
    assert Letters("a ").written([1, 1, 0, 1, 2, 0, 2, 1, 0]) == "aa a"
    with pytest.raises(ValueError, match="no letter is known"):
        Letters("")


def test_silence_behind_an_utterance_changes_nothing(dialogs: SpokenDialogs) -> None:
    torch.manual_seed(0)
    encoder = SpeechEncoder(SpeechNet(8, 6), Mel(bands=8, hop=0.02), 8000)
    sounds = dialogs.batch(np.array([0])).sounds
    states, counts = encoder(sounds)
    longest = int(sounds.lengths.argmin())
    length = int(sounds.lengths[longest])
    alone = sounds._replace(waves=sounds.waves[longest : longest + 1, :length], lengths=sounds.lengths[longest, None])
    one, frames = encoder(alone)
    assert int(frames) == int(counts[longest])
    # The second convolution sees one frame behind the end, which is silence or its bias.
    torch.testing.assert_close(one[0, : int(frames) - 3, :3], states[longest, : int(frames) - 3, :3])
    mean = averaged(torch.tensor([[[2.0], [4.0], [9.0]]]), torch.tensor([2]))
    assert mean.item() == 3
    with pytest.raises(ValueError, match="even number, got 5"):
        SpeechNet(8, 5)


def test_past_finds_future_and_single_turns_are_left_out() -> None:
    axes = torch.eye(4, dtype=torch.float64)
    turns = torch.stack([axes[i].expand(3, -1) for i in (0, 1, 2)]).clone()
    there = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0]]).bool()
    good = losses.past_future(turns, there, temperature=0.1)
    mixed = turns.clone()
    mixed[0, 1:], mixed[1, 1] = axes[1], axes[0]
    assert good < 1e-3 < losses.past_future(mixed, there, temperature=0.1)
    both = losses.past_future(mixed, there, temperature=0.1, symmetric=True)
    assert torch.isfinite(both)
    assert losses.past_future(turns, there & False, temperature=0.1) == 0
    alone = losses.past_future(turns[:1], there[:1], temperature=0.1)
    assert alone == 0
    scores, none = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    assert losses.nbest_agreement(scores, scores, none) == 0
    for wrong in (
        lambda: losses.past_future(turns[0], there, temperature=0.1),
        lambda: losses.nbest_agreement(scores, scores[:1], none),
    ):
        with pytest.raises(ValueError, match="must"):
            wrong()


def test_it_learns_words_and_from_what_is_not_written(dialogs: SpokenDialogs) -> None:
    method = build("clc", dialogs, 0, width=64)
    batch = dialogs.batch(np.arange(4))
    adam = torch.optim.Adam(method.parameters(), 3e-3)
    values: list[dict[str, float]] = []
    for _ in range(12):
        terms = method.loss(batch)
        adam.zero_grad()
        sum(terms.values()).backward()
        adam.step()
        values.append({name: float(term.detach()) for name, term in terms.items()})
    assert all(values[-1][name] < values[0][name] for name in ("ctc", "past", "nbest"))
    unwritten = DialogBatch(batch.sounds, batch.counts, [turn._replace(text="") for turn in batch.turns])
    terms = method.loss(unwritten)
    assert terms["ctc"] == 0 < terms["past"]
    assert method.encode(batch).shape == (4, 64)
    said = method.predict(batch)
    assert [len(turns) for turns in said] == batch.counts
    scores = method.evaluate(dialogs)
    assert set(scores) == {"wer", "wer failed", "letter error"} - (
        set() if any(t.correction for of in dialogs.splits()["test"].dialogs for t in of) else {"wer failed"}
    )
    assert set(scores.better.values()) == {"lower"}
    silent = SpokenDialogs(dialogs.sounds, [[Turn()] * len(of) for of in dialogs.dialogs])
    with pytest.raises(ValueError, match="nothing to compare with"):
        method.evaluate(silent)
    with pytest.raises(TypeError, match="has no spoken dialogs"):
        method.evaluate(Sounds([np.ones(9)], 8000))
    with pytest.raises(ValueError, match="rate is needed"):
        CLC(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"nbest_weight at least 0; got 128, 0.1 and -1"):
        build("clc", dialogs, 0, nbest_weight=-1)
