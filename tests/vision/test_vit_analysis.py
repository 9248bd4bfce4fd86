"""The analysis of vision transformers trains nothing, and says of any encoder what its measures say of a run."""

from __future__ import annotations

import pytest

from nearfar.cli import main
from nearfar.encoders.vit import VisionTransformer
from nearfar.training import Optimization
from nearfar.vision.data import load
from nearfar.vision.measures import measure
from nearfar.vision.method import ImageMethod
from nearfar.vision.methods.vit_analysis import VitAnalysis


def test_an_encoder_is_measured_as_it_is() -> None:
    data, encoder = load("shapes", size=16).sample(60, seed=0), VisionTransformer(16, 2, 2, patch=4)
    found = VitAnalysis(encoder).evaluate(data)
    looked = ImageMethod(encoder, "gentle", Optimization()).eval()
    for name in ("attention", "layers"):
        expected = measure(name, looked, data)
        assert {key: found[key] for key in expected} == expected
    assert found.better["iou patches layer 1"] == "higher"
    assert found.better["distance layer 2"] == found.better["cka with last layer 1"] == "neither"


def test_an_untrained_encoder_is_drawn_by_the_seed() -> None:
    data = load("shapes", size=16).sample(40, seed=0)
    first, again, other = (VitAnalysis("vit-nano").evaluate(data, seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_by_command_each_number_has_a_line_and_training_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "vit-analysis", "--encoder", "vit-nano"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = {line.rpartition("  ")[0].strip() for line in lines}
    assert {"distance layer 1", "knn class layer 2", "cka with last layer 1"} <= names
    assert max(map(len, lines)) < 60
    assert main(["train", "vit-analysis"]) == 2
    assert "use it with `nearfar evaluate vit-analysis`" in capsys.readouterr().err


def test_an_encoder_without_attention_is_refused() -> None:
    with pytest.raises(TypeError, match="attention"):
        VitAnalysis("small-conv").evaluate(load("shapes", size=16).sample(20, seed=0))
