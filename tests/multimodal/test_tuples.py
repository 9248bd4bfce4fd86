"""Rows of any number of modalities: reading them, Symile, CMC and pairwise contrast on them."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.losses import symmetric_info_nce
from nearfar.multimodal.data import Column, Tuples, load
from nearfar.multimodal.data.generated import xor
from nearfar.multimodal.methods import CMC, Symile
from nearfar.multimodal.tuple_method import pairwise
from nearfar.parts import InstanceMemory
from nearfar.reproductions.arms import build, train
from nearfar.sources.skipped import BadDataError
from nearfar.testing import check_method
from tests.parity import ParityCase, parity

soundfile = pytest.importorskip("soundfile")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 rows of a picture, a sound, a text and two numbers that one hidden number decides; some cells missing."""
    root = tmp_path_factory.mktemp("rows")
    rng = np.random.default_rng(0)
    with open(root / "rows.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["photo", "recording", "note", "height", "weight", "label", "split"])
        for row in range(40):
            kind = row % 4
            Image.fromarray(np.full((20, 30, 3), 60 * kind, np.uint8)).save(root / f"{row}.png")
            wave = 0.3 * np.sin(2 * np.pi * 200 * (kind + 1) * np.arange(4000) / 8000) + rng.normal(0, 0.01, 4000)
            soundfile.write(root / f"{row}.wav", wave, 8000)
            cells = [f"{row}.png", f"{row}.wav", f"a thing of kind {kind}", str(kind + 0.5), str(rng.normal())]
            if row in (5, 6):
                cells[row - 5] = ""
            if row == 9:
                cells[3:5] = ["", "nan"]
            table.writerow([*cells, f"kind {kind}", "test" if row >= 32 else "train"])
    return root


def read(folder: Path, **options: object) -> Tuples:
    found = load(folder / "rows.csv", size=16, rate=8000, seconds=0.4, **options)  # type: ignore[arg-type]
    assert isinstance(found, Tuples)
    return found


def test_a_table_tells_its_modalities(folder: Path) -> None:
    rows = read(folder)
    assert rows.modalities.names == ("photo", "recording", "note", "numbers")
    assert rows.modalities.kinds == ("picture", "sound", "text", "numbers")
    assert len(rows) == 32
    assert len(rows.splits()["test"]) == 8
    assert "photo: picture, 39 of 40 rows" in rows.notes
    batch = rows.batch(np.arange(4, 10))
    assert batch.present.tolist() == [
        [True] * 4, [False, True, True, True], [True, False, True, True], [True] * 4, [True] * 4, [True] * 3 + [False]
    ]  # fmt: skip
    assert batch.cells["photo"].shape == (6, 3, 16, 16)
    assert batch.cells["recording"].shape == (6, 3200)
    assert torch.equal(batch.cells["photo"][1], batch.cells["photo"][2])  # stands in, so that statistics stay natural
    assert torch.allclose(torch.tensor(rows.modalities.centres[3]), torch.tensor([2.0, 0.0]), atol=0.6)


def test_modalities_are_chosen_and_joined(folder: Path) -> None:
    rows = read(folder, modalities="note, height+weight")
    assert rows.modalities.names == ("note", "height+weight")
    assert any(note.startswith("columns not taken: photo") for note in rows.notes)
    with pytest.raises(ValueError, match="has no column 'size'"):
        read(folder, modalities="note,size")
    with pytest.raises(ValueError, match=r"joins columns of numbers by \+"):
        read(folder, modalities="note+height,photo")
    with pytest.raises(ValueError, match="fewer than two modalities"):
        read(folder, modalities="note")


def test_bad_cells_are_listed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.wav").write_bytes(b"RIFF no sound")
    (tmp_path / "rows.csv").write_text(
        "recording,note,height\ngone.wav,a,1\nbad.wav,b,2\n,c,\n0.wav,d,four\n0.wav,e,5\n0.wav,f,inf\n"
        + "0.wav,g,1\n" * 6
    )
    (tmp_path / "0.wav").write_bytes((folder / "0.wav").read_bytes())
    with pytest.warns(UserWarning, match="5 of 12 rows"):
        found = load(tmp_path / "rows.csv", modalities="recording,note,height", max_bad=0.5)
    assert isinstance(found, Tuples)
    assert len(found) == 7
    assert found.skipped["line 2"] == "gone.wav: there is no such file"
    assert found.skipped["line 3"].startswith("bad.wav: it is no sound that can be read")
    assert found.skipped["line 4"] == "it has note alone"
    assert found.skipped["line 5"] == "height: 'four' is no number"
    assert found.skipped["line 7"] == "height: it holds an infinite value"
    with pytest.raises(BadDataError, match="max_bad"):
        load(tmp_path / "rows.csv", modalities="recording,note,height")


def test_parquet_holds_lists_and_pictures(folder: Path, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = {
        "vitals": [[1.0, 2.0, None], [2.0, 3.0, 4.0], None, [0.0, 0.0, 1.0]],
        "scan": [(folder / f"{row}.png").read_bytes() for row in range(4)],
        "text": ["a", "b", "c", None],
    }
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    rows = load(tmp_path / "rows.parquet", size=16, modalities="vitals,scan,text")
    assert isinstance(rows, Tuples)
    assert rows.modalities.kinds == ("numbers", "picture", "text")
    assert rows.batch(np.arange(4)).present.sum(0).tolist() == [3, 4, 3]


@pytest.mark.parametrize(
    ("slug", "changes"),
    [("symile", {}), ("symile", {"objective": "pairwise"}), ("cmc", {"drawn": 16}), ("cmc", {"negatives": "batch"})],
)
def test_all_train_on_one_table(folder: Path, slug: str, changes: dict) -> None:
    rows = read(folder)
    method = build(slug, rows, 0, **changes)
    train(slug, method, rows, 0, steps=3, batch_size=16)
    scores = method.evaluate(rows)  # type: ignore[operator]
    assert set(scores) >= {"R@1 photo test", "R@1 recording test", "R@1 note test", "R@1 numbers test", "knn test"}
    assert all(np.isfinite(value) for value in scores.values())


def test_symile_learns_the_exclusive_or_and_pairs_cannot() -> None:
    data = xor(1500, held_out=200)
    found = {}
    for objective in ("tuple", "pairwise"):
        method = build("symile", data, 0, objective=objective, projection_dim=32)
        train("symile", method, data, 0, steps=120, batch_size=128)
        found[objective] = method.evaluate(data)  # type: ignore[operator]
    assert found["tuple"]["R@1 b test"] > 0.8
    assert found["pairwise"]["R@1 b test"] < 0.2
    assert found["tuple"]["effective_rank"] > 4


@pytest.mark.parametrize("case", parity("symile", "retrieval"))
def test_a_modality_is_found_as_released(case: ParityCase) -> None:
    """The released scores are times its scale, and those of pairs have a number beside them that is one for all
    candidates of a row: neither moves a rank."""
    a = case.load()
    given, candidates, scale = [a["in_q0"], a["in_q1"]], a["in_candidates"], a["in_scale"]
    method = Symile.__new__(Symile)
    torch.nn.Module.__init__(method)
    method.objective = "tuple"
    found = method.match(given, candidates)
    torch.testing.assert_close(found, a["out_mip"], rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(scale * found, a["out_symile"], rtol=1e-9, atol=1e-10)
    method.objective = "pairwise"
    beside = (given[0] * given[1]).sum(1, keepdim=True)
    torch.testing.assert_close(scale * (method.match(given, candidates) + beside), a["out_clip"], rtol=1e-9, atol=1e-10)


def test_pairs_are_summed_as_released() -> None:
    """Symile's baseline: CLIP's loss of each of the three pairs, added."""
    parts = [torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    loss = partial(symmetric_info_nce, temperature=0.2, normalize=False)
    found = pairwise(tuple(parts), torch.ones(5, 3, dtype=torch.bool), loss)
    target, slow = torch.arange(5), torch.zeros((), dtype=torch.float64)
    for a, b in ((0, 1), (1, 2), (0, 2)):
        logits = parts[a] @ parts[b].T / 0.2
        both = [torch.nn.functional.cross_entropy(x, target) for x in (logits, logits.T)]
        slow = slow + (both[0] + both[1]) / 2
    torch.testing.assert_close(found, slow)


def test_cmc_finds_views_and_moves_its_memories() -> None:
    data = xor(600, mixing=0.0, held_out=200)  # where the third view is the first
    method = build("cmc", data, 0, drawn=64, form="nce")
    assert isinstance(method, CMC)
    before = method.evaluate(data)
    start = method.memories[0].rows.clone()
    train("cmc", method, data, 0, steps=60, batch_size=64)
    after = method.evaluate(data)
    assert after["R@1 c test"] > before["R@1 c test"] + 0.3
    assert bool((method.normalizers > 0).any())
    moved = (method.memories[0].rows != start).any(1)  # type: ignore[union-attr]
    assert moved.float().mean() > 0.9


def test_a_missing_cell_has_no_part_in_a_pair() -> None:
    z = tuple(torch.randn(6, 4) for _ in range(3))
    present = torch.ones(6, 3, dtype=torch.bool)
    present[0, 1] = present[2, 2] = False

    def first(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a * b).sum()

    full = sum((z[a][rows] * z[b][rows]).sum() for a, b, rows in (
        (0, 1, [1, 2, 3, 4, 5]), (0, 2, [0, 1, 3, 4, 5]), (1, 2, [1, 3, 4, 5])
    ))  # fmt: skip
    torch.testing.assert_close(pairwise(z, present, first), full)
    core = (z[0][1:] * z[1][1:]).sum() + (z[0][[0, 1, 3, 4, 5]] * z[2][[0, 1, 3, 4, 5]]).sum()
    torch.testing.assert_close(pairwise(z, present, first, core=True), core)


def test_the_memory_is_a_running_mean_on_the_sphere() -> None:
    memory = InstanceMemory(5, 4)
    z = torch.randn(2, 4)
    old = memory.rows[[3, 1]].clone()
    memory.update(torch.tensor([3, 1]), z)
    unit = torch.nn.functional.normalize(z, dim=1)
    torch.testing.assert_close(memory.rows[[3, 1]], torch.nn.functional.normalize(0.5 * old + 0.5 * unit, dim=1))
    with pytest.raises(ValueError, match=r"expected embeddings of shape \(2, 4\)"):
        memory.update(torch.tensor([0, 1]), z[:1])


@pytest.mark.parametrize("cls", [Symile, CMC])
def test_methods_keep_the_promises_of_the_house(cls: type) -> None:
    data = xor(40, held_out=10)
    arguments, _ = workflow.laptop_settings(find(cls.__name__.lower()))
    check_method(cls, data, {**arguments, "projection_dim": 8, **data.facts} if cls is CMC else
                 {**arguments, "projection_dim": 8, "schema": data.modalities})  # fmt: skip


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ValueError, match="schema is needed"):
        Symile()
    one = Tuples({"a": Column("numbers", np.zeros((4, 2))), "b": Column("text", ["x"] * 4)}).modalities
    with pytest.raises(ValueError, match="negatives must be 'n' or 'all'"):
        Symile(one, negatives="many")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rows are taken from the data"):
        CMC(one)
    with pytest.raises(ValueError, match="has no row with a"):
        Tuples({"a": Column("text", ["", ""], np.zeros(2, bool)), "b": Column("text", ["x", "y"])})
