"""The Python way in, and saving in the Hugging Face conventions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import nearfar
from nearfar.vision.data.styled_digits import styled_digits
from nearfar.vision.methods import ReLIC, SimCLR

TINY = {"encoder": "small-conv", "hidden": 16, "projection_dim": 8}


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    pixels, labels, _ = styled_digits("train", "clean", size=16)
    return pixels[:200], labels[:200]


def test_fit_and_transform(images) -> None:
    found = nearfar.fit("relic", images[0], arguments=TINY, steps=3, batch_size=32)
    vectors = found.transform(images[0])
    assert vectors.shape == (200, 128)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()


def test_it_sits_in_a_pipeline_and_follows_conventions(images) -> None:
    step = nearfar.Representation("relic", arguments=TINY, steps=3, batch_size=32)
    assert step.get_params()["method"] == "relic"
    assert clone(step).get_params() == step.get_params()
    pipeline = make_pipeline(step, LogisticRegression(max_iter=200))
    assert pipeline.fit(*images).score(*images) > 0.3
    with pytest.raises(Exception, match="not fitted"):
        clone(step).transform(images[0])
    with pytest.raises(ValueError, match="preset"):
        clone(step).set_params(preset="huge").fit(images[0])
    with pytest.raises(KeyError, match="did you mean relic"):
        nearfar.fit("relik", images[0])


def test_save_and_load_pretrained(images, tmp_path: Path) -> None:
    found = nearfar.fit("relic", images[0], arguments=TINY, steps=3, batch_size=32)
    found.save(tmp_path / "model")
    names = {p.name for p in (tmp_path / "model").iterdir()}
    assert {"config.json", "model.safetensors", "README.md"} <= names
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["method"] == "relic"
    assert config["hyperparameters"]["hidden"] == 16
    card = (tmp_path / "model" / "README.md").read_text()
    assert "ReLIC" in card
    assert "2010.07922" in card
    loaded = ReLIC.from_pretrained(tmp_path / "model")
    batch = torch.as_tensor(images[0][:4].transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        assert torch.equal(loaded.encode(batch), found.method_.encode(batch))
    with pytest.raises(TypeError, match="no SimCLR"):
        SimCLR.from_pretrained(tmp_path / "model")


def test_an_encoder_of_ones_own_cannot_be_described_in_a_file(tmp_path: Path) -> None:
    body = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 5))
    body.out_features = 5  # type: ignore[assignment]
    method = SimCLR(body, projection_hidden=8, projection_dim=4)
    with pytest.raises(TypeError, match="cannot be written to a configuration file"):
        method.save_pretrained(tmp_path / "model")


def test_settings_of_the_method_are_parameters(images) -> None:
    small = {**TINY, "alpha": 0.5}
    step = nearfar.Representation("relic", steps=1, batch_size=16, **small)
    assert step.get_params()["alpha"] == 0.5
    again = clone(step).set_params(alpha=2.0, steps=2)
    assert (again.get_params()["alpha"], again.steps, step.get_params()["alpha"]) == (2.0, 2, 0.5)
    assert again.fit(images[0][:40]).method_.alpha == 2.0
    with pytest.raises(ValueError, match="relic has no setting 'alpa'; did you mean alpha"):
        nearfar.fit("relic", images[0], alpa=1.0)


def test_outputs_have_names_and_tags_say_what_goes_in(images) -> None:
    pd = pytest.importorskip("pandas", reason="tables out of set_output need pandas")
    step = nearfar.Representation("relic", steps=1, batch_size=16, **TINY).set_output(transform="pandas")
    table = step.fit(images[0][:40]).transform(images[0][:5])
    assert isinstance(table, pd.DataFrame)
    assert table.columns.tolist() == [f"representation{i}" for i in range(step.n_features_out_)]
    from sklearn.utils.estimator_checks import check_estimator

    tags = step.__sklearn_tags__()
    assert not tags.input_tags.two_d_array
    with pytest.warns(Warning, match="Can't test estimator Representation|Explicit SKIP"):
        check_estimator(step)


def test_a_saved_one_and_a_run_are_loaded(images, tmp_path: Path) -> None:
    found = nearfar.fit("relic", images[0][:40], steps=1, batch_size=16, **TINY)
    found.save(tmp_path / "model")
    from nearfar import workflow
    from nearfar.training import Training, embed
    from nearfar.vision.data import load

    trained, _ = workflow.train(
        "relic", data=images[0][:40], out=tmp_path / "run", arguments=TINY,
        training=Training(steps=1, batch_size=16), progress=False,
    )  # fmt: skip
    again, run = (nearfar.Representation.load(tmp_path / name) for name in ("model", "run"))
    assert np.array_equal(again.transform(images[0][:5]), found.transform(images[0][:5]))
    assert np.array_equal(run.transform(images[0]), embed(trained, load(images[0])).array)
    assert again.method == "relic"
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="neither a run"):
        nearfar.Representation.load(tmp_path / "empty")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        nearfar.Representation.load(tmp_path / "nowhere")
    batch = torch.as_tensor(images[0][:4].transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        assert torch.equal(nearfar.load(tmp_path / "run").encode(batch), trained.encode(batch))
        assert torch.equal(nearfar.load(tmp_path / "model").encode(batch), found.method_.encode(batch))


def test_the_package_says_what_it_has() -> None:
    assert {"fit", "load", "Representation"} <= {*dir(nearfar)}
    with pytest.raises(AttributeError, match="no attribute 'Representatoin'; did you mean Representation"):
        nearfar.Representatoin  # noqa: B018


def test_pictures_come_in_any_shape_that_people_have(images) -> None:
    from PIL import Image

    found = nearfar.fit("relic", images[0][:20], steps=1, batch_size=10, data_options={"size": 16}, **TINY)
    expected = found.transform(images[0][:4])
    kinds = {
        "list of arrays": [*images[0][:4]],
        "PIL": [Image.fromarray(x) for x in images[0][:4]],
        "tensor": torch.as_tensor(images[0][:4].transpose(0, 3, 1, 2).copy()),
        "data set": torch.utils.data.TensorDataset(
            torch.as_tensor(images[0][:4].transpose(0, 3, 1, 2).copy()), torch.zeros(4, dtype=torch.long)
        ),
        "with labels": (images[0][:4], np.arange(4)),
    }
    for kind, pictures in kinds.items():
        assert np.allclose(found.transform(pictures), expected, atol=1e-5), kind
