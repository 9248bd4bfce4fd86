"""SPN4CIR: its released losses, its bank, and what it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.losses import info_nce
from nearfar.multimodal.composed import composed_recall
from nearfar.multimodal.data import Triplets
from nearfar.multimodal.data.composed_scenes import composed_scenes
from nearfar.multimodal.methods.spn4cir import SPN4CIR
from nearfar.testing import a_resumed_run_is_the_whole_one
from nearfar.training import Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("spn4cir", "stage1"))
def test_the_first_phase_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    queries = arrays["in_ref"] + arrays["in_text"]
    value = info_nce(queries, arrays["in_target"], temperature=case.hyper["temperature"])
    assert_parity(case, arrays, value)


@pytest.mark.parametrize("case", parity("spn4cir", "stage2_bank"))
def test_the_second_phase_is_the_released_one(case: ParityCase) -> None:
    """With few negatives the release adds the rows in float32. Its bank may hold a picture twice."""
    arrays = case.load()
    queries = arrays["in_ref_bank"][arrays["in_index"]] + arrays["in_text"]
    bank, wanted = arrays["in_bank"], arrays["in_target_index"]
    temperature = case.hyper.get("temperature", 0.05)
    if "in_negatives" in arrays:
        own = bank[arrays["in_negatives"]]
        value = info_nce(queries, bank[wanted], own_negatives=own, in_batch=False, temperature=temperature)
        assert_parity(case, arrays, value, rtol=1e-6)
    else:
        assert_parity(case, arrays, info_nce(queries, bank, target=wanted, temperature=temperature))


@pytest.fixture(scope="module")
def data() -> Triplets:
    test = composed_scenes(25, seed=9, split="test_seen", size=16, distinct=True).triplets("test")
    return composed_scenes(100, seed=2, edits=2, size=16).triplets("train", {"test": test})


def small(**changes: object) -> SPN4CIR:
    arguments, _ = workflow.laptop_settings(find("spn4cir"))
    torch.manual_seed(0)
    return SPN4CIR(**{**arguments, "projection_dim": 32, **changes})  # type: ignore[arg-type]


def test_it_learns_to_compose(data: Triplets) -> None:
    test = data.splits()["test"]
    assert isinstance(test, Triplets)
    before = composed_recall(small().eval(), test)
    method = small(bank_share=0.4)
    workflow.fit(method, data, Training(steps=45, batch_size=24, monitor_every=-1), progress=False)
    after = composed_recall(method, test)
    assert after["R@10"] > before["R@10"] + 0.1
    assert method.bank is not None
    assert not any(p.requires_grad for p in method.encoder.image.parameters())


def test_the_bank_holds_each_picture_once_and_only_text_learns() -> None:
    made = composed_scenes(4, seed=0, edits=1, size=16)
    images = np.concatenate([made.images, made.images[:1], made.images[5:6] // 2])
    twice = Triplets(images, np.append(made.references, 8), [*made.changes, "a"], np.append(made.targets, 5))
    method = small().eval()
    method.begin_phase("bank", twice)
    assert method.bank is not None
    assert method.bank.slots.tolist()[0] == method.bank.slots.tolist()[8]
    assert len(method.bank.rows) == 8  # eight different pictures; the tenth is in no triplet
    value = method.loss(twice.batch(np.arange(5)))
    value.backward()
    assert all(p.grad is None for p in method.encoder.image.parameters())
    assert any(p.grad is not None for p in method.encoder.text.parameters())
    queries = method.compose(*twice.batch(np.arange(5))[:2])
    logits = torch.nn.functional.normalize(queries) @ torch.nn.functional.normalize(method.bank.rows).T / 0.05
    slots = method.bank.slots[torch.from_numpy(twice.targets)]  # type: ignore[arg-type]
    torch.testing.assert_close(value, torch.nn.functional.cross_entropy(logits, slots))


def test_drawn_negatives_are_never_the_target(data: Triplets) -> None:
    method = small(negatives=5)
    method.seed_step(0, 0)
    wanted = torch.tensor([0, 3, 7])
    drawn = torch.cat([method._drawn(wanted, 8) for _ in range(20)])
    assert drawn.min() == 0
    assert drawn.max() == 7
    assert not (drawn == wanted.repeat(20)[:, None]).any()
    assert all(len(set(row)) == 5 for row in drawn.tolist())
    method.begin_phase("bank", data)
    assert method.loss(data.batch(np.arange(4))).isfinite()


def test_a_run_resumed_in_the_second_phase_is_the_whole_one(data: Triplets, tmp_path: Path) -> None:
    arguments, _ = workflow.laptop_settings(find("spn4cir"))
    a_resumed_run_is_the_whole_one(SPN4CIR, data, {**arguments, "projection_dim": 16, "bank_share": 0.75}, 8)


def test_what_does_not_fit_is_said(data: Triplets) -> None:
    with pytest.raises(ValueError, match=r"bank_share in \[0, 1\] and negatives from 1"):
        small(negatives=0)
    told = Triplets(data.images, data.references, data.changes, edited=data.edited)
    with pytest.raises(ValueError, match="triplets names none; SCOT learns from captions"):
        small().begin(told)
    from nearfar.multimodal.data import load

    with pytest.raises(TypeError, match="spn4cir takes pictures, what is to be different"):
        workflow.build_method(find("spn4cir"), {}, load(examples=4), 0)
