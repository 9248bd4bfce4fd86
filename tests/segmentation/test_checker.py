"""`nearfar data`: every kind of damage is found, named with what was expected, and nothing else is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nearfar.cli import main
from nearfar.segmentation.classes import CITYSCAPES_19
from nearfar.segmentation.data import RenderedScenes, load
from nearfar.segmentation.data.checker import check
from nearfar.segmentation.data.files import BadFile, read_label
from nearfar.segmentation.data.writing import write_png, write_scenes

LOOKS = ("noon", "sunset", "night", "foggy")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check") / "street"
    write_scenes(RenderedScenes(range(3), LOOKS, (16, 32)), root, "train")
    write_scenes(RenderedScenes(range(3, 5), LOOKS, (16, 32)), root, "val")
    return root


@pytest.fixture
def scenes(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written, tmp_path / "street"))


def grey(path: Path, value: int, shape: tuple[int, int] = (16, 32)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, np.full(shape, value, np.uint8))


def test_a_sound_folder_has_no_findings(written: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", str(written), "--classes", "carla4agt16"]) == 0
    assert capsys.readouterr().out == "5 scenes in noon, sunset, night, foggy: no findings\n"


DAMAGE = {
    "appearance": (lambda r: (r / "rgb/foggy/000001.png").unlink(), "rgb/foggy/000001.png is missing", "scene 000001"),
    "label": (lambda r: (r / "labels/000002.png").unlink(), "labels/000002.png is missing", "a label map"),
    "label of nothing": (lambda r: grey(r / "labels/9.png", 0), "labels/9.png belongs to no picture", "label maps of"),
    "size of a label": (lambda r: grey(r / "labels/000000.png", 0, (8, 32)), "is 32 x 8 pixels", "32 x 16"),
    "size of a picture": (
        lambda r: write_png(r / "rgb/night/000000.png", np.zeros((16, 30, 3), np.uint8)),
        "rgb/night/000000.png is 30 x 16 pixels",
        "32 x 16",
    ),
    "class number": (
        lambda r: grey(r / "labels/000000.png", 77),
        "unknown class numbers 77 (512 pixels)",
        "cityscapes19",
    ),
    "other labels of an appearance": (
        lambda r: grey(r / "labels/night/000003.png", 0),
        "labels/night/000003.png differs in",
        "one label map for all appearances",
    ),
    "truncated": (
        lambda r: (r / "rgb/noon/000000.png").write_bytes((r / "rgb/noon/000000.png").read_bytes()[:300]),
        "rgb/noon/000000.png cannot be decoded",
        "a whole picture",
    ),
    "16 bits": (
        lambda r: Image.fromarray(np.full((16, 32), 1000, np.uint16)).save(r / "labels/000000.png"),
        "labels/000000.png holds values up to 1000",
        "class numbers within 0..255",
    ),
    "colours": (
        lambda r: write_png(r / "labels/000000.png", np.zeros((16, 32, 3), np.uint8)),
        "is a picture of mode RGB",
        "one channel of class numbers",
    ),
    "split names nothing": (
        lambda r: (r / "splits/val.txt").write_text("000003\n000004\n000007\n"),
        "val.txt names scene '000007', which has no pictures",
        "scenes that are there",
    ),
    "splits overlap": (
        lambda r: (r / "splits/val.txt").write_text("000003\n000002\n"),
        "val.txt names scene '000002', as train.txt does",
        "splits without overlap",
    ),
    "no configuration": (lambda r: (r / "configs/000004.json").unlink(), "configs/000004.json is missing", "JSON"),
    "no JSON": (lambda r: (r / "configs/000004.json").write_text("{"), "000004.json is not JSON", "configuration"),
    "incomplete configuration": (
        lambda r: (r / "configs/000004.json").write_text('{"town": "Town01"}'),
        "lacks carla_version, seed, frame, camera",
        "every field",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_every_damage_is_the_only_finding(scenes: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    damage, found, expected = DAMAGE[kind]
    damage(scenes)
    assert main(["data", "check", str(scenes), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert found in f"{finding['file']} {finding['found']}"
    assert expected in finding["expected"]
    assert main(["data", "check", str(scenes)]) == 1
    assert found in capsys.readouterr().out


def test_the_reader_says_the_same(scenes: Path) -> None:
    grey(scenes / "labels/000000.png", 77)
    (finding,) = check(scenes).findings
    with pytest.raises(BadFile) as caught:
        load(scenes).batch(np.array([0]))
    assert str(caught.value) == str(finding)


def test_palette_labels_and_narrow_16_bit_ones_are_sound(scenes: Path) -> None:
    values = read_label(scenes / "labels/000000.png")
    palette = Image.fromarray(values, "P")
    palette.putpalette([9, 9, 9] * 256)
    palette.save(scenes / "labels/000000.png")
    Image.fromarray(read_label(scenes / "labels/000001.png").astype(np.uint16)).save(scenes / "labels/000001.png")
    assert not check(scenes).findings


def test_classes_outside_the_wanted_set(scenes: Path) -> None:
    grey(scenes / "labels/000002.png", CITYSCAPES_19.index("truck"))
    assert not check(scenes).findings
    (finding,) = check(scenes, classes="carla4agt16").findings
    assert finding.found == "holds unknown class numbers 14 (512 pixels)"
    with pytest.raises(ValueError, match="there is no class set"):
        check(scenes, classes="carla")


def test_statistics_that_are_out_of_date(scenes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "stats", str(scenes)]) == 0
    assert not check(scenes).findings
    grey(scenes / "labels/000002.png", 1)
    (finding,) = check(scenes).findings
    assert finding.found == "states other numbers of pixels"


def test_published_data_is_checked_too(tmp_path: Path) -> None:
    name = "aachen/aachen_000000_000019"
    for split in ("train", "val"):
        write_png(tmp_path / f"leftImg8bit/{split}/{name}_leftImg8bit.png", np.zeros((16, 32, 3), np.uint8))
        grey(tmp_path / f"gtFine/{split}/{name}_gtFine_labelIds.png", 33)
    assert not check(tmp_path).findings
    grey(tmp_path / f"gtFine/val/{name}_gtFine_labelIds.png", 40)
    (finding,) = check(tmp_path).findings
    assert finding.expected == "those of Cityscapes label ids, or 255"


def test_export_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert main(["data", "export", "street", "--out", str(out), "--scenes", "2", "--size", "16"]) == 0
    assert check(out).scenes == 42
    assert not check(out).findings
    assert main(["data", "export", "street", "--out", str(out), "--scenes", "2", "--size", "16"]) == 2
    assert "train.txt exists already" in capsys.readouterr().err
    assert main(["data", "check", str(tmp_path / "none")]) == 2
    assert "there is no folder" in capsys.readouterr().err
