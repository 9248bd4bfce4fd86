"""Triplets of composed retrieval: where they come from, how they are measured."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from nearfar.multimodal.composed import Combiner, Composer, composed_recall
from nearfar.multimodal.data import Triplets, load
from nearfar.multimodal.data.composed import template_triplets
from nearfar.multimodal.data.composed_scenes import MEANING, composed_scenes
from nearfar.multimodal.method import DualEncoder


def test_a_change_is_of_one_attribute_and_says_so() -> None:
    made = composed_scenes(6, seed=3, edits=3)
    again = composed_scenes(6, seed=3, edits=3)
    assert np.array_equal(made.images, again.images)
    assert made.changes == again.changes
    assert len(made.images) == 6 + len(made.changes)
    assert set(made.kinds) <= set(MEANING)
    for reference, target in zip(made.references, made.targets, strict=True):
        changed = (made.images[reference] != made.images[target]).any(-1).mean()
        assert changed > 0
    for kind, words, target in zip(made.kinds, made.changes, made.targets, strict=True):
        if kind in ("color", "shape"):
            assert words.split()[-1] in made.captions[target] or words.split()[1] in made.captions[target]


def test_pictures_of_a_gallery_mean_different_things() -> None:
    made = composed_scenes(30, seed=1, split="test_seen", edits=4, distinct=True)
    pictures = {picture.tobytes() for picture in made.images}
    assert len(pictures) == len(made.images)
    assert np.bincount(made.references).max() <= 4
    with pytest.raises(ValueError, match="edits must be at least 1, got 0"):
        composed_scenes(2, edits=0)


class Pixels(Composer):
    """Embeds a picture as its mean colour, and does to it what the change says."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _Colours()  # type: ignore[assignment]

    def compose(self, images: Tensor, changes: object) -> Tensor:
        return self.encoder.embed_images(images) + torch.stack([_COLOURS[c] for c in changes])  # type: ignore[attr-defined]


_COLOURS = {"redder": torch.tensor([9.0, 0, 0]), "bluer": torch.tensor([0, 0, 9.0])}


class _Colours(DualEncoder):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.unused = nn.Parameter(torch.zeros(1))

    def embed_images(self, images: Tensor) -> Tensor:
        return images.float().mean((2, 3)) / 255


def colours() -> np.ndarray:
    """A grey, a red, a blue and a darker grey picture."""
    values = [[100, 100, 100], [255, 0, 0], [0, 0, 255], [90, 90, 90]]
    return np.broadcast_to(np.array(values, np.uint8)[:, None, None], (4, 8, 8, 3)).copy()


def test_the_reference_is_no_answer() -> None:
    data = Triplets(colours(), np.array([0, 0]), ["redder", "bluer"], np.array([1, 2]))
    assert composed_recall(Pixels().eval(), data, (1, 2)) == {"R@1": 1.0, "R@2": 1.0}
    swapped = Triplets(colours(), np.array([0, 0]), ["bluer", "redder"], np.array([1, 2]))
    assert composed_recall(Pixels().eval(), swapped, (1,)) == {"R@1": 0.0}
    nearest_is_itself = Triplets(colours(), np.array([1]), ["redder"], np.array([0]))
    assert composed_recall(Pixels().eval(), nearest_is_itself, (1,)) == {"R@1": 1.0}


def test_the_combiner_is_its_formula() -> None:
    torch.manual_seed(0)
    combiner = Combiner(6, projection=10, hidden=8).double().eval()
    image, text = torch.randn(4, 6).double(), torch.randn(4, 6).double()
    rows = []
    for v, t in zip(image, text, strict=True):
        both = torch.cat([combiner.text[0](t).clamp(min=0), combiner.image[0](v).clamp(min=0)])
        share = torch.sigmoid(combiner.balance[1](combiner.balance[0][0](both).clamp(min=0)))
        joint = combiner.joint[1](combiner.joint[0][0](both).clamp(min=0))
        q = joint + share * t + (1 - share) * v
        rows.append(q / q.norm())
    torch.testing.assert_close(combiner(image, text), torch.stack(rows))
    with pytest.raises(ValueError, match="dropout in \\[0, 1\\)"):
        Combiner(4, dropout=1.0)


