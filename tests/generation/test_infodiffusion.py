"""InfoDiffusion, and the diffusion that all such systems share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nearfar import losses, workflow
from nearfar.catalogue import find
from nearfar.cli import main
from nearfar.generation.autoencoding import Noise
from nearfar.generation.data import Blank, load
from nearfar.generation.method import Draws
from nearfar.generation.methods.infodiffusion import InfoDiffusion
from nearfar.generation.priors import prior_sample
from nearfar.generation.unet import Widths
from nearfar.parts.diffusion import Diffusion
from nearfar.reproductions.arms import build, train
from nearfar.testing import check_method
from nearfar.training import Optimization
from tests.parity import ParityCase, assert_parity, parity

SMALL: dict[str, Any] = {
    "side": 8,
    "dim": 4,
    "noise": Noise(20, 1e-3, 0.3, 4),
    "encoder_widths": Widths(4, (1, 2), 1, (), 0.0),
    "widths": Widths(4, (1, 2), 1, (), 0.0),
    "averaging": 0.5,
    "optimization": Optimization(lr=1e-2),
}


@pytest.fixture(scope="module")
def sprites() -> Any:
    return load(size=8, examples=200)


@pytest.mark.parametrize("case", parity("infodiffusion", "mmd"))
def test_discrepancy_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    value = losses.maximum_mean_discrepancy(arrays["in_x"], arrays["in_y"], bandwidth="official")
    assert_parity(case, arrays, value, out="mmd")


def test_discrepancy_of_one_sample_is_zero_and_grows_with_distance() -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert losses.maximum_mean_discrepancy(x, x).item() == pytest.approx(0, abs=1e-12)
    near, far = (losses.maximum_mean_discrepancy(x, x + step, bandwidth="median") for step in (0.1, 1.0))
    assert 0 < near < far
    with pytest.raises(ValueError, match="bandwidth must be a number, 'official' or 'median', got 'mean'"):
        losses.maximum_mean_discrepancy(x, x, bandwidth="mean")  # type: ignore[arg-type]


def test_steps_are_those_of_diffusers() -> None:
    diffusers = pytest.importorskip("diffusers")
    given = {"num_train_timesteps": 50, "beta_start": 1e-3, "beta_end": 0.2, "beta_schedule": "linear"}
    ours = Diffusion(50, 1e-3, 0.2)
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 2, 3, 4, 4, generator=generator)
    ddim = diffusers.DDIMScheduler(**given, clip_sample=True, set_alpha_to_one=True, timestep_spacing="leading")
    ddim.set_timesteps(10)
    torch.testing.assert_close(Diffusion.of(ddim).signal, ours.signal, rtol=1e-5, atol=1e-6)
    for t, earlier in ((45, 40), (5, 0)):
        theirs = ddim.step(noise, t, x, use_clipped_model_output=True).prev_sample
        torch.testing.assert_close(ours.ddim(x, t, earlier, noise, 1.0), theirs, rtol=1e-4, atol=1e-5)
    ddpm = diffusers.DDPMScheduler(**given, clip_sample=True)
    t = torch.tensor([7, 30])
    torch.testing.assert_close(ours.noised(x, t, noise), ddpm.add_noise(x, noise, t), rtol=1e-4, atol=1e-5)
    mean, variance = ours.ddpm(x, 30, 29, noise, 1.0)
    still = torch.Generator().manual_seed(1)
    theirs = ddpm.step(noise, 30, x, generator=still).prev_sample
    drawn = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(mean + variance**0.5 * drawn, theirs, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="predicts v_prediction"):
        Diffusion.of(diffusers.DDIMScheduler(prediction_type="v_prediction"))


def test_a_perfect_denoiser_brings_the_signal_back_and_inverts() -> None:
    """Of a signal that is always the same, the noise is known exactly."""
    diffusion = Diffusion(40, 1e-3, 0.2)
    signal = torch.linspace(-0.9, 0.9, 12, dtype=torch.float64).view(1, 3, 4)

    def predict(x: Tensor, t: Tensor) -> Tensor:
        kept = diffusion.at(t, x)
        return (x - kept.sqrt() * signal) / (1 - kept).sqrt()

    noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for steps in (None, 7, 1):
        torch.testing.assert_close(diffusion.sample(predict, noise, steps=steps), signal.expand(2, 3, 4))

    def normal(x: Tensor, t: Tensor) -> Tensor:
        """Of a signal that is standard normal itself, every level is; the flow between them stands still."""
        return (1 - diffusion.at(t, x)).sqrt() * x

    back = diffusion.invert(normal, diffusion.sample(normal, noise))
    assert (back - noise).abs().max() < 0.35 * noise.abs().max()
    fine = Diffusion(800, 1e-3 / 20, 0.2 / 20)
    again = fine.invert(lambda x, t: (1 - fine.at(t, x)).sqrt() * x, noise)
    torch.testing.assert_close(again, noise, rtol=0.05, atol=0.01)
    with pytest.raises(ValueError, match="steps must be between 1 and the 40"):
        diffusion.times(41)


@pytest.mark.parametrize("prior", ["normal", "mixture", "roll"])
def test_priors(prior: Any) -> None:
    draws = Draws(0, torch.arange(500))
    found = prior_sample(prior, draws.normal(4), draws.uniform(4))
    assert found.shape == (500, 4)
    length = found[:, :2].norm(dim=1)
    if prior == "roll":
        assert length.max() <= 3
    if prior == "mixture":
        assert abs(length.median() - 1.4) < 0.3
    with pytest.raises(ValueError, match="odd width: 3"):
        InfoDiffusion(**{**SMALL, "dim": 3, "prior": "roll"})


def test_it_keeps_the_promises_of_the_house(sprites: Any) -> None:
    check_method(InfoDiffusion, sprites, SMALL)


def test_a_short_training_makes_better_pictures_of_codes_that_say_more(sprites: Any) -> None:
    given = {**{k: v for k, v in SMALL.items() if k != "averaging"}, "averaging": 0.9}
    method = build("infodiffusion", sprites, 0, **given)
    before = method.eval().evaluate(sprites)
    after = train("infodiffusion", method.train(), sprites, 0, steps=50, batch_size=16).evaluate(sprites)
    new = "new frechet random convolutions"
    assert after[new] < 0.85 * before[new]
    assert after.better[new] == after.better["prior distance"] == "lower"
    codes = method.encode(sprites.batch(np.arange(100)))
    assert codes.std(0).min() > 0.1


def test_weights_of_the_kl_and_of_the_learned_prior(sprites: Any) -> None:
    method = InfoDiffusion(**{**SMALL, "kl_weight": 1e-3, "code_share": 0.5})
    assert [phase.name for phase in method.phases] == ["pictures", "codes"]
    method.seed_step(0, 0)
    views = method.views(sprites.batch(np.arange(6)))
    assert set(method.loss(views)) == {"codes"}  # the last phase, outside a run
    method = InfoDiffusion(**{**SMALL, "kl_weight": 1e-3})
    terms = method.loss(views)
    a = method.encoder(views)
    mean, log_variance = method.encoder.mean(a), method.encoder.log_variance(a)
    by_hand = 0.5e-3 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    torch.testing.assert_close(terms["kl"], by_hand)
    assert set(InfoDiffusion(**{**SMALL, "mmd_weight": 0.0}).loss(views)) == {"noise"}


def test_pictures_on_the_way_begin_and_end_with_the_rebuilt_ones(sprites: Any) -> None:
    method = InfoDiffusion(**SMALL).eval()
    images = sprites.batch(np.arange(4)).images
    way = method.interpolate(images[:2], images[2:], [0.0, 0.5, 1.0])
    assert way.shape == (2, 3, 3, 8, 8)
    ends = method.interpolate(images[2:], images[:2], [1.0, 0.0])
    torch.testing.assert_close(way[:, [0, 2]], ends, rtol=1e-4, atol=1e-4)


def test_bad_settings_are_named() -> None:
    with pytest.raises(ValueError, match="cannot be halved 3 times"):
        InfoDiffusion(side=12)
    with pytest.raises(ValueError, match="InfoDiffusion needs the side of its pictures"):
        InfoDiffusion()
    with pytest.raises(ValueError, match="times must be whole numbers"):
        Widths(times=())
    with pytest.raises(ValueError, match="steps must be between 1 and the 10"):
        InfoDiffusion(**{**SMALL, "noise": Noise(10, 1e-3, 0.1, 20)})


def test_by_command_from_training_to_a_folder_of_new_pictures(tmp_path: Path, capsys: Any) -> None:
    """A slice through all commands: train, evaluate, list, report, compare, generate and go on."""
    run, made = tmp_path / "run", tmp_path / "made"
    words = ["--preset", "tiny", "--batch-size", "16"]
    assert main(["train", "infodiffusion", "--out", str(run), *words]) == 0
    assert main(["evaluate", str(run)]) == 0
    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "Made from noise alone" in page
    assert "From above: what was given, what was made" in page
    assert main(["generate", str(run), "new", "-o", str(made), "--count", "2"]) == 0
    assert main(["generate", str(run), "new", "-o", str(made), "--count", "3", "--batch-size", "1"]) == 0
    assert [*json.loads((made / "generate.json").read_text())][:2] == ["system", "inputs"]
    assert len([*made.glob("*.png")]) == 3
    _, method, _ = workflow.load_run(run)
    whole = [each.thing.picture() for each in method.generate(Blank(3))]  # type: ignore[attr-defined]
    from PIL import Image

    for number, pixels in enumerate(whole):
        assert np.abs(np.asarray(Image.open(made / f"{number:06d}.png")).astype(int) - pixels).max() <= 1
    capsys.readouterr()
    assert main(["generate", str(run), "new", "-o", str(made), "--seed", "1"]) == 2
    assert "was begun with seed 0, not 1" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    assert main(["generate", str(run), "new", "-o", str(tmp_path / "mine")]) == 2
    assert "holds something else" in capsys.readouterr().err
    assert main(["generate", str(run), "new", "-o", str(made), "--seed", "1", "--count", "1", "--overwrite"]) == 0
    assert len([*made.glob("*.png")]) == 1
    assert find("infodiffusion").verbs == ("embeds", "generates")
