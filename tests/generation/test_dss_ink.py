"""DSS: inks from files, joined and cut, their likelihood, and texts written in a hand."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.generation.data import load
from nearfar.generation.data.drawn_ink import LETTERS, some_text, written_by
from nearfar.generation.data.ink import Ink, Inks
from nearfar.generation.inking import PER_LETTER, offsets, points_along
from nearfar.generation.method import Draws
from nearfar.generation.methods.dss_ink import DSSInk
from nearfar.generation.pieces import GAP, halves, joined, pieces, side_by_side
from nearfar.losses import ink_likelihood
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.generation.dss_ink import edits
from nearfar.testing import check_method
from nearfar.training import Optimization

SMALL: dict[str, Any] = {
    "alphabet": "cehilnotuvxz ",
    "width": 16,
    "style_width": 8,
    "style_dim": 4,
    "parts": 2,
    "windows": 2,
    "most_joined": 2,
    "optimization": Optimization("adam", lr=1e-2, weight_decay=0.0, clip=1.0),
}


@pytest.fixture(scope="module")
def drawn() -> Inks:
    return load("inks", examples=60)  # type: ignore[return-value]


def test_likelihood_of_one_part_is_that_of_its_gaussian() -> None:
    parameters = torch.tensor([[0.0, 0.3, -0.2, 0.1, -0.4, 0.5, 2.0, -3.0]])
    tilt = 0.95 * np.tanh(0.5)
    deviations = np.exp([0.1, -0.4])
    covariance = np.array(
        [[deviations[0] ** 2, tilt * deviations.prod()], [tilt * deviations.prod(), deviations[1] ** 2]]
    )
    normal = torch.distributions.MultivariateNormal(torch.tensor([0.3, -0.2]), torch.tensor(covariance).float())
    expected = -normal.log_prob(torch.tensor([1.0, 0.5])) + np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-3.0))
    found = ink_likelihood(parameters, torch.tensor([[1.0, 0.5, 1.0, 0.0]]))
    torch.testing.assert_close(found, expected.float())
    rows, steps = torch.randn(3, 5, 14), torch.randint(2, (3, 5, 4)).float()
    there = torch.arange(5) < torch.tensor([[5], [2], [3]])
    shown = torch.stack([ink_likelihood(rows[there][i], steps[there][i]) for i in range(10)]).mean()
    torch.testing.assert_close(ink_likelihood(rows, steps, there), shown)
    with pytest.raises(ValueError, match=r"parameters \(\.\.\., 6 K \+ 2\)"):
        ink_likelihood(torch.randn(2, 9), torch.zeros(2, 4))


def test_steps_lead_back_to_points(drawn: Inks) -> None:
    points = torch.from_numpy(drawn.points[0])
    steps = offsets(points)
    torch.testing.assert_close(points_along(steps), points, atol=1e-5, rtol=0)
    assert steps[:, 3].tolist() == [0.0] * (len(points) - 1) + [1.0]


def test_inks_stand_on_one_line_in_one_height(drawn: Inks) -> None:
    points = [drawn.points[0] * np.array([30, 30, 1], np.float32) + np.array([5, -70, 0], np.float32), drawn.points[1]]
    found = Inks(points, ["a", "b"], ["one", "two"])
    assert found.labels is not None
    for each in found.points:
        assert each[:, 0].min() == pytest.approx(0, abs=1e-5)
        assert np.ptp(each[:, 1]) == pytest.approx(1, abs=1e-5)
        assert np.median([stroke[:, 1].max() for stroke in Ink(each).strokes()]) == pytest.approx(0, abs=1e-5)
    unknown = Inks(points, ["a", "b"])
    assert unknown.labels is None
    assert unknown.batch(np.arange(2)).writers.tolist() == [-1, -1]
    with pytest.raises(ValueError, match="2 inks, 1 texts and 2 writers do not belong together"):
        Inks(points, ["a"])


def test_halves_and_joined_inks(drawn: Inks) -> None:
    ink = torch.from_numpy(drawn.points[2])
    first, second = halves(ink)
    assert torch.equal(torch.cat([first, second]), ink)
    assert first[-1, 2] == 1
    assert min(len(first), len(second)) >= 2
    one = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 1.0]])
    assert [len(half) for half in halves(one)] == [1, 2]
    both = joined([one, one], [0.5])
    assert both[:, 0].tolist() == [0.0, 1.0, 2.0, 2.5, 3.5, 4.5]
    lower = one + torch.tensor([3.0, 7.0, 0.0])
    assert side_by_side([one, lower], 1.0)[:, :2].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0]]


def test_texts_are_cut_at_spaces() -> None:
    assert pieces("to be or notwithstanding", 6) == ["to be", "or", "notwithstanding"]
    assert pieces("a b c", 5) == ["a b c"]
    assert pieces(" ", 5) == [" "]
    rng = np.random.default_rng(0)
    for length in (1, 3, 7, 24):
        text = some_text(rng, length)
        assert len(text) == length
        assert all(0 < len(word) <= 5 and set(word) <= {*LETTERS} for word in text.split(" "))
    assert (edits("tone", "tune"), edits("", "ab"), edits("abc", "ac")) == (1, 2, 1)


def test_views_join_inks_of_one_writer(drawn: Inks) -> None:
    method = DSSInk(**{**SMALL, "join": 1.0, "untold": 0.0})
    method.seed_step(0, 0)
    batch = written_by(3, 12, 1, "some").batch(np.arange(12))
    views = method.views(batch)
    assert views.told.all()
    for n, text in enumerate(views.texts):
        own = {batch.texts[i] for i in range(12) if batch.writers[i] == batch.writers[n]}
        assert text.startswith(batch.texts[n])
        assert text[len(batch.texts[n]) + 1 :] in own
        other = views.points[n][len(batch.points[n]) :]
        room = other[:, 0].min() - batch.points[n][:, 0].max()
        assert GAP[0] - 1e-4 <= room <= GAP[1] + 1e-4
    alone = DSSInk(**{**SMALL, "join": 0.0}).views(batch)
    assert alone.texts == batch.texts


def test_it_keeps_the_promises_of_the_house() -> None:
    short = written_by(4, 8, 2, "short", (3, 3))
    check_method(DSSInk, short, {**SMALL, "join": 0.3}, batch_size=4)


def test_the_writers_loss_does_not_reach_the_style(drawn: Inks) -> None:
    method = DSSInk(**SMALL)
    terms = method.loss(method.views(drawn.batch(np.arange(4))))
    grads = torch.autograd.grad(
        terms["pen"], [*method.encoder.style.parameters()], allow_unused=True, retain_graph=True
    )
    assert all(each is None for each in grads)
    assert all(g.abs().sum() > 0 for g in torch.autograd.grad(terms["style"], [method.encoder.style.out.weight]))
    assert set(DSSInk(**{**SMALL, "style_weight": 0.0}).loss(method.views(drawn.batch(np.arange(4))))) == {"pen"}


@pytest.fixture(scope="module")
def trained(drawn: Inks) -> Any:
    method = build("dss-ink", drawn, 0, **{**SMALL, "join": 0.2})
    before = method.eval().evaluate(drawn.subset(np.arange(8)))  # type: ignore[attr-defined]
    after = train("dss-ink", method.train(), drawn, 0, steps=12, batch_size=4)
    return before, after


def test_a_short_training_knows_more_of_the_pen(drawn: Inks, trained: Any) -> None:
    before, method = trained
    after = method.evaluate(drawn.subset(np.arange(8)))
    assert after["pen likelihood"] < before["pen likelihood"] - 0.5
    assert after.better == {"pen likelihood": "lower", "style retrieval": "higher"}
    assert int(method.encoder.longest) == int(np.ceil(np.quantile([len(text) for text in drawn.texts], 0.9)))


def test_a_text_is_written_alike_in_any_batch(drawn: Inks, trained: Any) -> None:
    method = trained[1].eval()
    batch = drawn.batch(np.arange(3))
    style, texts = method.encode(batch), ["cell ouch non", "eh", "zi lux"]
    method.max_letters = 4
    whole = method.write(texts, style, Draws(3, batch.rows))
    alone = method.write(texts[2:], style[2:], Draws(3, batch.rows[2:]))
    torch.testing.assert_close(whole[2], alone[0], atol=1e-4, rtol=1e-4)
    assert all(1 <= len(ink) <= PER_LETTER * (len(text) + 3) for ink, text in zip(whole, texts, strict=True))
    other = method.write(texts, style, Draws(4, batch.rows))
    assert not torch.equal(whole[1][:1], other[1][:1])


def test_files_of_inks(tmp_path: Path, drawn: Inks, trained: Any) -> None:
    path = tmp_path / "mine.jsonl"
    strokes = [[[0, 0], [0, 9.5]], [[4, 3], [6, 9]]]
    lines = [{"text": "li", "strokes": strokes, "writer": "me"}, {"text": "it", "strokes": strokes}]
    path.write_text("\n".join(map(json.dumps, lines * 6)))
    data = load(path)
    batch = data.batch(np.array([0, 1]))
    assert (batch.texts, batch.writers.tolist()) == (["li", "it"], [0, -1])
    assert batch.points[0][:, 2].tolist() == [0, 1, 0, 1]
    made = [*trained[1].generate(data.subset(np.arange(2)))]
    file = io.BytesIO()
    made[0].thing.save(file)
    assert file.getvalue().startswith(b"<svg ")
    assert made[0].said == {"text": "li"}
    assert made[0].thing.picture().shape[2] == 3
    path.write_text("\n".join(map(json.dumps, [*lines * 6, {"text": "it", "strokes": [[1, 2]]}])))
    with pytest.warns(UserWarning, match=r"1 of 13 inks .* its strokes are no lists of \[x, y\]"):
        assert len(load(path)) == 12
    path.write_text('{"text": "", "strokes": []}')
    with (
        pytest.warns(UserWarning, match="it has no text of 1 to 4000 letters"),
        pytest.raises(ValueError, match="no inks"),
    ):
        load(path, max_bad=1.0)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"join and untold must be in \[0, 1\]"):
        DSSInk(join=1.5)
    with pytest.raises(ValueError, match="the alphabet not empty"):
        DSSInk(alphabet="")
    with pytest.raises(TypeError, match="DSSInk works on InkBatch, and sprites gives PictureBatch"):
        next(DSSInk(**SMALL).generate(load("sprites", size=8, examples=8).subset(np.arange(2))))
