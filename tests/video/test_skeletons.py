"""Skeletons from arrays and files, their layouts, what is left out, and how they are changed at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.sources.skipped import BadDataError
from nearfar.video.data import SkeletonSet, load
from nearfar.video.data.layouts import LAYOUTS, layout
from nearfar.video.data.skeletons import resampled
from nearfar.video.data.stick_figures import ACTIONS, stick_figures
from nearfar.video.skeleton_views import SkeletonViews, hidden_joints
from nearfar.video.stgcn import STGCN, partitions

RNG = np.random.default_rng(0)


def draw(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_are_trees_with_two_sides(name: str) -> None:
    found = LAYOUTS[name]
    assert len(found.bones) == found.joints - 1
    hops = found.hops()
    assert hops.max() < found.joints, "a joint is not connected"
    way = hops[found.centre]
    assert all(way[far] == way[near] + 1 for far, near in found.bones)
    mirrored = found.mirrored
    assert [mirrored[j] for j in mirrored] == [*range(found.joints)]
    bones = {frozenset(bone) for bone in found.bones}
    assert {frozenset(mirrored[j] for j in bone) for bone in bones} == bones


def test_every_order_of_axes_is_the_same_skeleton(tmp_path: Path) -> None:
    x = draw(6, 3, 10, 25, 2)
    expected = load(x, frames=10).batch(np.arange(6)).joints
    for other in (x.transpose(0, 4, 2, 3, 1), x.transpose(0, 2, 4, 3, 1).reshape(6, 10, 150)):
        torch.testing.assert_close(load(np.ascontiguousarray(other), frames=10).batch(np.arange(6)).joints, expected)
    np.save(tmp_path / "x.npy", x)
    found = load(tmp_path / "x.npy", frames=10)
    assert isinstance(found.sequences, np.memmap)
    torch.testing.assert_close(found.batch(np.arange(6)).joints, expected)
    flat = draw(5, 8, 17, 2)
    assert load(flat, frames=4).batch(np.arange(5)).joints.shape == (5, 2, 4, 17, 1)
    assert load(flat).facts == {"layout": "coco17", "coordinates": 2}


def test_archives_with_their_test_part_and_sequences_of_unequal_lengths(tmp_path: Path) -> None:
    one_hot = np.eye(3)[[0, 1, 2, 0]]
    np.savez(tmp_path / "a.npz", x_train=draw(4, 9, 150), y_train=one_hot, x_test=draw(2, 9, 150), y_test=one_hot[:2])
    found = load(tmp_path / "a.npz")
    assert found.labels.tolist() == [0, 1, 2, 0]
    assert found.splits()["test"].labels.tolist() == [0, 1]
    frames = draw(11, 15, 2)
    np.savez(
        tmp_path / "b.npz",
        train_xy=frames,
        train_off=np.array([0, 4, 11]),
        train_y=np.array([1, 0]),
        classes=["a", "b"],
    )
    ragged = load(tmp_path / "b.npz", frames=4)
    assert ragged.labels.tolist() == ["b", "a"]
    joints = ragged.batch(np.array([0])).joints[0, :, :, :, 0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(joints, frames[:4] - frames[0, 0], rtol=1e-5, atol=1e-6)


def test_frames_are_trimmed_spread_and_centred_and_missing_persons_stay_zero() -> None:
    x = np.zeros((2, 3, 20, 25, 2), np.float32)
    time = np.arange(1, 6, dtype=np.float32)
    x[0, :, :5, :, 0] = time[None, :, None]  # five frames, then zeros, and nobody beside
    x[1] = draw(3, 20, 25, 2)
    joints = SkeletonSet(x, frames=9).batch(np.arange(2)).joints
    torch.testing.assert_close(joints[0, 0, :, 3, 0], torch.linspace(0, 4, 9))
    assert not joints[0, ..., 1].any()
    assert not joints[1, :, 0, 20, 0].any()
    np.testing.assert_array_equal(resampled(x[1], 20), x[1])


def test_what_is_no_skeleton_gets_one_sentence(tmp_path: Path) -> None:
    x = draw(30, 3, 5, 25, 1)
    x[3], x[7, 0, 0, 0, 0] = 0, np.nan
    with pytest.warns(UserWarning, match="2 of 30 sequences"):
        found = load(x)
    assert len(found) == 28
    assert found.ids.tolist()[3] == 4
    assert "nobody is in it" in found.skipped["sequence 3"]
    assert "NaN" in found.skipped["sequence 7"]
    with pytest.raises(BadDataError, match="sequence 3"):
        load(x, strict=True)
    with pytest.raises(ValueError, match=r"shape \(4, 3, 5, 24, 1\).*skeletons are"):
        load(draw(4, 3, 5, 24, 1))
    with pytest.raises(ValueError, match="2 labels for 4 sequences"):
        SkeletonSet(x[10:14], np.arange(2))
    np.savez(tmp_path / "off.npz", train_xy=draw(11, 15, 2), train_off=np.array([0, 4]), train_y=np.array([1]))
    with pytest.raises(ValueError, match="must rise from 0 to its 11 frames"):
        load(tmp_path / "off.npz")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(ValueError, match=r"objects.npy is no .npy file of numbers"):
        load(tmp_path / "objects.npy")
    with pytest.raises(FileNotFoundError, match="embedded are stick-figures"):
        load("nowhere.npz")
    with pytest.raises(ValueError, match="there is no layout 'horse'"):
        layout("horse")


def test_stick_figures_keep_their_bones_and_repeat_with_their_seed() -> None:
    data = stick_figures(24, held_out=12, seed=1)
    joints = data.batch(np.arange(24)).joints.numpy()[..., 0]
    arm = np.linalg.norm(joints[:, :, :, 5] - joints[:, :, :, 4], axis=1)
    assert arm.std(1).max() < 0.05  # noise alone
    assert arm.mean(1).std() > 0.01
    assert set(data.labels) == set(range(len(ACTIONS)))
    again = stick_figures(24, held_out=12, seed=1).batch(np.arange(24)).joints
    assert np.array_equal(again.numpy()[..., 0], joints)


@pytest.mark.parametrize("c", [2, 3])
def test_views_are_what_they_say(c: int) -> None:
    x = torch.randn(64, c, 12, 25 if c == 3 else 17, 2)
    plan = LAYOUTS["ntu25" if c == 3 else "coco17"]
    generator = torch.Generator().manual_seed(0)
    quiet = SkeletonViews(pad=0, shear=0, flip=0, turn=0, noise=0, blur=0, flat=0)
    torch.testing.assert_close(quiet.basic(x, generator), x)
    turned = SkeletonViews(pad=0, shear=0, flip=0, turn=30, noise=0, blur=0, flat=0).strong(x, plan, generator)
    torch.testing.assert_close(turned.norm(dim=1), x.norm(dim=1), rtol=1e-4, atol=1e-5)
    assert (turned - x).abs().amax((1, 2, 3, 4)).min() > 0
    cut = SkeletonViews(shear=0).basic(x, generator)
    first = x[:, :, :2].flip(2)  # two mirrored frames before the first
    starts = torch.cat([first, x, x[:, :, -2:].flip(2)], 2)
    assert all(any(torch.equal(cut[i], starts[i, :, s : s + 12]) for s in range(5)) for i in range(len(x)))
    flipped = SkeletonViews(pad=0, shear=0, flip=1, turn=0, noise=0, blur=0, flat=0).strong(x, plan, generator)
    near = torch.isclose(flipped, x[:, :, :, plan.mirrored], atol=0.2).float().mean()
    assert near > (0.5 if c == 3 else 0.99)  # in space the other axes turn by up to a degree
    flat = SkeletonViews(pad=0, shear=0, flip=0, turn=0, noise=0, blur=0, flat=1).strong(x, plan, generator)
    assert ((flat == 0).all(4).all(3).all(2).sum(1) == 1).all()


def test_smoothing_keeps_the_size_unless_the_released_kernel_is_asked_for() -> None:
    x = torch.ones(64, 3, 40, 25, 1)
    options = {"pad": 0, "shear": 0, "flip": 0, "turn": 0, "noise": 0, "flat": 0}
    plan = LAYOUTS["ntu25"]
    plain = SkeletonViews(**options).strong(x, plan, torch.Generator().manual_seed(0))
    released = SkeletonViews(**options, released_blur=True).strong(x, plan, torch.Generator().manual_seed(0))
    assert plain.max() < 1.06
    assert 2 < released.max() < 5.3


def test_hidden_joints_are_so_many_at_every_time() -> None:
    hidden = hidden_joints(7, 25, 0.1, torch.Generator().manual_seed(0))
    assert (hidden.sum(1) == 2).all()
    assert len(torch.unique(hidden, dim=0)) > 1


def test_graph_convolution_sees_neighbours_by_their_side_of_the_centre() -> None:
    plan = LAYOUTS["ntu25"]
    parts = partitions(plan)
    np.testing.assert_allclose(parts.sum((0, 1)), 1, rtol=1e-6)
    assert parts[2, 5, 4] > 0  # an elbow is farther from the centre than its shoulder
    assert parts[1, 4, 5] > 0
    assert not (parts[1] * parts[2]).any()
    net = STGCN(plan, 3, hidden=4, out_features=6, depth=(1, 1, 1), dropout=0.0)
    assert net(torch.randn(2, 3, 9, 25, 2)).shape == (2, 6)
    with pytest.raises(ValueError, match=r"expected skeletons .* 25 joints \(ntu25\), got \(2, 3, 9, 17, 2\)"):
        net(torch.randn(2, 3, 9, 17, 2))
