"""Additive margins: the released loss, rooms and noises, learning voices, and lists of trials by command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from nearfar.audio.augment import RATIOS, add_noise, at_ratio, reverberate
from nearfar.audio.data.generated import voices
from nearfar.audio.evaluation import evaluate, verify_pairs
from nearfar.audio.methods.am_speaker import AdditiveMarginSpeaker
from nearfar.audio.trials import read_trials
from nearfar.cli import main
from nearfar.losses import margin_nt_xent, nt_xent
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from tests.parity import ParityCase, assert_parity, parity

KINDS = {"NTXENT": "none", "NTXENT_COSFACE": "am", "NTXENT_ARCFACE": "aam"}


@pytest.mark.parametrize("case", parity("am-speaker", "margin_ntxent"))
def test_the_loss_is_the_released_one(case: ParityCase) -> None:
    arrays, hyper = case.load(), case.hyper
    value = margin_nt_xent(
        arrays["in_z1"],
        arrays["in_z2"],
        temperature=1 / hyper["scale"],
        margin=hyper["margin"],
        kind=KINDS[hyper["kind"]],
        symmetric=hyper["symmetric"],
    )
    assert_parity(case, arrays, value, rtol=1e-8)


@pytest.mark.parametrize("case", parity("am-speaker", "simclr"))
def test_without_a_margin_it_is_the_released_simclr(case: ParityCase) -> None:
    arrays = case.load()
    temperature = case.hyper["temperature"]
    value = margin_nt_xent(arrays["in_z1"], arrays["in_z2"], temperature=temperature, kind="none")
    assert_parity(case, arrays, value, rtol=1e-8)
    torch.testing.assert_close(value, nt_xent(arrays["in_z1"], arrays["in_z2"], temperature=temperature))


@pytest.mark.parametrize("case", [*parity("am-speaker", "eer_min_dcf"), *parity("eval-verification", "verification")])
def test_error_rates_are_the_released_ones(case: ParityCase) -> None:
    """Those cases without equal scores, which are one point here."""
    from nearfar.evaluation import verification

    arrays = {name: value.detach().numpy() for name, value in case.load().items()}
    found = verification(arrays["in_scores"], arrays["in_targets"])
    assert 100 * found["eer"] == pytest.approx(float(arrays["out_eer"]), rel=1e-9, abs=1e-9)
    cost = arrays["out_min_dcf"] if "out_min_dcf" in arrays else arrays["out_mindcf_p01"]
    assert found["min_dcf"] == pytest.approx(float(cost), rel=1e-9)


def test_the_margin_grows_along_the_released_cosine() -> None:
    """Over the first half of the run, as released, where ``margin_growth`` is a half."""
    for epoch, epochs in ((0, 20), (3, 20), (10, 20), (11, 20), (20, 20)):
        method = SimpleNamespace(progress=epoch / epochs, margin=0.2, margin_growth=0.5)
        half = epochs // 2
        expected = 0.2 * (1 - (math.cos(math.pi * epoch / half) + 1) / 2) if epoch <= half else 0.2
        found = AdditiveMarginSpeaker.margin_now.fget(method)  # type: ignore[attr-defined]
        assert found == pytest.approx(expected, abs=1e-12)


def test_a_margin_raises_the_loss_and_never_at_the_cost_of_its_slope() -> None:
    z1, z2 = (torch.randn(8, 5, generator=torch.Generator().manual_seed(s), dtype=torch.float64) for s in (0, 1))
    plain = margin_nt_xent(z1, z2, kind="none")
    assert margin_nt_xent(z1, z2, margin=0.3) > plain
    assert margin_nt_xent(z1, z2, margin=0.3, kind="aam") > plain
    same = z1.clone().requires_grad_()
    margin_nt_xent(same, z1, kind="aam", margin=0.2).backward()  # angles of 0
    assert torch.isfinite(same.grad).all()
    with pytest.raises(ValueError, match="margin is an angle below pi"):
        margin_nt_xent(z1, z2, kind="aam", margin=4.0)
    with pytest.raises(ValueError, match="kind must be one of"):
        margin_nt_xent(z1, z2, kind="cosface")  # type: ignore[arg-type]


def test_the_margin_grows_over_its_share_of_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    method = AdditiveMarginSpeaker("small-tdnn", rate=8000, margin_growth=0.5, margin=0.2)
    for progress, expected in ((0.0, 0.0), (0.25, 0.1), (0.5, 0.2), (0.9, 0.2)):
        monkeypatch.setattr(AdditiveMarginSpeaker, "progress", progress)
        assert method.margin_now == pytest.approx(expected, abs=1e-12)


def test_rooms_keep_energy_and_noises_their_ratio() -> None:
    generator = torch.Generator().manual_seed(0)
    waves = torch.randn(32, 3000, generator=generator)
    there = reverberate(waves, 8000, generator)
    torch.testing.assert_close(there.square().mean(1), waves.square().mean(1), rtol=1e-3, atol=0)
    click = torch.zeros(2, 6000)
    click[:, 100] = 1
    echo = reverberate(click, 8000, generator)
    assert not echo[:, :100].abs().gt(1e-4).any()
    assert (echo[:, 101:500].square().sum(1) > echo[:, 3000:].square().sum(1)).all()
    exact = at_ratio(waves, torch.ones(32, 3000), torch.full((32, 1), 10.0)) - waves
    torch.testing.assert_close(
        10 * torch.log10(waves.square().mean(1) / exact.square().mean(1)), torch.full((32,), 10.0)
    )
    noise = add_noise(waves, 8000, generator) - waves
    ratios = 10 * torch.log10(waves.square().mean(1) / noise.square().mean(1))
    assert ratios.min() > min(low for low, _ in RATIOS) - 0.1
    assert ratios.max() < max(high for _, high in RATIOS) + 0.1
    assert ratios.std() > 2


def test_it_learns_to_tell_voices_apart_that_it_never_heard() -> None:
    data = voices(32, utterances=3, held_out=16, held_out_utterances=4, phones=8)
    method = build("am-speaker", data, 0, augment=False, seconds=0.5)
    before = evaluate(method.eval(), data)
    train("am-speaker", method.train(), data, 0, steps=25, batch_size=32)
    after = evaluate(method, data)
    assert after["eer"] < before["eer"] - 0.06
    assert after["effective_rank"] > 3


def test_the_promises_of_the_house() -> None:
    data = voices(8, utterances=2, held_out=2, phones=4)
    options = {"encoder": "small-resnet", "rate": 8000, "seconds": 0.2}
    check_method(AdditiveMarginSpeaker, data, options)


def test_pairs_are_told_apart_by_cosine() -> None:
    x = np.array([[1.0, 0], [2.0, 0.1], [0, 1.0], [0.1, 3.0]])
    assert dict(verify_pairs(x, np.array([0, 0, 1, 1]))) == {"eer": 0.0, "min_dcf": 0.0}
    trials = np.array([[0, 1, 0], [0, 2, 1], [2, 3, 1]])
    assert verify_pairs(x, np.zeros(4), trials)["eer"] == 1.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run, and a list of trials beside recordings of which one is missing."""
    soundfile = pytest.importorskip("soundfile")
    root = tmp_path_factory.mktemp("trials")
    data = voices(3, utterances=2, held_out=1, phones=4)
    names = [f"{speaker}-{number}.wav" for number, speaker in enumerate(data.labels)]
    for name, wave in zip(names, data.waves, strict=True):
        soundfile.write(root / name, wave, data.rate)
    lines = [
        f"{int(data.labels[i] == data.labels[j])} {names[i]} {names[j]}" for i in range(6) for j in range(i + 1, 6)
    ]
    (root / "trials.txt").write_text("\n".join([*lines, f"1 {names[0]} gone.wav"]) + "\n")
    run = root / "run"
    assert main(["train", "am-speaker", "--out", str(run), "--steps", "2", "--preset", "tiny"]) == 0
    return run, root / "trials.txt"


