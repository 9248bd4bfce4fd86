"""ONNX and torch.export: the same vectors for any number of examples and any size, of whatever field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.exporting import FORMATS
from nearfar.training.door import Door
from nearfar.vision.methods import SimCLR
from nearfar.workflow.systems import build_method, preset_settings


def test_onnx_gives_the_vectors_of_evaluation_for_any_batch_and_size(tmp_path: Path) -> None:
    """A method that is left in training mode is exported as it answers in evaluation mode, and stays in its mode."""
    import onnxruntime

    torch.manual_seed(0)
    method = SimCLR("small-conv").train()
    # As a collection of several pictures of each thing gives them, so small that the last map is one cell.
    images = torch.randint(0, 256, (3, 2, 3, 16, 16), dtype=torch.uint8)[:, 0]
    method.encoder(images)
    with method.frozen():
        FORMATS["onnx"](method.door(images), tmp_path / "out", {"system": "simclr"})
    assert method.encoder.training
    session = onnxruntime.InferenceSession(str(tmp_path / "out" / "model.onnx"), providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    for shape in ((1, 3, 32, 32), (9, 3, 32, 32), (2, 3, 48, 80)):
        given = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
        with method.frozen():
            expected = method.encode(given).numpy()
        np.testing.assert_allclose(session.run(None, {"images": given.numpy()})[0], expected, rtol=1e-4, atol=1e-5)
    said = json.loads((tmp_path / "out" / "preprocessing.json").read_text())
    assert said["inputs"] == {"images": {"dtype": "uint8", "shape": ["images", 3, "height", "width"]}}
    assert said["outputs"] == {"embedding": {"dtype": "float32", "shape": ["images", 128]}}
    assert said["preprocessing"]["colours"] == "RGB"
    assert said["preprocessing"]["mean"] == pytest.approx([0.485, 0.456, 0.406])


FIELDS = ("cola", "ts2vec", "cpc", "clan", "spatial-embeddings", "supcon", "densecl")


@pytest.mark.parametrize("slug", FIELDS)
def test_a_door_gives_what_the_method_gives(slug: str) -> None:
    door, expected = opened(slug)
    torch.testing.assert_close(door.vectors(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("to", ["onnx", "torch-export"])
@pytest.mark.parametrize("slug", FIELDS)
def test_graphs_of_every_field_give_what_the_method_gives(slug: str, to: str, tmp_path: Path) -> None:
    door, _ = opened(slug)
    FORMATS[to](door, tmp_path / "out", {})  # which compares them for several sizes
    assert (tmp_path / "out" / "preprocessing.json").is_file()


@pytest.mark.parametrize("slug", ["grace", "autocon"])
def test_what_reads_more_than_a_tensor_is_refused_in_a_sentence(slug: str) -> None:
    with pytest.raises(ValueError, match=r"is more than tensors of one shape.*`nearfar embed` writes its vectors"):
        opened(slug)


def opened(slug: str) -> tuple[Door, torch.Tensor]:
    """The door of an untrained method on its embedded data, and what it says of them; of a sound one stretch."""
    entry = find(slug)
    data = workflow.load_data(entry.field, entry.data)
    method = build_method(entry, preset_settings(entry, "tiny")[0], data, 0).eval()
    batch = data.batch(np.arange(3))
    if slug == "cola":
        batch = batch.waves[:, : method.samples]
    door = method.door(batch)
    with torch.no_grad():
        return door, method.encode(batch)
