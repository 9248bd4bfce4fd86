"""What each of six people does in the first hour, and what has to come of it."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.first_hour import files
from tests.first_hour.desk import Desk

__all__ = ["PEOPLE"]

SMALL = ("--preset", "tiny", "--steps", "1")
"""The smallest training: that everything works, and nothing of how well."""


def photographs(desk: Desk) -> None:
    """Photos of one's own without a label: train, ask whether it helped, find, sort, label."""
    count = 400 if desk.long else 18
    names = files.photos(Path("photos"), count, camera=40 if desk.long else 1)
    small = ("--steps", "4", "--size", "16", "--batch-size", "6", "--hidden", "8", "--monitor-every", "-1")
    words = ("--budget", "1m") if desk.long else small
    said = desk.nearfar("train", "relic", "--data", "./photos", *words)
    said.in_order(
        f"ReLIC learns from {count} examples of photos on ",  # the device is said
        "encoder small-conv",
        "timing a few steps",
        " steps (",
        "GB of memory",
        "--preset paper would take 1,000 steps of 4096 with resnet50: about",
        "step ",
        "runs/relic is complete. Next: nearfar evaluate runs/relic",
    )
    said.says("2 of", "were left out", "passed over: 1 .mov")
    kept = yaml.safe_load(Path("runs/relic/config.yaml").read_text())
    assert kept["training"]["steps"] >= (20 if desk.long else 4)
    assert kept["hyperparameters"]["encoder"] == "small-conv"
    skipped = Path("runs/relic/skipped.tsv").read_text()
    assert "IMG_9998.JPG" in skipped
    assert "IMG_9999.JPG" in skipped
    _turned_upright(names)

    desk.nearfar("evaluate", "runs/relic").says("Better than untrained, without labels: ", "view retrieval", "lidar")
    desk.nearfar("embed", "runs/relic", "photos", "-o", "vectors.parquet").says(f"{count} vectors")
    assert {row["id"] for row in desk.rows("vectors.parquet")} == {*names}
    page = Path(desk.nearfar("report", "runs/relic").out.strip()).read_text()
    assert re.search("nearest|neighbour", page, re.IGNORECASE)

    sorted_by_hand = [("file", "label"), *[(name, ("day", "night")[i % 2]) for i, name in enumerate(names[:8])]]
    files.table(Path("few.csv"), sorted_by_hand)
    desk.nearfar("classify", "runs/relic", "photos", "--labels", "few.csv", "-o", "labels.csv")
    with Path("labels.csv").open(newline="") as file:
        found = [*csv.DictReader(file)]
    assert {row["id"] for row in found} == {*names}
    assert all(row["label"] in ("day", "night") and 0.5 <= float(row["probability"]) <= 1 for row in found)
    desk.nearfar("runs").says("runs/relic", "finished")
    desk.nearfar("train", "relic", "./photos", code=2).says("did you mean --data ./photos")
    desk.nearfar("train", "relic", "--data", "./photoes", code=2).says("did you mean photos")


def _turned_upright(names: list[str]) -> None:
    """A picture that the camera stored lying, and its EXIF stands up, is read standing."""
    from nearfar.vision.data import load

    data = load("photos", size=16)
    row = data.ids.tolist().index(names[1])
    seen = np.asarray(data.batch(np.array([row])).images[0], dtype=float).transpose(1, 2, 0)
    flat = files.picture(1, 64, 48)
    upright = np.asarray(flat.rotate(-90, expand=True).crop((0, 8, 48, 56)).resize((16, 16)), dtype=float)
    lying = np.asarray(flat.crop((8, 0, 56, 48)).resize((16, 16)), dtype=float)
    assert np.abs(seen - upright).mean() < np.abs(seen - lying).mean() / 2


def comparison(desk: Desk) -> None:
    """Two methods and a variant on one's own labelled pictures: kept, continued with more seeds, paired."""
    files.photos(Path("sorted"), 240 if desk.long else 24, camera=0, classes=True)
    arms = ("simclr", *(["relic"] if desk.long else []), "relic:alpha=5")
    three = ("compare", *arms, "--data", "sorted", "--out", "runs/cmp")
    words = ("--budget", "90s") if desk.long else ("--size", "16", "--batch-size", "8", "--monitor-every", "-1", *SMALL)
    said = desk.nearfar(*three, *words, "--seeds", "1")
    said.says(f"simclr, seed 0: done, 1 of {len(arms)}", f"relic:alpha=5, seed 0: done, {len(arms)} of {len(arms)}")
    assert not {"inf", "nan"} & {*said.out.replace("±", " ").split()}
    said = desk.nearfar(*three, *words, "--seeds", "2")
    said.says(
        "relic:alpha=5, seed 0: kept", "relic:alpha=5, seed 1: done", "ahead of simclr, paired by seed, 95% interval"
    )
    desk.nearfar("compare", "simclr", "relic", *SMALL, "--temprature", "1", code=2).says("did you mean --temperature?")
    desk.nearfar("runs").says("runs/cmp/relic:alpha=5/seed-1")
    words = (*SMALL, "--data", "sorted", "--size", "16", "--logger", "csv", "--out", "runs/logged")
    desk.nearfar("train", "simclr", *words).says("labels    4 classes (Grandma's house ", "left out  2 of")
    assert [*Path("runs/logged/logs").rglob("metrics.csv")]


