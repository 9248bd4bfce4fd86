"""Evaluation of segmenters: counts against the definitions, and the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.evaluation import ece, miou
from nearfar.report import write_report
from nearfar.reproductions.arms import build
from nearfar.segmentation import measures
from nearfar.segmentation.data import load
from nearfar.segmentation.data.adaptation import street_adaptation
from nearfar.segmentation.evaluation import count, evaluate, held_out_sets
from nearfar.segmentation.pictures import mixtures, panel
from nearfar.training import Training


@pytest.fixture(scope="module")
def street():
    return load(size=32, scenes=6)


@pytest.fixture(scope="module")
def method(street):
    return build("aligned-segmentation", street, 0).eval()


def test_scores_against_everything_at_once(street, method) -> None:
    unseen = street.splits()["unseen appearances"]
    found = evaluate(method, street)
    batch = unseen.batch(np.arange(len(unseen)))
    with torch.no_grad():
        p = torch.stack([method.segment(batch.images[:, a])[0].softmax(1) for a in range(2)], 1)
    predicted = p.argmax(2)
    labels = batch.labels[:, None].expand_as(predicted)
    assert np.isclose(found["miou unseen appearances"], miou(predicted, labels, 16)["miou"])
    assert np.isclose(found["agreement unseen appearances"], (predicted[:, 0] == predicted[:, 1]).float().mean())
    known = labels != 255
    rows = p.permute(0, 1, 3, 4, 2)[known]
    assert np.isclose(found["ece unseen appearances"], ece(rows.double(), labels[known]), atol=1e-6)
    assert set(held_out_sets(street)) == {"seen appearances", "unseen appearances"}


def test_details_add_up(street, method) -> None:
    total = evaluate(method, street)
    classes = measures.classes(method, street)
    own = [v for name, v in classes.items() if name.startswith("seen appearances: ")]
    assert np.isclose(np.mean(own), total["miou seen appearances"])
    assert "unseen appearances: road" in classes
    looks = measures.appearances(method, street)
    assert {name for name in looks if name.startswith("miou unseen")} == {
        "miou unseen appearances: rain",
        "miou unseen appearances: overcast",
    }


def test_layers_compare_places_with_random_ones(street, method) -> None:
    found = measures.layers(method, street)
    assert set(found) == {f"{s}: depth {d}" for s in held_out_sets(street) for d in range(4)}
    assert all(-2 <= v <= 2 for v in found.values())
    assert found == measures.layers(method, street)
    # The same pictures twice agree perfectly with themselves, and with random places as ever.
    unseen = street.splits()["unseen appearances"]
    maps = method.encoder.maps(unseen.batch(np.arange(4)).images[:, 0])
    same = measures._advantage(maps[0], maps[0], torch.Generator().manual_seed(0))
    other = measures._advantage(maps[0], maps[0].roll(7, 3), torch.Generator().manual_seed(0))
    assert same > other


def test_only_segmenters_are_counted(street) -> None:
    from nearfar.training import Method

    with pytest.raises(TypeError, match="only a segmenter predicts"):
        count(Method(), street)
    with pytest.raises(TypeError, match="only a segmenter has feature maps"):
        measures.layers(Method(), street)


def test_a_run_keeps_its_decoder_and_shows_its_panel(street, tmp_path) -> None:
    options = {"size": 32, "scenes": 6}
    arguments, _ = workflow.laptop_settings(find("aligned-segmentation"))
    trained, run = workflow.train(
        "aligned-segmentation",
        out=tmp_path / "run",
        arguments=arguments,
        training=Training(steps=4, batch_size=2),
        data_options=options,
        progress=False,
    )
    _, loaded, _ = workflow.load_run(run.path)
    image = street.batch(np.arange(1)).images[:, 0]
    with torch.no_grad():
        assert torch.equal(loaded.segment(image)[0], trained.segment(image)[0])
    result = workflow.evaluate_run(run.path, also=("layers",))
    assert result["trained"] != result["untrained"]
    html = write_report(run.path).read_text()
    assert html.count('<img src="data:image/png') == 2
    assert "unseen appearances: label" in html


def test_the_panel_shows_labels_pictures_and_predictions(street, method) -> None:
    unseen = street.splits()["unseen appearances"]
    sheet = panel(method, unseen, count=2)
    batch = unseen.batch(np.array([0, len(unseen) - 1]))
    height, width = batch.labels.shape[1:]
    assert sheet.shape == (4 * height + 3 * 2, 3 * width + 2 * 2, 3)
    picture = batch.images[0, 1].permute(1, 2, 0).numpy()
    assert np.array_equal(sheet[:height, 2 * (width + 2) :], picture)
    colours = {tuple(c) for c in unseen.classes.palette} | {(0, 0, 0)}
    label = sheet[height + 2 : 2 * height + 2, :width]
    assert {tuple(c) for c in label.reshape(-1, 3).tolist()} <= colours


def test_mixtures_are_shown_with_their_labels() -> None:
    data = street_adaptation(32, 3)
    method = build("dacs", data, 0).eval()
    sheet = mixtures(method, data, count=2)
    assert sheet.shape == (2 * 32 + 2, 3 * 64 + 2 * 2, 3)
    # A mixture holds pixels of its source and others.
    same = (np.abs(sheet[:32, :64].astype(int) - sheet[:32, 66:130]).max(-1) <= 1).mean()
    assert same < 0.95
    assert not np.array_equal(sheet[:32, 66:130], sheet[34:, 66:130])
