"""Videos from files, folders and arrays, and what is made of them: clips, views, changes."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from nearfar.sources.skipped import BadDataError
from nearfar.video.clip_views import cut, recoloured, residual_frames, reversed_blocks, starts, swapped_chunks, turned
from nearfar.video.data import VideoArray, VideoFiles, load
from nearfar.video.data.decode import pictures_in
from nearfar.vision.views import Recipe
from tests.parity import ParityCase, parity


def _write(path: Path, shades: list[int], codec: str = "mpeg4") -> None:
    """A film of plain frames, 32 wide and 24 high."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        for shade in shades:
            frame = av.VideoFrame.from_ndarray(np.full((24, 32, 3), shade, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _frames(folder: Path, shades: list[int]) -> None:
    folder.mkdir(parents=True)
    for number, shade in enumerate(shades):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16, 3), shade, np.uint8))


@pytest.mark.parametrize("case", parity("pretext-contrastive", "clip_transforms"))
def test_changes_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    clips = arrays["in_x"].detach()[None]
    same = torch.testing.assert_close
    same(residual_frames(clips, wrap=True)[0], arrays["out_residual"])
    same(residual_frames(clips)[0], arrays["out_residual"][:, 1:])
    same(reversed_blocks(clips)[0], arrays["out_spatial"])
    for quarters in (1, 2, 3):
        same(turned(clips, quarters)[0], arrays[f"out_rot{quarters}"])
    for seed in (0, 1, 2):
        order = arrays[f"out_shuffle_order_s{seed}"].tolist()
        first, second = [place for place in range(4) if order[place] != place]
        same(swapped_chunks(clips, first, second)[0], arrays[f"out_shuffle_s{seed}"])


def test_a_changed_clip_keeps_its_pixels_and_twice_changed_is_unchanged() -> None:
    clips = torch.rand(2, 3, 9, 7, 5)
    for change in (reversed_blocks, lambda x: swapped_chunks(x, 0, 3), lambda x: turned(x, 2)):
        torch.testing.assert_close(change(clips).flatten().sort()[0], clips.flatten().sort()[0])
    even = torch.rand(2, 3, 8, 6, 4)
    torch.testing.assert_close(reversed_blocks(reversed_blocks(even)), even)
    torch.testing.assert_close(swapped_chunks(swapped_chunks(even, 1, 2), 1, 2), even)


def test_all_frames_of_a_clip_get_one_draw() -> None:
    still = torch.randint(256, (4, 1, 20, 20, 3), dtype=torch.uint8).expand(4, 6, 20, 20, 3)
    recipe = Recipe(size=12, scale=(0.4, 0.9), flip=0.5, gray_p=0.5, brightness=0.4, jitter_p=1.0)
    views = recoloured(still, recipe, torch.Generator().manual_seed(0))
    assert views.shape == (4, 3, 6, 12, 12)
    assert residual_frames(views).abs().max() == 0
    assert (views[0] - views[1]).abs().max() > 0.05
    plain = recoloured(still[:, :, :12, :12], Recipe(size=12))
    torch.testing.assert_close((255 * plain).round().byte().permute(0, 2, 3, 4, 1), still[:, :, :12, :12])


def test_clips_lie_where_they_should() -> None:
    generator = torch.Generator().manual_seed(0)
    first, elsewhere, there = starts(200, 24, 8, 7, 8, generator)
    assert first.min() == 0
    assert first.max() == 24 - 8 - 14
    assert (first + 7 - elsewhere).abs()[there].min() >= 8
    assert there.any()
    assert elsewhere.max() <= 16
    assert not starts(4, 22, 8, 7, 99, generator)[2].any()  # nowhere is that far
    with pytest.raises(ValueError, match=r"20 frames; three clips of 8 frames, 7 apart, need 22"):
        starts(4, 20, 8, 7, 8, generator)
    frames = torch.arange(10).view(1, 10, 1, 1, 1).expand(2, 10, 2, 2, 3)
    assert cut(frames, torch.tensor([0, 5]), 3)[:, :, 0, 0, 0].tolist() == [[0, 1, 2], [5, 6, 7]]


