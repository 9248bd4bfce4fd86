"""C-REX: its terms against loops, its pictures and files, counting by command, and that it learns to count."""

from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from nearfar.cli import main
from nearfar.losses import token_supcon
from nearfar.reproductions.arms import build, train
from nearfar.segmentation.counting.counted import count_in, table
from nearfar.segmentation.counting.detection import Detection, most_similar
from nearfar.segmentation.counting.drawn import HELD_OUT, drawn_pictures
from nearfar.segmentation.counting.evaluation import CountErrors
from nearfar.segmentation.counting.network import matched
from nearfar.segmentation.counting.pictures import CountedPictures, Named
from nearfar.segmentation.data import load
from nearfar.segmentation.methods.c_rex import CREX
from nearfar.sources.skipped import BadDataError
from nearfar.training import Method

FEW = drawn_pictures(48, size=32, splits={"test": drawn_pictures(12, size=32, seed=1)})


def small(**changes: object) -> CREX:
    method = build("c-rex", FEW, 0, width=16, **changes)
    assert isinstance(method, CREX)
    return method


def views_of(method: CREX, rows: int = 4):
    method.seed_step(0, 0)
    return method.views(FEW.batch(np.arange(rows)))


def test_the_loss_is_its_terms() -> None:
    method = small(assignment="matched", contrast_start=0.0, contrast_weight=0.5, flip=0.0).eval()
    views = views_of(method)
    terms = method.loss(views)
    seen = method.encoder.see(views.images)
    logits, _ = method.encoder.logits(seen.tokens, views.phrases, views.owners)
    label = point = 0.0
    objects, contrast = 0, []
    for n in range(4):
        named = []
        for r in (views.owners == n).nonzero().flatten().tolist():
            mine, wanted = matched(logits[r], seen.points[n], views.points[r], class_cost=5.0, point_cost=100.0)
            assert sorted(wanted.tolist()) == list(range(len(views.points[r])))
            yes = torch.zeros(len(logits[r]), dtype=torch.bool)
            yes[mine] = True
            named.append(yes)
            right = torch.where(yes, logits[r].sigmoid(), 1 - logits[r].sigmoid())
            each = -((1 - right) ** 2) * right.log() * torch.where(yes, 0.6, 0.4)
            label += each.sum().item() / logits.numel()
            point += (seen.points[n][mine] - views.points[r][wanted]).abs().sum().item()
            objects += len(mine)
        contrast.append(token_supcon(method.projector(seen.tokens[n]), torch.stack(named)).item())
    assert terms["label"].item() == pytest.approx(100 * label, rel=1e-4)
    assert terms["point"].item() == pytest.approx(point / objects, rel=1e-4)
    assert terms["contrast"].item() == pytest.approx(0.5 * np.mean(contrast), rel=1e-4)


def test_assignment_is_the_cheapest() -> None:
    logits = torch.tensor([0.0, 3.0, 0.0])
    points = torch.tensor([[0.1, 0.1], [0.9, 0.9], [0.5, 0.5]])
    tokens, wanted = matched(logits, points, torch.tensor([[0.5, 0.5], [0.1, 0.1]]), class_cost=0.0, point_cost=1.0)
    assert dict(zip(tokens.tolist(), wanted.tolist(), strict=True)) == {0: 1, 2: 0}
    tokens, _ = matched(logits, points, torch.tensor([[0.5, 0.5]]), class_cost=10.0, point_cost=1.0)
    assert tokens.tolist() == [1]
    assert most_similar(logits[None], torch.tensor([1])).tolist() == [[False, True, False]]


def test_contrast_waits_and_can_be_another() -> None:
    assert "contrast" not in small(contrast_start=0.5).loss(views_of(small()))
    for contrast in ("tokens", "phrases"):
        method = small(contrast=contrast, contrast_start=0.0)
        terms = method.loss(views_of(method))
        torch.stack([*terms.values()]).sum().backward()
        moved = [p.grad is not None for p in method.projector.parameters()]
        assert all(moved) is (contrast == "tokens")


def test_mirrored_pictures_keep_their_points() -> None:
    method = small(flip=1.0)
    views, batch = views_of(method), FEW.batch(np.arange(4))
    torch.testing.assert_close(views.images, batch.images.flip(3).float() / 255)
    torch.testing.assert_close(views.points[0][:, 0], 1 - batch.points[0][0][:, 0])


def test_counts_and_points_are_judged() -> None:
    errors = CountErrors()
    errors.add(np.array([[0.1, 0.1], [0.5, 0.5]]), np.array([[0.12, 0.1]]))
    errors.add(np.zeros((0, 2)), np.array([[0.3, 0.3], [0.4, 0.4], [0.5, 0.5]]))
    scores = errors.scores("x")
    assert scores == {"mae x": 2.0, "rmse x": math.sqrt(5), "f1 x": pytest.approx(2 / 6)}
    assert scores.better == {"mae x": "lower", "rmse x": "lower", "f1 x": "higher"}


@pytest.fixture(scope="module")
def trained() -> tuple[CREX, dict[str, float], dict[str, float]]:
    method = small()
    before = method.eval().evaluate(FEW)
    train("c-rex", method.train(), FEW, 0, steps=60, batch_size=8)
    return method, before, method.evaluate(FEW)


def test_it_learns_where_things_are(trained: tuple[Method, dict, dict]) -> None:
    method, _, _ = trained
    method.threshold = 0.25
    batch = FEW.batch(np.arange(12))
    errors = CountErrors()
    with method.frozen():
        for said, true in zip(method.locate(batch), batch.points, strict=True):
            for found, there in zip(said, true, strict=True):
                errors.add(found.numpy(), there.numpy())
    assert errors.scores("x")["f1 x"] > 0.3
    assert method.encode(batch).std(0).mean() > 1e-3