def test_templates_join_captions_of_pictures_that_are_no_neighbours() -> None:
    captions = [f"picture {i}" for i in range(12)]
    features = np.stack([np.cos(np.linspace(0, 1.5, 12)), np.sin(np.linspace(0, 1.5, 12))], 1)
    references, changes, targets = template_triplets(captions, features, window=(5, 9), each=2)
    assert np.array_equal(references, np.repeat(np.arange(12), 2))
    for reference, words, target in zip(references, changes, targets, strict=True):
        order = np.argsort(np.abs(np.arange(12) - reference), kind="stable")[1:]
        assert 4 <= list(order).index(target) <= 9
        assert captions[target] in words
        assert words == captions[target] or captions[reference] in words
    small = template_triplets(captions, features, window=(10_000, 20_000))[2]
    assert len(small) == 12
    with pytest.raises(ValueError, match="two or more captioned pictures are needed"):
        template_triplets(["one"], features[:1], window=(0, 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, picture in enumerate(colours()):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    return tmp_path


def test_tables_of_triplets_are_read(folder: Path) -> None:
    rows = ["reference,change,target", "0.png,redder,1.png", "0,bluer,2"]
    (folder / "train.csv").write_text("\n".join(rows) + "\n")
    (folder / "test.csv").write_text("reference,change,target\n3.png,bluer,2.png\n")
    found = load(folder, size=8)
    assert isinstance(found, Triplets)
    assert found.changes == ["redder", "bluer"]
    batch = found.batch(np.array([1]))
    assert batch.targets is not None
    assert batch.targets[0, :, 0, 0].tolist() == [0, 0, 255]
    held = found.splits()["test"]
    assert isinstance(held, Triplets)
    assert composed_recall(Pixels().eval(), held, (1,)) == {"R@1": 1.0}


def test_published_annotations_are_read(folder: Path) -> None:
    cirr = [{"pairid": 1, "reference": "0", "target_hard": "1", "caption": "redder"}]
    (folder / "cap.json").write_text(json.dumps(cirr))
    fashion = [{"candidate": "0", "target": "2", "captions": ["bluer.", "less red"]}]
    (folder / "fashion.json").write_text(json.dumps(fashion))
    (folder / "scot.jsonl").write_text(
        json.dumps({"reference": "0", "reference_caption": "grey", "change": "redder", "edited_caption": "red"}) + "\n"
    )
    one, two, three = (load(folder / name, size=8) for name in ("cap.json", "fashion.json", "scot.jsonl"))
    assert one.changes == ["redder"]  # type: ignore[attr-defined]
    assert two.changes == ["bluer and less red"]  # type: ignore[attr-defined]
    assert three.batch(np.array([0])).edited == ["red"]
    assert three.batch(np.array([0])).targets is None


def test_what_is_wrong_with_triplets_is_said(folder: Path) -> None:
    (folder / "a.csv").write_text("reference,change\n0.png,redder\n")
    with pytest.raises(ValueError, match="says of no change what it leads to"):
        load(folder / "a.csv", size=8)
    (folder / "b.csv").write_text("reference,change,target\n0.png,redder,gone.png\n0.png,redder,1.png\n")
    with pytest.raises(ValueError, match=r"1 of 2 triplets .* gone\.png"):
        load(folder / "b.csv", size=8)
    with pytest.warns(UserWarning, match="1 of 2 triplets"):
        assert len(load(folder / "b.csv", size=8, max_bad=0.5)) == 1
    with pytest.raises(ValueError, match="references must be numbers of the 4 pictures, got 4 to 4"):
        Triplets(colours(), np.array([4]), ["redder"], np.array([1]))
    with pytest.raises(ValueError, match="names no target pictures"):
        composed_recall(Pixels().eval(), Triplets(colours(), np.array([0]), ["redder"], edited=["red"]))


def test_equal_pictures_are_found() -> None:
    pictures = colours()[[0, 1, 0, 2]]
    data = Triplets(pictures, np.array([0]), ["redder"], np.array([1]))
    assert data.first_of_equals().tolist() == [0, 1, 0, 3]


def test_sum_of_embeddings_needs_no_training() -> None:
    from nearfar.multimodal.composed import composed
    from nearfar.reproductions.arms import build

    data = load("composed-scenes", examples=8)
    method = build("clip", load(examples=4), 0).eval()
    batch = data.batch(np.arange(3))
    found = composed(method, batch.references, batch.changes)
    towers = method.encoder
    assert isinstance(towers, DualEncoder)
    expected = F.normalize(towers.embed_images(batch.references)) + F.normalize(towers.embed_text(batch.changes))
    torch.testing.assert_close(found, expected)
