"""What every row of the catalogue promises, held by every row: it trains, re-opens equal, and does what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nearfar import catalogue, workflow
from nearfar.catalogue import ENTRIES, METHODS
from nearfar.cli import main
from nearfar.sources.data import in_order
from nearfar.sources.interaction import Interaction
from nearfar.system import VERBS, CannotError, Entry
from nearfar.training import Method, Training, embed

STEPS = 2
UNSTATED = {
    "clc": "no released code says how long it trains, and what the paper says could not be read",
    "das": "neither the paper nor released code says how long it trains",
    "nlp-primer": "a review has no training of its own",
}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.slug)
def test_a_row_is_whole(entry: Entry) -> None:
    assert entry.field in catalogue.FIELDS
    assert entry.name
    assert entry.paper
    if entry.kind == "study":
        assert entry.reproduction
        return
    assert entry.summary.endswith(".")
    cls = entry.load()
    if entry.kind == "data set":
        assert entry.commands
        return
    assert entry.parts is not None
    assert tuple(cls.verbs) == tuple(entry.verbs)
    for verb in entry.verbs:
        assert callable(getattr(cls, VERBS[verb])), f"{entry.slug} says that it {verb} and has no {VERBS[verb]}"
    assert issubclass(cls, Method) is entry.trains


@pytest.mark.parametrize("entry", METHODS, ids=lambda e: e.slug)
def test_a_method_states_its_papers_length(entry: Entry) -> None:
    if entry.slug in UNSTATED:
        assert not entry.paper_training, UNSTATED[entry.slug]
        return
    assert ("epochs" in entry.paper_training) != ("steps" in entry.paper_training)
    Training(**entry.paper_training)


def test_slugs_are_unique() -> None:
    slugs = [entry.slug for entry in ENTRIES]
    assert len(slugs) == len(set(slugs))


@pytest.mark.parametrize("entry", METHODS, ids=lambda e: e.slug)
def test_a_method_trains_by_the_same_flags_and_reopens_as_it_was(
    entry: Entry, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trained through the command: the re-opened run, the saved method and the one in memory do the same."""
    out = tmp_path / entry.slug
    in_memory = _watch(monkeypatch)
    words = ["--seed", "3", "--steps", str(STEPS), "--batch-size", "16", "--preset", "tiny", "--checkpoint-every", "99"]
    assert main(["train", entry.slug, "--out", str(out), *words, "--json"]) == 0
    final = json.loads(capsys.readouterr().out)
    assert final["run"] == str(out)
    losses = [value for name, value in final.items() if name.startswith("train/")]
    assert losses
    assert np.isfinite(losses).all()
    assert (out / "config.yaml").is_file()
    assert (out / "metrics.csv").read_text().startswith("step,")

    _, reopened, run = workflow.load_run(out)
    data = workflow.run_data(entry, run.config["data"])
    (trained,) = in_memory
    saved = tmp_path / "saved"
    trained.save_pretrained(saved)
    from_saved = type(trained).from_pretrained(str(saved))
    untrained = workflow.run_parts(run)[1].eval()
    expected = _done(trained, data)
    _same(_done(reopened, data), expected)
    _same(_done(from_saved, data), expected)
    assert _moved(trained, untrained), "two steps of training moved nothing that is kept"


def _watch(monkeypatch: pytest.MonkeyPatch) -> list[Method]:
    """Every method that the command trains from now on."""
    trained: list[Method] = []
    train = workflow.train

    def watched(*args: Any, **kwargs: Any) -> Any:
        found = train(*args, **kwargs)
        trained.append(found[0])
        return found

    monkeypatch.setattr(workflow, "train", watched)
    return trained


def _done(method: Method, data: Any) -> dict[str, Any]:
    """What the method's verbs give on a little data."""
    found: dict[str, Any] = {}
    if isinstance(data, Interaction):
        return {name: value.clone() for name, value in method.kept().state_dict().items()}
    part = data.sample(24) if len(data) > 24 else data
    with method.frozen():
        if "embeds" in method.verbs:
            found["embeds"] = embed(method, part).array
        for verb in ("scores", "predicts"):
            if verb in method.verbs and hasattr(method, VERBS[verb]):
                batch = next(in_order(part, 8))[1]
                found[verb] = _numbers(method, verb, batch)
    if not found:
        found = {name: value.clone() for name, value in method.kept().state_dict().items()}
    return found


def _numbers(method: Method, verb: str, batch: Any) -> Any:
    torch.manual_seed(0)
    return getattr(method, VERBS[verb])(batch)


def _same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if isinstance(value, Mapping):  # columns, some of which are words
            _same(dict(found[name]), dict(value))
            continue
        if isinstance(value, list):
            assert found[name] == value, name
            continue
        torch.testing.assert_close(found[name], value, rtol=0, atol=0, msg=lambda m, n=name: f"{n}: {m}")


def _moved(trained: Method, untrained: Method) -> bool:
    before = untrained.kept().state_dict()
    return any(not torch.equal(value, before[name]) for name, value in trained.kept().state_dict().items())


def test_what_a_system_cannot_do_is_refused_in_one_sentence() -> None:
    class Silent(Method):
        verbs = ("scores",)

        def score(self, batch: Any) -> Any:
            return batch

    with pytest.raises(CannotError, match="Silent is no system that embeds; it scores"):
        Silent().encode(None)


def test_data_that_a_method_does_not_take_are_refused_in_one_sentence() -> None:
    from nearfar.segmentation.method import SceneBatch

    class Streets:
        name, gives, facts = "street", SceneBatch, {}

    expected = r"dacs takes .*AdaptationBatch.*, and street gives .*SceneBatch.*try --data street-adaptation"
    with pytest.raises(TypeError, match=expected):
        workflow.build_method(catalogue.find("dacs"), {}, Streets(), 0)