def test_drawn_pictures_are_what_their_phrases_say() -> None:
    again = drawn_pictures(48, size=32)
    assert np.array_equal(FEW.pictures, again.pictures)
    named = {each.phrase for said in FEW.named for each in said}
    assert not named & {" ".join(each) for each in HELD_OUT}
    new = drawn_pictures(6, size=32, held_out=True)
    assert all(said[0].phrase in {" ".join(each) for each in HELD_OUT} for said in new.named)
    # The colour at a named point is the colour that is named.
    for pixels, said in zip(again.pictures, again.named, strict=True):
        colour = said[0].phrase.split()[0]
        x, y = said[0].points.round().astype(int).T
        red, green, blue = pixels[y.clip(0, 31), x.clip(0, 31)].mean(0)
        most = {"red": red, "green": green, "blue": blue}.get(colour, min(red, green) - blue)
        assert most >= max(red, green, blue) - 1 or colour == "yellow"
        assert most > 0


def test_files_are_read_and_counted(tmp_path: Path, trained, capsys) -> None:
    rows = []
    for n in range(3):
        cv2.imwrite(str(tmp_path / f"{n}.png"), FEW.pictures[n][:24, :, ::-1])
        for each in FEW.named[n]:
            points = [p for p in each.points.tolist() if p[1] < 24]
            rows.append(
                {"image": f"{n}.png", "phrase": each.phrase, "points": points, "split": "test" if n else "train"}
            )
    rows.append({"image": "0.png", "phrase": " ", "points": []})
    path = tmp_path / "counts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.warns(UserWarning, match=r"1 of 10 phrases .* line 10: the phrase is empty"):
        data = load(path, size=32)
    assert (len(data), list(data.splits())) == (1, ["test"])
    batch = data.batch(np.array([0]))
    assert batch.images.shape == (1, 3, 32, 32)
    assert not batch.images[:, :, 24:].any()
    assert torch.equal(batch.points[0][0], torch.tensor(rows[0]["points"]).reshape(-1, 2) / 32)

    method, _, _ = trained
    found = count_in(method, [tmp_path / "1.png"], ["red circles", "large squares"], 32)
    assert [each.phrase for each in found] == ["red circles", "large squares"]
    assert len(table(found)["x"]) == sum(len(each.points) for each in found)
    with pytest.raises(ValueError, match=r"the phrase '!' has no words; say what is to be counted"):
        count_in(method, [tmp_path / "1.png"], ["!"], 32)
    assert main(["count", str(tmp_path), str(tmp_path / "1.png"), "--phrase", "x", "-o", "points.txt"]) == 2
    assert "--out must end in .csv or .parquet, got points.txt" in capsys.readouterr().err


def test_rec8k_as_released(tmp_path: Path) -> None:
    (tmp_path / "anno").mkdir()
    (tmp_path / "rec-8k").mkdir()
    cv2.imwrite(str(tmp_path / "rec-8k" / "a.png"), FEW.pictures[0])
    said = {"a.png": {"red cars": {"points": [[3, 4], [10, 12]], "class": "car"}, "blue cars": {"points": []}}}
    splits = {"train": [["a.png", "red cars"], ["a.png", "blue cars"]], "val": [["a.png", "blue cars"]]}
    (tmp_path / "anno" / "annotations.json").write_text(json.dumps(said))
    (tmp_path / "anno" / "splits.json").write_text(json.dumps(splits))
    data = load(tmp_path, size=64)
    assert [n.phrase for n in data.named[0]] == ["red cars", "blue cars"]
    assert list(data.splits()) == ["val"]
    assert torch.equal(data.batch(np.array([0])).points[0][0], torch.tensor([[3.0, 4.0], [10.0, 12.0]]) / 32)


def test_bad_input_is_named(tmp_path: Path) -> None:
    pictures = FEW.pictures[:1]
    with pytest.raises(ValueError, match=r"picture 0: the phrase '\?' has no words"):
        CountedPictures(pictures, [[Named("?", np.zeros((0, 2)))]])
    with pytest.raises(ValueError, match=r"the points of 'cars' must be pairs of numbers"):
        CountedPictures(pictures, [[Named("cars", np.zeros((2, 3)))]])
    with pytest.raises(ValueError, match="picture 0: it has no phrase"):
        CountedPictures(pictures, [[]])
    cv2.imwrite(str(tmp_path / "a.png"), pictures[0])
    beyond = CountedPictures([tmp_path / "a.png"], [[Named("cars", np.array([[40.0, 2.0]]))]], size=16)
    with pytest.raises(BadDataError, match=r"a point at \[40.0, 2.0\], which lies outside of the picture"):
        beyond.batch(np.array([0]))
    with pytest.raises(ValueError, match="level must be one of the backbone's maps, 0 to 3, got 4"):
        small(level=4)
    with pytest.raises(ValueError, match="contrast must be 'tokens', 'phrases' or 'none'"):
        CREX("small-pyramid", text="words", width=16, contrast="words")
    with pytest.raises(ValueError, match="costs and weights of detection must be at least 0"):
        Detection(point_cost=-1.0)
    (tmp_path / "t.json").write_text('[{"image": "a.png", "phrase": "cars"}]')
    with pytest.raises(ValueError, match=r"t.json has the columns image, phrase; expected one of image"):
        load(tmp_path / "t.json")