def test_a_list_of_trials_is_verified_by_command(finished: tuple[Path, Path], tmp_path: Path, capsys) -> None:
    run, trials = finished
    out = tmp_path / "scores.csv"
    capsys.readouterr()
    assert main(["verify", str(run), str(trials), "-o", str(out), "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["trials"] == 15
    assert found["left out"] == 1
    assert 0 <= found["eer"] <= 1
    assert "left out: gone.wav" in printed.err
    rows = out.read_text().splitlines()
    assert rows[0] == "first,second,same,score"
    assert len(rows) == 16
    assert main(["verify", str(run), str(trials), "-o", str(out)]) == 2
    assert "exists" in capsys.readouterr().err
    other = tmp_path / "kaldi.txt"
    lines = [line.split() for line in trials.read_text().splitlines()[:-1]]
    other.write_text("\n".join(f"{b} {c} {'target' if a == '1' else 'nontarget'}" for a, b, c in lines))
    assert main(["verify", str(run), str(other), "--root", str(trials.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eer"] == found["eer"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 a.wav b.wav\n0 a.wav\n", "line 2: '0 a.wav' is no trial"),
        ("1 a.wav b.wav\n", "1 trials of one speaker and 0 of two; both kinds are needed"),
        ("", "0 trials of one speaker"),
    ],
)
def test_what_is_no_list_of_trials_is_refused(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_trials(tmp_path / "t.txt")
    with pytest.raises(FileNotFoundError, match="no list of trials"):
        read_trials(tmp_path / "u.txt")
