"""SPACE-2: trees as released, the loss against its formula, halves of batches, and that trees are learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.losses import weighted_supcon
from nearfar.reproductions.arms import build, train
from nearfar.text.data import Sentences, load
from nearfar.text.data.dialogs import Dialogs, made
from nearfar.text.frames import VIEWS, elements, frame_of, frame_views, likeness, tree_similarity
from nearfar.text.methods.space2 import halves
from tests.losses.registry import draw
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("space-2", "tree_score"))
def test_trees_are_compared_as_released(case: ParityCase) -> None:
    with np.load(case.path, allow_pickle=False) as arrays:
        given = json.loads(str(arrays["in_frames_json"][()] if arrays["in_frames_json"].ndim == 0
                               else arrays["in_frames_json"][0]))  # fmt: skip
        scores, combined = arrays["out_scores"], arrays["out_combined"]
    frames = [frame_of(frame) for frame in given]
    found = tree_similarity(elements(frames)).numpy()
    off = ~np.eye(len(frames), dtype=bool)
    np.testing.assert_array_equal(found[:, off], scores[:, off])
    assert (found[:, ~off] == 1).all()
    np.testing.assert_allclose([[likeness(a, b) for b in frames] for a in frames], combined, rtol=1e-12)


@pytest.mark.parametrize("case", parity("space-2", "soft_supcon"))
def test_contrast_is_as_released_but_for_its_scale(case: ParityCase) -> None:
    a = case.load()
    z = torch.cat([a["in_features"][:, 0], a["in_features"][:, 1]])
    t = case.hyper["temperature"]
    weights = a["in_weights"].detach().repeat(2, 2)
    found = weighted_supcon(z, z, weights, temperature=t, exclude_self=True, normalize=False)
    assert_parity(case, a, found * t / case.hyper["base_temperature"], rtol=1e-6)


def test_views_of_a_tree() -> None:
    frame = frame_of({" Hotel": {"inform": {"area": [{"value": "North"}, "south"], "wifi": None}, "bye": {}}})
    sets = dict(zip(VIEWS, frame_views(frame), strict=True))
    assert sets["V"] == {("north",), ("south",)}
    assert sets["DI"] == {("hotel", "inform"), ("hotel", "bye")}
    assert sets["DIS"] == {("hotel", "inform", "area"), ("hotel", "inform", "wifi")}
    assert sets["ISV"] == {("inform", "area", "north"), ("inform", "area", "south")}
    assert not any(frame_views({"DEFAULT_DOMAIN".lower(): {}}))
    assert (elements([None, {}]) == -1).all()
    for wrong, said in (([1], "the frame is a list"), ({"a": {"b": 2}}, "intent 'b' is a int")):
        with pytest.raises(ValueError, match=said):
            frame_of(wrong)


def test_the_loss_is_its_formula() -> None:
    """Both kinds of dialogs, with every term written out."""
    data = made(80, seed=1)
    method = build("space-2", data, 0, dropout=0.0, words_weight=0.0, width=4, subspaces=("D", "ISV")).double()
    rows = np.concatenate([np.flatnonzero(data.annotated)[:2], np.flatnonzero(~data.annotated)[:3]])
    views = method.views(data.batch(rows))
    found = method.loss(views)["contrast"]
    z = method.project(method.encoder(views.both)).unflatten(1, (2, 4))
    z = torch.nn.functional.normalize(z, dim=2).detach()
    similar = tree_similarity(views.trees)[[0, 8]]
    expected = 0.0
    for group in (range(2), range(2, 5)):
        places = [*group, *(row + 5 for row in group)]
        for k in range(2):
            for a in places:
                others = [b for b in places if b != a]
                logits = {b: float(z[a, k] @ z[b, k]) / 0.07 for b in others}
                total = np.logaddexp.reduce([*logits.values()])
                f = {b: float(similar[k, a % 5, b % 5]) if group[0] == 0 else float(a % 5 == b % 5) for b in others}
                expected -= sum(f[b] * (logits[b] - total) for b in others) / sum(f.values()) / len(places) / 2
    assert float(found.detach()) == pytest.approx(expected, rel=1e-8)


def test_each_kind_is_half_of_a_batch() -> None:
    chosen = np.arange(21) % 7 == 0
    order = halves(chosen, np.random.default_rng(0))
    assert len(order) == 21
    assert chosen[order[0::2]].all()
    assert not chosen[order[1::2]].any()
    assert len(set(order[:6:2])) == 3
    data = made(60)
    method = build("space-2", data, 0)
    assert data.annotated[method.order(data, np.random.default_rng(0))].mean() == 0.5
    plain = Sentences(["a b", "c d", "e"])
    assert sorted(method.order(plain, np.random.default_rng(0))) == [0, 1, 2]
    assert torch.isfinite(sum(method.loss(method.views(plain.batch(np.arange(3)))).values()))


def test_it_learns_how_alike_trees_are() -> None:
    data = made(160, annotated=1.0)
    test = data.splits()["test"]
    some = np.arange(80)
    alike = tree_similarity(elements(test.batch(some).frames)).mean(0)
    method = build("space-2", data, 0, width=16, words_weight=0.0)

    def agreement() -> float:
        with method.frozen():
            vectors = torch.nn.functional.normalize(method.encode(test.batch(some)), dim=1)
        first, second = np.triu_indices(len(some), 1)
        return float(np.corrcoef((vectors @ vectors.t())[first, second], alike[first, second])[0, 1])

    before = agreement()
    train("space-2", method, data, 0, steps=16, batch_size=24)
    assert agreement() > before + 0.03


def test_dialogs_are_read(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    frame = {"Hotel": {"find": {"area": "north"}}}
    rows: list[dict] = [{"dialog": f"room {n}", "frame": frame} for n in range(20)]
    rows += [{"dialog": "as text", "frame": json.dumps(frame)}, {"dialog": "none", "frame": None}]
    rows += [{"dialog": "broken", "frame": "{"}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match="1 of 23 dialogs"):
        data = load(path)
    assert isinstance(data, Dialogs)
    assert data.annotated.tolist() == [True] * 21 + [False]
    assert data.batch(np.array([20])).frames == [{"hotel": {"find": {"area": ["north"]}}}]
    assert data.labels is not None
    assert data.labels[0] == "hotel: find"
    with pytest.raises(ValueError, match=r"subspaces are some of D, I, .*; got X"):
        build("space-2", data, 0, subspaces=["X"])
    with pytest.raises(ValueError, match="words_weight at least 0, got 768 and -1"):
        build("space-2", data, 0, width=768, words_weight=-1)


def test_numbers_are_exact_for_any_width() -> None:
    noise = (draw(6, 10, 5) * 3).long().clamp_min(-1)
    found = tree_similarity(noise)
    for k in range(10):
        sets = [{int(e) for e in row if e >= 0} for row in noise[:, k]]
        for i, j in ((i, j) for i in range(6) for j in range(6) if i != j):
            union = sets[i] | sets[j]
            assert float(found[k, i, j]) == (len(sets[i] & sets[j]) / len(union) if union else 0.0)
