"""Confusion matrices against torchmetrics and definitions: ignored pixels, absent classes, streams."""

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from nearfar.evaluation import ConfusionMatrix, agreement, miou


def example(seed=0, classes=5):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, classes, (6, 10, 12)).astype(np.uint8)
    prediction = np.where(rng.random(label.shape) < 0.6, label, rng.integers(0, classes, label.shape))
    label[rng.random(label.shape) < 0.1] = 255
    return prediction, label


def test_iou_is_torchmetrics_macro_jaccard():
    prediction, label = example()
    matrix = ConfusionMatrix(5)
    matrix.update(prediction, torch.from_numpy(label))
    peer = MulticlassJaccardIndex(5, ignore_index=255, average=None)
    expected = peer(torch.tensor(prediction), torch.tensor(label.astype(int))).numpy()
    np.testing.assert_allclose(matrix.iou, expected, rtol=1e-6)
    assert matrix.miou == pytest.approx(expected.mean(), rel=1e-6)
    kept = label != 255
    assert matrix.pixel_accuracy == pytest.approx(np.mean(prediction[kept] == label[kept]))
    recalls = [np.mean(prediction[label == c] == c) for c in range(5)]
    assert matrix.mean_class_accuracy == pytest.approx(np.mean(recalls))
    assert matrix.scores() == miou(prediction, label, 5)


def test_a_stream_and_two_processes_equal_the_whole():
    prediction, label = example()
    whole = miou(prediction, label, 5)
    parts = [ConfusionMatrix(5), ConfusionMatrix(5)]
    for i in range(6):
        parts[i % 2].update(prediction[i], label[i])
    assert (parts[0] + parts[1]).scores() == whole
    per_image = np.mean([miou(prediction[i], label[i], 5)["miou"] for i in range(6)])
    assert whole["miou"] != pytest.approx(per_image, abs=1e-6)


def test_what_is_predicted_on_ignored_pixels_does_not_count():
    prediction, label = example()
    other = np.where(label == 255, 3, prediction)
    assert miou(other, label, 5) == miou(prediction, label, 5)


def test_absent_classes():
    matrix = ConfusionMatrix(4, ignore_index=None)
    matrix.update([0, 0, 1, 2], [0, 0, 1, 1])
    assert matrix.iou[:3].tolist() == [1, 0.5, 0]
    assert np.isnan(matrix.iou[3])
    assert matrix.miou == pytest.approx(0.5)
    assert matrix.mean_class_accuracy == pytest.approx(0.75)
    assert matrix.counts.tolist() == [[2, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_agreement():
    rng = np.random.default_rng(0)
    day, night, label = (rng.integers(0, 3, (2, 5, 5)) for _ in range(3))
    label[0] = 255
    assert agreement(day, night) == pytest.approx(np.mean(day == night))
    assert agreement(day, night, label=label) == pytest.approx(np.mean(day[1] == night[1]))
    assert agreement(day, day) == 1


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: miou([[0, 5]], [[0, 1]], 5), "prediction must be in 0..4"),
        (lambda: miou([[0, 1]], [[0, 7]], 5), "label must be in 0..4 or the ignored 255"),
        (lambda: miou([[0, -1]], [[0, 1]], 5), "prediction must be"),
        (lambda: miou([[0, 1]], [[0]], 5), "one shape"),
        (lambda: miou([[0.0, 1.0]], [[0, 1]], 5), "argmax of logits"),
        (lambda: miou([[0]], [[255]], 5), "no pixels were counted"),
        (lambda: ConfusionMatrix(3) + ConfusionMatrix(4), "same num_classes"),
        (lambda: agreement([1], [1], label=[255]), "at least one pixel"),
    ],
)
def test_bad_input(call, named):
    with pytest.raises(ValueError, match=named):
        call()
