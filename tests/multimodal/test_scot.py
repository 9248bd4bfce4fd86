"""SCOT: its loss, its captions, its towers at rest, and what it learns without target pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.multimodal.caption_editing import WordEditor
from nearfar.multimodal.composed import composed_recall
from nearfar.multimodal.data import CaptionedImages, Triplets, load
from nearfar.multimodal.data.composed_scenes import composed_scenes
from nearfar.multimodal.methods.scot import SCOT, UNCHANGED
from nearfar.testing import a_resumed_run_is_the_whole_one
from nearfar.training import Training


@pytest.fixture(scope="module")
def data() -> Triplets:
    test = composed_scenes(25, seed=9, split="test_seen", size=16, distinct=True).triplets("test")
    return composed_scenes(100, seed=2, edits=2, size=16).triplets("train", {"test": test})


def arguments(**changes: Any) -> dict[str, Any]:
    found, _ = workflow.laptop_settings(find("scot"))
    return {**found, "projection_dim": 32, **changes}


def small(**changes: Any) -> SCOT:
    torch.manual_seed(0)
    return SCOT(**arguments(**changes))


def test_the_loss_is_its_formula(data: Triplets) -> None:
    """In float64, with the captions as they were among the candidates of every query."""
    for original in (True, False):
        method = small(original_captions=original).double().eval()
        batch = data.batch(np.arange(5))
        value = method.loss(method.views(batch._replace(references=batch.references / 255.0)))
        towers = method.encoder
        with torch.no_grad():
            q = method.compose(batch.references / 255.0, batch.changes)
            u = F.normalize(towers.embed_text(batch.edited), dim=1)
            c = F.normalize(towers.embed_text(batch.captions), dim=1)
        rows = []
        for i in range(5):
            edited = sum(float(torch.exp(q[i] @ u[j] / 0.05)) for j in range(5))
            others = sum(float(torch.exp(q[i] @ c[j] / 0.05)) for j in range(5)) if original else 0.0
            rows.append(-float(q[i] @ u[i] / 0.05) + np.log(edited + others))
        assert float(value.detach()) == pytest.approx(np.mean(rows), rel=1e-9)


def test_it_learns_to_compose_without_target_pictures(data: Triplets) -> None:
    told = Triplets(data.images, data.references, data.changes, captions=data.captions, edited=data.edited)
    test = data.splits()["test"]
    assert isinstance(test, Triplets)
    before = composed_recall(small().eval(), test)
    method = workflow.fit(small(), told, Training(steps=60, batch_size=24, monitor_every=-1), progress=False)
    assert composed_recall(method, test)["R@10"] > before["R@10"] + 0.1


def test_towers_rest_while_the_combiner_learns(data: Triplets) -> None:
    method = small()
    method.begin_phase("alignment", data)
    assert method.train().encoder.training
    method.begin_phase("composition", data)
    assert not method.train().encoder.training
    assert method.combiner.training
    method.seed_step(0, 0)
    method.loss(method.views(data.batch(np.arange(6)))).backward()
    assert all(p.grad is None for p in method.encoder.parameters())
    assert all(p.grad is not None for p in method.combiner.parameters())


def test_captioned_pictures_are_enough() -> None:
    pictures = np.zeros((3, 16, 16, 3), np.uint8)
    pairs = CaptionedImages(pictures, ["a red circle", "nothing of note", "a small dog"])
    method = small(alignment=0.0)
    method.begin(pairs)
    assert set(method.order(pairs, np.random.default_rng(0)).tolist()) <= {0, 2}
    method.seed_step(0, 0)
    views = method.views(pairs.batch(np.arange(3)))
    assert views.changes[1] == UNCHANGED
    assert views.edited[1] == "nothing of note"
    assert views.edited[0] != "a red circle"
    assert method.loss(views).isfinite()
    with pytest.raises(ValueError, match=r"no caption of .* can be exchanged"):
        method.order(CaptionedImages(pictures, ["x", "y", "z"]), np.random.default_rng(0))


def test_a_word_gives_way_to_one_of_its_kind() -> None:
    editor = WordEditor()
    found = editor("A Red circle on the left.", (0.0, 0.0, 0.0))
    assert found == ("make it orange", "A orange circle on the left.")
    assert editor("A Red circle on the left.", (0.99, 0.0, 0.3)) == (
        "right instead of left",
        "A Red circle on the right.",
    )
    assert editor("nothing here", (0.5, 0.5, 0.5)) is None
    numbers = np.random.default_rng(0).random((60, 3)).tolist()
    made = [editor("a blue square", row) for row in numbers]
    assert all(edit is not None and edit.edited != "a blue square" for edit in made)


def test_a_run_resumed_while_composing_is_the_whole_one(data: Triplets, tmp_path: Path) -> None:
    a_resumed_run_is_the_whole_one(SCOT, data, arguments(projection_dim=16, alignment=0.25), 8)


def test_what_does_not_fit_is_said(data: Triplets) -> None:
    with pytest.raises(ValueError, match=r"alignment must be a share of the run in \[0, 1\), got 1"):
        small(alignment=1.0)
    bare = Triplets(data.images, data.references, data.changes, data.targets)
    with pytest.raises(ValueError, match="SCOT needs reference_caption and edited_caption with every change"):
        small().begin(bare)
    small(image_targets=True).begin(bare)
    with pytest.raises(ValueError, match="SCOT learns from triplets, or from captioned pictures"):
        small().begin(load("xor", examples=8))