def test_videos_and_folders_of_frames_are_read_by_their_classes(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "dark" / "a.avi", [10] * 5)
    _write(tmp_path / "train" / "light" / "b.mp4", [40, 80, 120, 160, 200, 240])
    _frames(tmp_path / "train" / "light" / "c", list(range(100, 112)))
    _write(tmp_path / "test" / "dark" / "d.avi", [20] * 4)
    (tmp_path / "train" / "dark" / "broken.avi").write_bytes(b"RIFF no film at all")
    data = load(tmp_path, frames=6, size=16, max_bad=0.5)
    assert isinstance(data, VideoFiles)
    assert list(data.ids) == ["dark/a.avi", "light/b.mp4", "light/c"]
    assert list(data.labels) == ["dark", "light", "light"]
    assert list(data.splits()) == ["test"]
    batch = data.batch(np.arange(3))
    assert batch.frames.shape == (3, 6, 16, 16, 3)
    shades = batch.frames.float().mean((2, 3, 4))
    torch.testing.assert_close(shades[0], torch.full((6,), 10.0), rtol=0, atol=6)
    torch.testing.assert_close(shades[1], torch.tensor([40.0, 80, 120, 160, 200, 240]), rtol=0, atol=6)
    torch.testing.assert_close(shades[2], torch.tensor([100.0, 102, 104, 107, 109, 111]), rtol=0, atol=0.5)
    assert [path.name for path in pictures_in(tmp_path / "train" / "light" / "c")][9:] == ["9.png", "10.png", "11.png"]
    assert list(data.contents()) != []
    with pytest.raises(BadDataError, match="broken"):
        load(tmp_path, frames=6, size=16, strict=True)


def test_a_video_that_turns_out_to_be_damaged_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "a.avi", [50] * 4)
    _frames(tmp_path / "b", [60, 70])
    (tmp_path / "b" / "1.png").write_bytes(b"no picture")
    data = load(tmp_path, frames=4, size=16, max_bad=0.6)
    assert data.readable(np.arange(2)).tolist() == [True, True]
    batch = data.batch(np.array([1]))
    assert batch.rows.tolist() == [0]  # another stands in
    assert data.readable(np.arange(2)).tolist() == [True, False]


def test_arrays_of_videos(tmp_path: Path) -> None:
    videos = np.random.default_rng(0).integers(0, 256, (4, 5, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", x=videos, y=np.array([0, 1, 0, 1]))
    np.save(tmp_path / "b.npy", videos)
    for where in (tmp_path / "a.npz", tmp_path / "b.npy", videos):
        data = load(where)
        assert isinstance(data, VideoArray)
        np.testing.assert_array_equal(data.batch(np.array([2])).frames[0].numpy(), videos[2])
    assert load(tmp_path / "a.npz").labels.tolist() == [0, 1, 0, 1]


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no video"):
        load(tmp_path)
    (tmp_path / "a.mp4").write_text("#EXTM3U\nhttp://example.org/a.ts\n")  # a playlist is no video
    with pytest.raises(ValueError, match=r"no readable video.*no \.mp4 video"):
        load(tmp_path)
    with pytest.raises(ValueError, match="frames must be at least 2"):
        VideoFiles([tmp_path / "a.mp4"], names=["a"], frames=1)
    with pytest.raises(ValueError, match=r"must be \(N, T, H, W, 3\) uint8"):
        VideoArray(np.zeros((2, 3, 8, 8, 3), np.float32))
    with pytest.raises(ValueError, match="3 labels for 2 videos"):
        VideoArray(np.zeros((2, 3, 8, 8, 3), np.uint8), np.zeros(3))