def sceptic(desk: Desk) -> None:
    """What was claimed, what was measured, what it would cost to measure again, and measuring it."""
    rows = {row["slug"]: row for row in json.loads(desk.nearfar("list", "--json").out)}
    assert rows["relic"]["verdict"]
    assert {"method", "procedure", "data set"} <= {row["kind"] for row in rows.values()}
    desk.nearfar("show", "relic").says("Reproduction: ", " over ", "[", "Mitrovic et al., 2020")
    desk.nearfar("show", "relik", code=2).says("did you mean relic")
    desk.nearfar("reproduce", "relic", "--plan").says("more take about", "not shown:")
    desk.nearfar("reproduce", code=2).says("name a method, or give --field or --all")
    if desk.long:
        once = ("reproduce", "grace", "--out", "measured")
        desk.nearfar(*once, "--seeds", "1").in_order("about", "seed 0")
        kept = json.loads(Path("measured/grace.json").read_text())
        desk.nearfar(*once, "--seeds", "1").says(kept["verdict"])


def own_trainer(desk: Desk) -> None:
    """A Trainer, loaders and transforms of one's own; our data in it; a checkpoint opened again."""
    import lightning as L
    import torch
    from torch.utils.data import DataLoader, Dataset, TensorDataset

    from nearfar.training import DataModule
    from nearfar.vision.data import load
    from nearfar.vision.methods import SimCLR

    class TwoViews(Dataset[Any]):
        def __init__(self, images: torch.Tensor) -> None:
            self.images = images

        def __len__(self) -> int:
            return len(self.images)

        def __getitem__(self, row: int) -> tuple[list[torch.Tensor], int]:
            return [self.images[row], self.images[row].flip(-1)], row % 3

    files.photos(Path("mine"), 24, camera=0)
    images = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(16) % 3
    loaders: Mapping[str, Callable[[], Any]] = {
        "pictures": lambda: DataLoader(images, batch_size=8),  # type: ignore[arg-type]
        "pictures in bytes": lambda: DataLoader((255 * images).byte(), batch_size=8),  # type: ignore[arg-type]
        "(picture, label)": lambda: DataLoader(TensorDataset(images, labels), batch_size=8),
        "two views and a label": lambda: DataLoader(TwoViews(images), batch_size=8),
        "our data": lambda: DataModule(load("mine", size=16), 8),
    }
    for name, loader in loaders.items():
        torch.manual_seed(0)
        method = SimCLR("small-conv", projection_hidden=8, projection_dim=4)
        trainer = L.Trainer(
            max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, accelerator="cpu",
        )  # fmt: skip
        trainer.fit(method, loader())
        desk.say(f"    Trainer.fit on {name}")
        assert trainer.global_step >= 2, name
        assert trainer.callback_metrics["train/loss"].isfinite(), name
    trainer.save_checkpoint("mine.ckpt")
    again = SimCLR.load_from_checkpoint("mine.ckpt")
    batch = (255 * images).byte()
    with torch.no_grad():
        assert torch.equal(again.eval().encode(batch), method.eval().encode(batch))


def scikit_learn(desk: Desk) -> None:
    """fit and transform, in pipelines and searches, on whatever holds pictures."""
    import torch
    from PIL import Image
    from sklearn.base import clone
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline

    import nearfar

    assert {"Representation", "fit", "load"} <= {*dir(nearfar)}
    pixels = np.stack([np.asarray(files.picture(n, 16, 16)) for n in range(32)])
    Path("own").mkdir()
    for number, each in enumerate(pixels):
        Image.fromarray(each).save(f"own/{number:02d} é.png")
    channels_first = torch.as_tensor(pixels.transpose(0, 3, 1, 2).copy())
    small = {"encoder": "small-conv", "hidden": 8, "projection_dim": 4, "batch_size": 16, "steps": 2}
    found = nearfar.fit("relic", pixels, **small)
    expected = found.transform(pixels)
    assert expected.dtype == np.float32
    paths = sorted(Path("own").iterdir())
    given: Mapping[str, Any] = {
        "arrays": [*pixels],
        "pictures of PIL": [Image.fromarray(each) for each in pixels],
        "paths": paths,
        "names": [str(path) for path in paths],
        "a folder": "own",
        "a tensor": channels_first,
        "floats": pixels / 255,
        "a data set": torch.utils.data.TensorDataset(channels_first, torch.arange(32)),
        "(X, y)": (pixels, np.arange(32) % 4),
    }
    found.set_params(data_options={"size": 16})
    for name, each in given.items():
        assert np.allclose(found.transform(each), expected, atol=1e-4), name
    assert np.allclose(found.transform(pixels[0]), expected[:1], atol=1e-4)
    for nothing in (pixels[:0], []):
        _refused(lambda nothing=nothing: found.transform(nothing), "holds no images")
    _refused(lambda: nearfar.fit("relic", pixels, alpa=1.0), "did you mean alpha")
    _refused(lambda: nearfar.fit("relic", pixels, stepz=1), "did you mean steps")
    _refused(lambda: nearfar.fit("relik", pixels), "did you mean relic")
    _refused(lambda: nearfar.Represenation, "did you mean Representation")

    found.save("saved")
    assert np.array_equal(nearfar.Representation.load("saved").transform(pixels), found.transform(pixels))
    assert nearfar.load("saved").encode(channels_first).shape == expected.shape
    table = clone(found).set_output(transform="pandas").fit(pixels).transform(pixels)
    assert table.columns.tolist() == found.get_feature_names_out().tolist()
    steps = make_pipeline(nearfar.Representation("relic", **small), LogisticRegression(max_iter=50))
    search = GridSearchCV(steps, {"representation__alpha": [0.0, 1.0]}, cv=2).fit(pixels, np.arange(32) % 4)
    assert 0 <= search.best_score_ <= 1


