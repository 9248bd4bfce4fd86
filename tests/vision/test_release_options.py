"""What released code has and papers do not: options, each at both values through the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from nearfar.cli import main
from nearfar.workflow import load_run

SMALL = ["--encoder", "small-conv-gn", "--steps", "1", "--batch-size", "8", "--monitor-every", "-1"]

LARGE = ["--size", "32"]  # the kernel of a blur is a tenth of the side: of tiny pictures nothing


def trained(slug: str, out: Path, *words: str) -> Any:
    assert main(["train", slug, *SMALL, *words, "--out", str(out)]) == 0
    return load_run(out)[1]


@pytest.mark.parametrize(
    ("slug", "words", "other", "part", "told"),
    [
        ("simclr", ["--last-norm", "bn"], [], "head", lambda head: isinstance(head[-1], nn.BatchNorm1d)),
        ("byol", ["--last-bias", "false"], [], "predictor", lambda head: head[-1].bias is None),
        (
            "moco-v3",
            ["--predictor-norm", "bn_no_affine"],
            [],
            "predictor",
            lambda head: isinstance(head[-1], nn.BatchNorm1d) and not head[-1].affine,
        ),
        (
            "care",
            [*LARGE, "--blur", "0.5"],
            [*LARGE, "--blur", "0"],
            "recipes",
            lambda recipes: recipes[0].blur_p == 0.5,
        ),
    ],
)
def test_an_option_of_the_release_is_trained_kept_and_read_again(
    slug: str, words: list[str], other: list[str], part: str, told: Any, tmp_path: Path
) -> None:
    released = trained(slug, tmp_path / "released", *words)
    papers = trained(slug, tmp_path / "paper", *other)
    assert told(getattr(released, part))
    assert not told(getattr(papers, part))
    assert (tmp_path / "released" / "metrics.csv").read_text() != (tmp_path / "paper" / "metrics.csv").read_text()
