"""What all generating systems share: draws, writing into folders, going on, measuring, showing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar.generation.data import Blank, PictureBatch, load
from nearfar.generation.evaluation import distance, evaluate, fidelity, real_pictures
from nearfar.generation.made import Made, Picture
from nearfar.generation.method import Draws, Generates, pictures_made
from nearfar.generation.sheets import sheet
from nearfar.generation.writing import INDEX, index, inputs, pending, write
from nearfar.system import Procedure


class Noisy(Generates, Procedure):
    """The picture with noise of its own on it, and new noise."""

    verbs = ("generates",)
    takes = PictureBatch
    from_nothing = True

    def __init__(self, amount: float = 0.1) -> None:
        self.amount = amount

    def make(self, batch: Any, draws: Draws) -> list[Made]:
        noise = self.amount * draws.normal(3, 8, 8)
        if isinstance(batch, PictureBatch):
            return pictures_made(batch, batch.images / 127.5 - 1 + noise, reference=True)
        return pictures_made(batch, noise)


@pytest.fixture(scope="module")
def sprites() -> Any:
    return load(size=8, examples=30)


def pixels(made: Iterator[Made]) -> np.ndarray:
    return np.stack([each.thing.picture() for each in made])


def test_an_example_is_made_of_the_same_draws_in_any_batch(sprites: Any) -> None:
    few = inputs(sprites, 7)
    whole = pixels(Noisy().generate(few, seed=3, batch_size=7))
    assert np.array_equal(whole, pixels(Noisy().generate(few, seed=3, batch_size=2)))
    assert np.array_equal(whole[4:5], pixels(Noisy().generate(few.subset(np.array([4])), seed=3)))
    assert not np.array_equal(whole, pixels(Noisy().generate(few, seed=4)))
    assert np.array_equal(pixels(Noisy().generate(Blank(3))), pixels(Noisy().generate(Blank(9)))[:3])


def test_draws_choose_by_probability() -> None:
    draws = Draws(0, torch.arange(400))
    shares = torch.tensor([0.0, 1.0, 3.0]).expand(400, 2, 3)
    found = draws.choose(shares)
    assert found.shape == (400, 2)
    assert 0 not in found
    assert abs((found == 2).float().mean() - 0.75) < 0.06


def test_a_folder_that_was_interrupted_is_gone_on_with(sprites: Any, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert len(write(Noisy().generate(pending(sprites, whole, 6)), whole)) == 6

    def stopping() -> Iterator[Made]:
        for number, each in enumerate(Noisy().generate(pending(sprites, cut, 6))):
            if number == 3:
                raise KeyboardInterrupt
            yield each

    with pytest.raises(KeyboardInterrupt):
        write(stopping(), cut)
    with open(cut / INDEX, "a") as file:
        file.write('{"row": 4, "files": ["0000')  # the machine went off in the middle of a line
    (cut / "000001.png").unlink()
    rest = pending(sprites, cut, 6)
    assert [*rest.indices] == [1, 3, 4, 5]
    write(Noisy().generate(rest), cut)
    names = sorted(path.name for path in whole.glob("*.png"))
    assert names == sorted(path.name for path in cut.glob("*.png")) == [f"{n:06d}.png" for n in range(6)]
    assert all((whole / name).read_bytes() == (cut / name).read_bytes() for name in names)
    assert sorted(line["row"] for line in index(cut)) == [*range(6)]
    assert index(whole)[0]["caption"].startswith("a ")


def test_names_in_a_folders_index_lead_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("mine")
    folder = tmp_path / "made"
    folder.mkdir()
    lines = [
        {"row": 0, "files": ["../other.txt"]},
        {"row": 1, "files": 3},
        {"files": []},
        [1],
        {"row": 2, "files": [4]},
    ]
    (folder / INDEX).write_text("\n".join(map(json.dumps, lines)))
    assert index(folder) == []


def test_made_things_are_measured_and_shown(sprites: Any) -> None:
    little, much = (evaluate(Noisy(amount), sprites) for amount in (0.05, 0.5))
    assert little["psnr"] > much["psnr"] + 10
    assert little["ssim"] > much["ssim"]
    assert little["frechet random convolutions"] < much["frechet random convolutions"]
    assert little.better["frechet random convolutions"] == "lower"
    made = [*Noisy().generate(inputs(sprites, 3))]
    assert sheet(made).shape == (64 * 2 + 2, 64 * 3 + 4, 3)
    exact = [Made(0, {"": made[0].given}, reference=made[0].given)]
    assert fidelity(exact)["psnr"] == 100.0
    assert fidelity([Made(0, {"": made[0].given})]) == {}
    real = real_pictures(sprites)
    assert distance([Picture(each) for each in real], real)["frechet random convolutions"] < 1e-6


def test_what_nothing_can_be_made_of_is_refused(sprites: Any) -> None:
    class Only(Noisy):
        from_nothing = False

    with pytest.raises(TypeError, match="Only works on PictureBatch, and new gives BlankBatch"):
        next(Only().generate(Blank(2)))
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        next(Noisy().generate(sprites, batch_size=0))
    with pytest.raises(ValueError, match="between 1 and 1,000,000 new things"):
        Blank(0)
    with pytest.raises(FileNotFoundError, match="embedded are sprites, "):
        load("nowhere")
    with pytest.raises(ValueError, match="size must be at least 8"):
        load(size=4)


def test_sources_of_pictures(tmp_path: Path, sprites: Any) -> None:
    from PIL import Image

    found = sprites.batch(np.array([1, 0]))
    assert found.images.shape == (2, 3, 8, 8)
    assert found.labels.tolist() == sprites.factors[[1, 0], 0].tolist()
    assert sprites.facts == {"side": 8, "num_classes": 3}
    assert found.captions[0].split()[2] in ("red", "green", "blue")
    digits = load("digits")
    assert digits.facts == {"side": 8, "num_classes": 10}
    assert len(digits) + len(digits.splits()["test"]) == 1797
    for number in range(3):
        Image.fromarray(np.full((12, 12, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
    folder = load(tmp_path, size=8)
    assert folder.batch(np.arange(3)).labels.tolist() == [-1, -1, -1]
    (tmp_path / "table.csv").write_text("image,caption\n0.png,a dark one\n2.png,a light one\n")
    table = load(tmp_path / "table.csv", size=8)
    assert table.batch(np.array([1])).captions == ["a light one"]
    array = load(np.zeros((4, 9, 9, 3), np.uint8))
    assert array.batch(np.arange(2)).images.shape == (2, 3, 9, 9)
