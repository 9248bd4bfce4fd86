"""Batches of people's own loaders, and a field's data as a LightningDataModule, in Trainers of their own."""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from nearfar.text.methods import SimCSE
from nearfar.training import DataModule, Method
from nearfar.vision.method import ImageBatch
from nearfar.vision.methods import CARE, SimCLR
from tests.toy import Toy, Vectors

SMALL = {"projection_hidden": 8, "projection_dim": 4}


def trainer(**settings: Any) -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    return L.Trainer(**{"max_epochs": 1, "enable_model_summary": False, **quiet, **settings})


def small(cls: Any = SimCLR) -> Method:
    torch.manual_seed(0)
    return cls("small-conv", **SMALL)


def pictures(count: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("kind", ["bytes", "floats", "grey", "labels"])
def test_pictures_are_taken_as_loaders_give_them(kind: str) -> None:
    method = small()
    x = pictures()
    x = x[:, :1] if kind == "grey" else x
    given = {"bytes": x, "grey": x, "floats": x / 255, "labels": [x, torch.zeros(8)]}[kind]
    found, views = method.ordinary(given)
    assert views is None
    assert isinstance(found, ImageBatch)
    assert torch.equal(found.images, x.expand(-1, 3, -1, -1))
    assert found.rows.tolist() == [*range(8)]


def test_views_of_ones_own_take_the_place_of_the_methods(monkeypatch: Any) -> None:
    method = small()
    monkeypatch.setattr(SimCLR, "loss", lambda self, views: seen.append(views) or SimCLR_loss(self, views))
    seen: list[Any] = []
    first, second = pictures() / 255, pictures() / 255 + 0.1
    run = trainer()
    run.fit(method, DataLoader(TensorDataset(first, second), batch_size=4))
    assert run.global_step == 2
    assert [[*view.shape] for view in seen[0]] == [[4, 3, 12, 12]] * 2
    assert torch.equal(torch.cat([views[1] for views in seen]), second)
    assert method.ordinary([[first, second], torch.zeros(8)])[1][0] is first  # ([view, view], labels)


SimCLR_loss = SimCLR.loss


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (torch.randn(4, 3, 8, 8), r"floats in \[0, 1\], got floats from .* leave normalising to the encoder"),
        (torch.zeros(4, 3, 8), r"have the shape \(N, 3, H, W\) or \(N, 1, H, W\), got \(4, 3, 8\)"),
        (torch.zeros(4, 3, 8, 8, dtype=torch.int64), "uint8 or floats in .*, got torch.int64"),
        ([torch.rand(4, 3, 8, 8)] * 3, "compares 2 views of each picture, and the loader gave 3 tensors"),
        ({"image": 1}, "SimCLR learns from ImageBatch"),
    ],
)
def test_other_batches_are_refused_in_a_sentence(batch: Any, said: str) -> None:
    with pytest.raises((TypeError, ValueError), match=said):
        small().ordinary(batch)


def test_a_method_with_views_of_its_own_kind_wants_the_pictures() -> None:
    torch.manual_seed(0)
    method = CARE("small-conv")
    with pytest.raises(TypeError, match="CARE makes its own kind of views, which transforms cannot replace"):
        method.ordinary([torch.rand(4, 3, 8, 8)] * 2)
    assert isinstance(method.ordinary(pictures())[0], ImageBatch)


def test_sentences_are_taken_from_any_loader() -> None:
    method = SimCSE("tiny-bert")
    texts = ["one", "two", "three", "four"]
    run = trainer(max_steps=1, max_epochs=-1)
    run.fit(method, DataLoader([(text, i) for i, text in enumerate(texts)], batch_size=4))  # type: ignore[arg-type]
    assert run.callback_metrics["train/loss"].isfinite()
    with pytest.raises(TypeError, match="SimCSE learns from TextBatch"):
        method.ordinary(torch.zeros(3))


def test_a_data_module_gives_every_example_once_an_epoch_in_another_order() -> None:
    module = DataModule(Vectors(64), 16, seed=1)
    seen: list[int] = []

    class Seen(L.Callback):
        def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
            seen.extend(batch.rows.tolist())

    run = trainer(max_epochs=2, callbacks=[Seen()])
    run.fit(Toy(), module)
    assert run.global_step == 8
    assert sorted(seen[:64]) == sorted(seen[64:]) == [*range(64)]
    assert seen[:64] != seen[64:]
    expected = Vectors(64).sampler(16, 8, seed=1)
    assert seen == np.concatenate([*expected]).tolist()


def test_a_data_module_of_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="data must be a collection, which a field's load makes, got list"):
        DataModule([1, 2])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        DataModule(Vectors(8), 0)
