"""PointCPSC: superpoints, their prediction, what is learned, promised and refused; videos of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from nearfar import losses
from nearfar.evaluation import effective_rank
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import embed
from nearfar.video.data import PointSet, load
from nearfar.video.data.moving_solids import MOTIONS, moving_solids
from nearfar.video.methods.point_contrastive import PointContrastive
from nearfar.video.point_network import PointTubes, Predictor, farthest_points

SMALL: dict[str, Any] = {"width": 16, "points": 32, "superpoints": 6, "neighbours": 6, "projection_dim": 16}
SMALL |= {"queue_size": 96, "prototypes": 8, "depth": 1}


@pytest.fixture(scope="module")
def solids() -> PointSet:
    return moving_solids(60, held_out=30, frames=8, points=48)


def test_point_contrastive_keeps_every_promise(solids: PointSet) -> None:
    check_method(PointContrastive, solids, SMALL, batch_size=8)


def test_the_loss_is_that_of_the_formula(solids: PointSet) -> None:
    method = build("point-contrastive", solids, 0, **SMALL).eval()
    view = solids.batch(np.arange(10)).points
    found = method.loss(view)
    features, places = method.superpoints(view)
    assert features.shape == (10, 2, 6, 16)
    predicted = method.predictor(features[:, :1], places[:, :1], places[:, 1])
    q, k = (F.normalize(method.head(x.flatten(0, 1)), dim=1) for x in (predicted, features[:, 1]))
    expected = losses.selective_contrast(q, k, method.queue.keys, temperature=0.1, drop=0.1, neighbours=3)
    torch.testing.assert_close(found["contrast"], expected)
    first, second = (x @ F.normalize(method.prototypes.weight, dim=1).t() for x in (q, k))
    cross = [
        -(losses.sinkhorn(a).detach() * torch.log_softmax(b / 0.1, 1)).sum(1).mean()
        for a, b in ((first, second), (second, first))
    ]
    torch.testing.assert_close(found["semantic"], (cross[0] + cross[1]) / 2)


def test_targets_get_a_gradient_of_the_clusters_alone_and_answers_do_not_leak(solids: PointSet) -> None:
    method = build("point-contrastive", solids, 0, **SMALL).eval()
    view = solids.batch(np.arange(6)).points
    features, places = (x.detach() for x in method.superpoints(view))
    asked = method.predictor(features[:, :1], places[:, :1], places[:, 1])
    other = view.clone()
    other[:, 4:] = other[:, 4:].flip(0)  # another last segment
    theirs = method.superpoints(other)[0].detach()
    torch.testing.assert_close(theirs[:, :1], features[:, :1])  # no superpoint sees another segment
    assert not torch.allclose(theirs[:, 1], features[:, 1])
    torch.testing.assert_close(method.predictor(theirs[:, :1], places[:, :1], places[:, 1]), asked)

    moved = view.clone().requires_grad_()
    terms = method.loss(moved)
    (by_contrast,) = torch.autograd.grad(terms["contrast"], method.encoder.norm.weight, retain_graph=True)
    assert by_contrast.abs().max() > 0
    method.encoder.requires_grad_(False)
    of_targets = [torch.autograd.grad(method.loss(moved)[name], moved)[0][:, 4:] for name in terms]
    middle = of_targets[0].abs().amax((0, 2, 3))
    assert middle[[0, 1, 3]].max() == 0  # but for the places that are asked, in the middle of the segment
    assert of_targets[1].abs().amax((0, 2, 3))[[0, 1, 3]].min() > 0


def test_superpoints_do_not_depend_on_the_order_of_points(solids: PointSet) -> None:
    network = PointTubes(8, 5, 4, 6).eval()
    points = solids.batch(np.arange(4)).points
    order = torch.rand(4, 8, 48, generator=torch.Generator().manual_seed(0)).argsort(2)
    shuffled = points.gather(2, order[..., None].expand(-1, -1, -1, 3))
    for found, expected in zip(network(shuffled), network(points), strict=True):
        torch.testing.assert_close(found, expected)
    reversed_ = network(points.flip(1))[0].flip(1)
    assert not torch.allclose(reversed_, network(points)[0], atol=1e-3)  # the order of time counts
    features, places = network(points)
    torch.testing.assert_close(network(points[:1])[0], features[:1])
    assert places[:, :, :, 3].unique().tolist() == [0, 1]


def test_farthest_points_are_chosen_one_by_one() -> None:
    line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [5, 0, 0], [9, 0, 0], [4, 0, 0]]])
    assert farthest_points(line, 4).tolist() == [[3, 0, 2, 1]]
    with pytest.raises(ValueError, match="from 1 to the 5 points"):
        farthest_points(line, 6)


def test_predictions_find_their_targets_among_those_of_other_videos_after_training(solids: PointSet) -> None:
    method = build("point-contrastive", solids, 0, **SMALL)
    held = solids.splits()["test"].batch(np.arange(30))

    def right() -> float:
        with method.frozen():
            features, places = method.superpoints(held)
            asked = method.predictor(features[:, :1], places[:, :1], places[:, 1])
            q, k = (F.normalize(method.head(x.flatten(0, 1)), dim=1) for x in (asked, features[:, 1]))
            among = (q @ k.t()).topk(18, dim=1).indices  # of 180
        return float((among == torch.arange(len(q))[:, None]).any(1).float().mean())

    before = right()
    train("point-contrastive", method.train(), solids, 0, steps=80, batch_size=16)
    assert right() > before + 0.06
    array = embed(method.eval(), solids).array
    assert (array.std(0) > 1e-3).mean() > 0.8
    assert effective_rank(array) > 3


def test_prototypes_wait(solids: PointSet) -> None:
    method = build("point-contrastive", solids, 0, **SMALL, moving_from=0.99)
    before = method.prototypes.weight.detach().clone()
    train("point-contrastive", method, solids, 0, steps=2, batch_size=8, precision="32")
    torch.testing.assert_close(F.normalize(method.prototypes.weight, dim=1), before, rtol=0, atol=1e-5)


def test_the_solids_are_what_they_say(solids: PointSet) -> None:
    assert set(solids.labels) == set(MOTIONS)
    again = moving_solids(60, held_out=30, frames=8, points=48)
    np.testing.assert_array_equal(again.points, solids.points)
    assert (solids.parts.sum(2) == 16).all()
    on_arm = solids.points[solids.parts == 1].reshape(60, 8, 16, 3)
    up = on_arm.mean(2)[..., 1].std(1)
    for motion, moves in (("up and down", True), ("to and fro", False), ("in and out", False)):
        assert (np.median(up[solids.labels == motion]) > 0.15) == moves


def test_points_from_files_and_arrays(tmp_path: Path) -> None:
    points = np.random.default_rng(0).normal(size=(4, 3, 10, 3)).astype(np.float32)
    np.savez(tmp_path / "a.npz", train_points=points[:3], train_y=np.arange(3), test_points=points[3:])
    np.save(tmp_path / "b.npy", points)
    data = load(tmp_path / "a.npz")
    assert isinstance(data, PointSet)
    assert (len(data), len(data.splits()["test"]), list(data.labels)) == (3, 1, [0, 1, 2])
    batch = load(tmp_path / "b.npy").batch(np.array([1, 2]))
    assert batch.points.shape == (2, 3, 10, 3)
    torch.testing.assert_close(batch.points.norm(dim=3).amax((1, 2)), torch.ones(2))
    torch.testing.assert_close(load(50 * points + 7).batch(np.array([1, 2])).points, batch.points)
    points[1, 0, 0, 0] = np.nan
    with pytest.warns(UserWarning, match="NaN or infinite"):
        assert list(PointSet(points, max_bad=0.5).ids) == [0, 2, 3]


def test_refusals(solids: PointSet) -> None:
    with pytest.raises(ValueError, match="at least as many as superpoints"):
        PointContrastive(points=8, superpoints=16)
    with pytest.raises(ValueError, match=r"8 times are one segment of 8; two are needed"):
        build("point-contrastive", solids, 0, **SMALL, length=8).loss(solids.batch(np.arange(3)).points)
    with pytest.raises(ValueError, match="at least the 4 times"):
        PointTubes()(torch.zeros(1, 3, 9, 3))
    with pytest.raises(ValueError, match="multiple of heads"):
        Predictor(10)
    with pytest.raises(ValueError, match=r"must be numbers \(N, T, P, 3\)"):
        PointSet(np.zeros((2, 5, 9)))
    with pytest.raises(ValueError, match="2 labels for 3 videos"):
        PointSet(np.zeros((3, 4, 9, 3)), np.zeros(2))
