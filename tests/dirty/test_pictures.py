"""Folders of pictures that hold anything: what can be read is read right, the rest is named, and no run is lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar import workflow
from nearfar.catalogue import METHODS
from nearfar.cli import main
from nearfar.sources.skipped import BadDataError, Skipped
from nearfar.training import StepLoader, StepSampler, Training, embed
from nearfar.vision.data import ImageFolder, load
from nearfar.vision.data.decode import decode
from nearfar.vision.data.encoded import LEAST, MOST
from tests.dirty import corpus

Corpus = tuple[Path, dict[str, corpus.Good], set[str]]


@pytest.fixture(autouse=True)
def never_waits() -> Iterator[None]:
    """A pipe or device that is opened would block for ever."""
    signal.alarm(120)
    yield
    signal.alarm(0)


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    root = tmp_path_factory.mktemp("dirty") / "pictures"
    return root, *corpus.write(root)


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """Eleven pictures of several sizes, and one whose damage only decoding finds."""
    root = tmp_path / "pictures"
    root.mkdir()
    for i in range(11):
        (root / f"{i:02}.png").write_bytes(corpus.encoded(corpus.clean(20 + i, 50 - 2 * i), "PNG"))
    (root / "04b.png").write_bytes(corpus.damaged_inside())
    return root


# Reading ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [False, True])
def test_what_can_be_read_is_kept_and_everything_else_named_with_a_reason(dirty: Corpus, verify: bool) -> None:
    root, good, bad = dirty
    assert len(bad) > 100
    assert len(good) > 200
    with pytest.warns(UserWarning, match=f"{len(bad)} of {len(good) + len(bad)} files .* were left out") as said:
        data = ImageFolder(root, 16, max_bad=0.5, verify=verify)
    assert len(said) == 1
    assert set(data.skipped) == bad
    assert set(data.files) == set(good)
    for where, reason in data.skipped.items():
        assert len(reason) > 10, (where, reason)
        assert (where + reason).isprintable()
        assert str(root) not in reason
    assert all(str(name).isprintable() or "\u202e" in name or "\u200d" in name for name in data.ids)


def test_every_readable_file_gives_the_picture_it_was_made_from(dirty: Corpus) -> None:
    root, good, _ = dirty
    for name, (_, picture, tolerance) in good.items():
        found = decode(root / name)
        assert found.shape == picture.shape, name
        assert found.dtype == np.uint8
        assert np.abs(found.astype(int) - picture).mean() <= tolerance, name


def test_the_good_files_of_the_corpus_give_the_batches_of_a_folder_without_the_bad(dirty: Corpus) -> None:
    root, good, _ = dirty
    with pytest.warns(UserWarning, match="left out"):
        data = ImageFolder(root, 16, max_bad=0.5)
    alone = ImageFolder(root, 16, files=[root / name for name in good])
    rows = np.random.default_rng(0).permutation(len(alone))[:48]
    for ours, theirs in zip(data.training_batch(rows), alone.training_batch(rows), strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))
    assert torch.equal(data.batch(rows).images, alone.batch(rows).images)
    assert data.ids.tolist() == alone.ids.tolist()


def test_too_many_unreadable_files_stop_the_run_with_a_sentence(dirty: Corpus, tmp_path: Path, capsys) -> None:
    root, good, bad = dirty
    with pytest.raises(
        BadDataError, match=rf"{len(bad)} of {len(good) + len(bad)} files .* share of 0\.1 that max_bad"
    ):
        load(root, size=16)
    with pytest.raises(BadDataError, match=r"^bombs/0\.png cannot be used: it claims .* Without strict"):
        load(root, size=16, strict=True)
    with pytest.raises(ValueError, match=r"max_bad is the largest share of unreadable files, in \[0, 1\]; got 2"):
        load(root, size=16, max_bad=2)
    assert main(["train", "simclr", "--data", str(root), "--out", str(tmp_path / "run"), "--strict"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("nearfar: bombs/0.png cannot be used")
    assert not (tmp_path / "run").exists()
    with pytest.raises(ValueError, match=r"holds no readable picture: 11 files .* could be decoded, the first"):
        load(root / "others", max_bad=1)


# Damage that is met while training --------------------------------------------------------------------------


def batches(root: Path, workers: int, journal: Path | None = None, steps: int = 9) -> list[list[Any]]:
    data = ImageFolder(root, 12)
    if journal is not None:
        data.skipped.keep_in(journal)
    return [[*batch] for batch in StepLoader(data, StepSampler(len(data), 5, steps, seed=3), workers=workers)]


def test_a_file_found_bad_later_is_replaced_alike_for_any_workers_and_listed_once(
    damaged: Path, tmp_path: Path
) -> None:
    journal = tmp_path / "skipped.tsv"
    alone, shared = batches(damaged, 0), batches(damaged, 2, journal)
    for one, other in zip(alone, shared, strict=True):
        assert all(torch.equal(torch.as_tensor(a), torch.as_tensor(b)) for a, b in zip(one, other, strict=True))
    bad = ImageFolder(damaged, 12).files.index("04b.png")
    assert all(bad not in batch[1] for batch in alone)
    assert all(len(set(batch[1].tolist())) == 5 for batch in alone)
    assert any(bad in order for order in StepSampler(12, 5, 9, seed=3))
    batches(damaged, 2, journal)
    assert journal.read_text().splitlines()[0] == "where\treason"
    (line,) = journal.read_text().splitlines()[1:]
    assert line.startswith("04b.png\t")


def test_a_run_lists_what_it_met_and_resuming_lists_it_no_second_time(damaged: Path, tmp_path: Path) -> None:
    (damaged / "99.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 13 files"):
        _, run = workflow.train(
            "simclr",
            data=damaged,
            out=tmp_path / "run",
            arguments={"encoder": "small-conv"},
            training=Training(steps=4, batch_size=6, checkpoint_every=2, monitor_every=-1),
            data_options={"size": 12, "max_bad": 0.2},
            progress=False,
        )
    assert run is not None
    listed = (run.path / "skipped.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in listed] == ["where", "99.png", "04b.png"]
    run.unlock()
    weights = run.encoder_path.read_bytes()
    run.encoder_path.unlink()
    newest = run.latest_checkpoint()
    assert newest is not None
    for file in run.checkpoints.glob(f"{newest.name}*"):
        file.unlink()
    with pytest.warns(UserWarning, match="1 of 13 files"):
        workflow.resume_run(run.path, progress=False)
    assert (run.path / "skipped.tsv").read_text().splitlines() == listed
    assert run.encoder_path.read_bytes() == weights


@pytest.mark.parametrize("workers", [0, 2])
def test_damage_met_later_counts_too(damaged: Path, workers: int, tmp_path: Path) -> None:
    for name in ("05.png", "06.png"):
        (damaged / name).write_bytes(corpus.damaged_inside())
    # Of two workers the one that met the third may be the first to be heard.
    met = "[23]" if workers else "2"
    said = rf"^{met} of 12 files of the data cannot be used, more than the share of 0\.1"
    with pytest.raises(BadDataError, match=said):
        batches(damaged, workers, tmp_path / "skipped.tsv")


def test_checking_everything_first_leaves_nothing_to_find(damaged: Path) -> None:
    with pytest.warns(UserWarning, match="1 of 12 files"):
        data = ImageFolder(damaged, 12, verify=True)
    assert set(data.skipped) == {"04b.png"}
    assert len(data) == 11


def test_embedding_leaves_a_damaged_picture_out(damaged: Path) -> None:
    method = workflow.build_method(next(s for s in METHODS if s.slug == "simclr"), {"encoder": "small-conv"}, toy(), 0)
    data = ImageFolder(damaged, 12)
    found = embed(method, data, batch_size=5)
    (damaged / "04b.png").unlink()
    clean = embed(method, ImageFolder(damaged, 12), batch_size=5)
    assert found.ids.tolist() == clean.ids.tolist()
    assert np.allclose(found.array, clean.array, atol=1e-5)


def test_names_of_any_bytes_fit_a_list_and_several_parts_share_it(tmp_path: Path) -> None:
    train, test = Skipped(9, folder="train"), Skipped(3, max_bad=0.4, folder="test")
    for part in (train, test):
        part.keep_in(tmp_path / "list.tsv")
    test.add("a\tb\nc\udcff\u2028.png", "it is\nempty")
    train.max_bad = 0.2
    train.add("plain.png", "gone")
    assert (tmp_path / "list.tsv").read_text().splitlines() == [
        "where\treason",
        "test/a\\tb\\nc\\udcff\\u2028.png\tit is\\nempty",
        "train/plain.png\tgone",
    ]
    with pytest.raises(BadDataError, match="2 of 9 files"):
        train.add("other.png", "gone")


# Whole pictures of several sizes ----------------------------------------------------------------------------


def test_a_training_batch_holds_whole_pictures_and_their_sizes(tmp_path: Path) -> None:
    shapes = [(40, 60), (300, 220), (19, 31), (700, 120), (1, 9), (64, 4000), (3, 999), (900, 1300), (901, 1302)]
    for i, (height, width) in enumerate(shapes):
        kind = ("JPEG", "PNG")[i % 2]
        (tmp_path / f"{i}.png").write_bytes(corpus.encoded(corpus.clean(height, width), kind))
    batch = ImageFolder(tmp_path, 32).training_batch(np.arange(len(shapes)))
    for image, size, (height, width) in zip(batch.images, batch.sizes.tolist(), shapes, strict=True):
        factor = round(min(height, width) / min(size))
        assert factor in (1, 2, 4, 16)
        assert factor == 1 or min(size) >= 32 * LEAST / (1 if max(height, width) / factor < 32 * MOST / 2 else 2)
        assert max(size) <= 32 * MOST
        if max(height, width) > 3 * min(height, width):  # the ends are cut off, where they do not fit
            assert max(size) == min(32 * MOST, max(height, width))
            continue
        assert max(height / size[0], width / size[1]) <= factor
        picture, padding = image[:, : size[0], : size[1]].permute(1, 2, 0).numpy(), image.clone()
        padding[:, : size[0], : size[1]] = 0
        assert (padding == 0).all()
        corners = picture[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int)
        wanted = corpus.clean(height, width)[[0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.abs(corners - wanted).max() < 24  # nothing is cut off; halving blurs a little
    assert batch.side == 32


@pytest.mark.parametrize(
    "slug", [s.slug for s in METHODS if s.field == "vision" or s.slug.startswith(("pixpro", "densecl"))]
)
def test_no_method_sees_what_lies_beyond_a_picture(slug: str) -> None:
    """Each picture is of one colour, so every view of it must be, whatever is done to the colours."""
    from nearfar.vision.method import ImageBatch

    system = next(s for s in METHODS if s.slug == slug)
    arguments, _ = workflow.laptop_settings(system)
    method = workflow.build_method(system, arguments, toy(), 0)
    noise = np.random.default_rng(0).integers(0, 256, (36, 3, 64, 64), dtype=np.uint8)
    images, sizes = (
        torch.from_numpy(noise),
        torch.tensor([[24, 64], [64, 24], [30, 20], [16, 16], [64, 40], [7, 9]] * 6),
    )
    for image, (height, width) in zip(images, sizes.tolist(), strict=True):
        image[:, :height, :width] = image[:, :1, :1].clone()
    views = method.views(ImageBatch(images, torch.arange(36), sizes, 16))
    pictures = [v for v in views if isinstance(v, torch.Tensor) and v.ndim == 4]
    assert pictures
    for view in pictures:
        if slug == "jigclu":  # four pictures in each view
            view = torch.cat([half.flatten(2) for rows in view.chunk(2, 2) for half in rows.chunk(2, 3)])
        assert view.flatten(2).std(2).max() < 1e-3


def toy() -> Any:
    return load(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), dtype=np.uint8))