def _refused(ask: Callable[[], Any], said: str) -> None:
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError), match=re.escape(said)):
        ask()


def texts_graphs_pairs(desk: Desk) -> None:
    """Messages, scored pairs, a graph, captioned pictures and streets, by the columns and names that they have."""
    from nearfar.text.data import load as sentences

    said = files.messages(400 if desk.long else 48)
    Path("tickets.txt").write_text("\n".join(text for text, _ in said), encoding="utf-8-sig")
    assert len(sentences("tickets.txt")) == len(said)
    files.table(Path("banking.csv"), [("text", "category"), *said])
    desk.nearfar("train", "simcse", "--data", "banking.csv", *SMALL, "--out", "r/labels").says("4 classes")
    desk.nearfar("evaluate", "r/labels").says("1-nn data")
    own = [("Message", "Topic", "Ticket"), *[(text, about, row) for row, (text, about) in enumerate(said)]]
    files.table(Path("export.csv"), own, separator=";")
    desk.nearfar("train", "simcse", "--data", "export.csv", code=2).says("message, topic, ticket", "--text-column")
    columns = ("--text-column", "message", "--label-column", "topic")
    desk.nearfar("train", "simcse", "--data", "export.csv", *columns, *SMALL, "--out", "r/own").says(
        "columns: message as sentence, topic as label", "left out are ticket", "4 classes"
    )
    columns = ("--text-column", "mesage")
    desk.nearfar("train", "simcse", "--data", "export.csv", *columns, code=2).says("did you mean message")
    pairs = [(said[i][0], said[i + 1][0], i % 6) for i in range(len(said) - 1)]
    files.table(Path("sts.csv"), [("s1", "s2", "score"), *pairs])
    with pytest.warns(UserWarning, match="pairs with scores, for evaluation, and both are sentences to train on"):
        assert sentences("sts.csv").pairs is not None

    pictures = files.photos(Path("photos"), 12, camera=0)
    shown = [(f"photos/{name}", f"what {name} shows", row % 2) for row, name in enumerate(pictures)]
    files.table(Path("captions.csv"), [("Datei", "Beschreibung", "Art"), *shown])
    columns = ("--image-column", "datei", "--caption-column", "beschreibung", "--label-column", "art")
    desk.nearfar("train", "clip", "--data", "captions.csv", *columns, "--size", "16", *SMALL, "--out", "r/clip").says(
        "datei as pictures, beschreibung as captions, art as labels", "2 classes"
    )
    files.streets(Path("camvid"), 4)
    small = ("--size", "48", *SMALL)
    desk.nearfar("train", "densecl", "--data", "camvid", *small, "--out", "r/street").says("camvid train: 4 examples")

    words, links, subjects = files.graph(60)
    both = np.concatenate([links, links[:, ::-1]]).T
    np.savez("cora.npz", x=words, edge_index=both, y=subjects)
    desk.nearfar("train", "grace", "--data", "cora.npz", *SMALL, "--out", "r/graph").says("24 features", "3 classes")
    names = [f"paper {node}" for node in range(60)]
    files.table(Path("cites.csv"), [("source", "target"), *[(names[a], names[b]) for a, b in links]])
    desk.nearfar("train", "grace", "--data", "cites.csv", *SMALL, "--out", "r/links").says(f"{2 * len(links)} directed")


PEOPLE: Mapping[str, Callable[[Desk], None]] = {
    "photos": photographs,
    "comparison": comparison,
    "sceptic": sceptic,
    "trainer": own_trainer,
    "scikit-learn": scikit_learn,
    "texts": texts_graphs_pairs,
}
"""By what they come with."""
