"""PCL-SR: released numbers, versions of pictures, updates that move what they should, and larger pictures in files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance

from nearfar.generation.cuttings import cuttings
from nearfar.generation.data import load
from nearfar.generation.data.photos import photos
from nearfar.generation.methods.pcl_sr import PCLSR
from nearfar.generation.restored import bicubic
from nearfar.generation.upscaling import Upscaler, blurred, degrade, enlarge, sharpened, upscale, upscaler
from nearfar.generation.wavelets import WaveletCritic, haar_bands
from nearfar.losses import dual_contrast, informative_contrast
from nearfar.reproductions.arms import build, train
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("pcl-sr", "haar_filter"))
def test_wavelets_as_released(case: ParityCase) -> None:
    arrays = case.load()
    bands = haar_bands(arrays["in_x"])
    torch.testing.assert_close(bands, arrays["out_bands"], rtol=1e-6, atol=1e-6)
    (grad,) = torch.autograd.grad((bands * arrays["in_w_up"]).sum(), arrays["in_x"])
    # The released package forgets the pixel behind the continued border on the way back; inside both agree.
    torch.testing.assert_close(grad[..., :2, :4], arrays["grad_x"][..., :2, :4], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", parity("pcl-sr", "discriminator_features"))
def test_critic_as_released(case: ParityCase) -> None:
    arrays = case.load()
    for activation, out in (("post", "out_feature4"), ("pre", "out_bn4")):
        critic = WaveletCritic(4, activation)
        for number in range(5):
            critic.blocks[number][0].weight.data = arrays[f"in_w{number}"].detach()
        torch.testing.assert_close(critic.features(arrays["in_x"], 4)[4], arrays[out], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", parity("pcl-sr", "nce"))
def test_contrast_as_released(case: ParityCase) -> None:
    arrays = case.load()
    features = [arrays[f"in_{name}"] for name in ("sr", "pos", "neg")]
    assert_parity(case, arrays, informative_contrast(*features), out="infonce")
    difference = informative_contrast(*features, form="difference")
    torch.testing.assert_close(difference, arrays["out_cosine"])
    (grad,) = torch.autograd.grad(difference, features[0])
    torch.testing.assert_close(grad, arrays["grad_sr_of_cosine"])


@pytest.mark.parametrize("case", parity("pcl-sr", "contrastive_D_loss"))
def test_dual_contrast_as_released(case: ParityCase) -> None:
    arrays = case.load()
    assert_parity(case, arrays, dual_contrast(arrays["in_real"], arrays["in_fake"]))


def some(count: int = 4, side: int = 24) -> torch.Tensor:
    return photos(side, 6).batch(np.arange(count)).images.float() / 255


def test_sharpened_is_pils(monkeypatch: pytest.MonkeyPatch) -> None:
    images = some(1)
    monkeypatch.setattr(torch, "rand", lambda n, **_: torch.full((n,), 0.6))
    (found,) = sharpened(images, torch.Generator())
    pixels = (images[0] * 255).round().byte().permute(1, 2, 0).numpy()
    expected = ImageEnhance.Sharpness(Image.fromarray(pixels)).enhance(2.0)
    difference = np.abs((found * 255).permute(1, 2, 0).numpy() - np.asarray(expected, np.float64))
    assert difference.max() <= 1.5  # PIL rounds the smoothed picture first


def test_dull_pictures_have_less_detail_and_sharp_ones_more() -> None:
    images, generator = some(6), torch.Generator().manual_seed(0)

    def detail(x: torch.Tensor) -> torch.Tensor:
        return haar_bands(x).abs().mean((1, 2, 3))

    dull = torch.stack([blurred(images, generator) for _ in range(3)])
    assert (detail(dull.flatten(0, 1)) <= detail(images).repeat(3) + 2e-3).all()
    sharp = torch.stack([sharpened(images, generator) for _ in range(3)])
    assert detail(sharp.flatten(0, 1)).mean() > detail(images).mean()
    assert dull.min() >= 0
    assert sharp.max() <= 1
    # Every picture has a kernel of its own, and a constant stays what it is.
    torch.testing.assert_close(blurred(torch.full((2, 3, 16, 16), 0.4), generator), torch.full((2, 3, 16, 16), 0.4))


def small(**changes: object) -> PCLSR:
    data = photos(24, 12)
    method = build("pcl-sr", data, 0, **{"patch": 16, "pretraining": 0.0, "critic_width": 4, **changes})
    assert isinstance(method, PCLSR)
    return method


def test_the_contrast_moves_the_network_and_not_the_critic() -> None:
    method = small()
    views = method.views(photos(24, 12).batch(np.arange(4)))
    assert (len(views.sharp), len(views.dull)) == (4, 4)
    assert torch.equal(views.sharp[0], views.true)
    made = method.encoder(views.small).detach().requires_grad_()
    (grad,) = torch.autograd.grad(method.contrasted(made, views), made)
    assert grad.abs().max() > 0
    method.critic_loss(views).backward()
    assert all(p.grad is None for p in method.encoder.parameters())
    assert all(p.grad is not None for p in method.critic.parameters())
    assert "contrast" in method.network_loss(views)
    waiting = small(pretraining=0.5)
    assert waiting.views(photos(24, 12).batch(np.arange(4))).sharp == []


def test_it_learns_to_enlarge() -> None:
    data = photos(24, 90)
    method = build("pcl-sr", data, 0, patch=16, critic_width=4, pretraining=0.95)
    assert isinstance(method, PCLSR)
    plain = bicubic(data, method)
    assert method.eval().evaluate(data)["psnr"] == pytest.approx(plain["psnr"], abs=1e-3)
    before = {name: p.clone() for name, p in method.critic.named_parameters()}
    train("pcl-sr", method.train(), data, 0, steps=140, batch_size=8)
    assert any(not torch.equal(p, before[name]) for name, p in method.critic.named_parameters())
    assert method.evaluate(data)["psnr"] > plain["psnr"]


def test_files_are_enlarged_at_their_own_sizes(tmp_path: Path) -> None:
    pixels = (some(3, 40) * 255).byte().permute(0, 2, 3, 1).numpy()
    for number, (height, width) in enumerate(((40, 31), (9, 40), (17, 17))):
        cv2.imwrite(str(tmp_path / f"{number}.png"), pixels[number, :height, :width, ::-1])
    method = small().eval()
    made = [*method.generate(load(tmp_path))]
    assert [each.thing.picture().shape for each in made] == [(80, 62, 3), (18, 80, 3), (34, 34, 3)]
    assert np.array_equal(made[1].given.picture(), pixels[1, :9, :40])
    only = [*method.generate(load(tmp_path).subset(np.array([2])))]
    assert only[0].row == 2
    assert np.array_equal(only[0].thing.picture(), made[2].thing.picture())


def test_tiles_make_one_picture() -> None:
    image = some(1, 40)[0]
    network = Upscaler(2, 4, 1).eval()
    torch.nn.init.normal_(network.tail[-1].weight, std=0.1)
    with torch.no_grad():
        whole = network(image[None])[0].clamp(0, 1)
        torch.testing.assert_close(upscale(network, image, 2, tile=12, margin=12), whole, atol=1e-5, rtol=0)


def test_cuttings_are_parts_of_their_pictures() -> None:
    image = torch.arange(64.0).view(1, 1, 8, 8).expand(32, 3, 8, 8)
    found = cuttings(image, 4, torch.Generator().manual_seed(0))
    assert found.shape == (32, 3, 4, 4)
    steps = {(float(f[0, 0, 1] - f[0, 0, 0]), float(f[0, 1, 0] - f[0, 0, 0])) for f in found}
    assert steps == {(1.0, 8.0), (-1.0, 8.0), (8.0, 1.0), (8.0, -1.0)}


def test_sizes_and_bad_input() -> None:
    assert upscaler("rcan", 4).scale == 4
    assert Upscaler(3, 4, 1, groups=2, attention=True)(torch.rand(1, 3, 5, 6)).shape == (1, 3, 15, 18)
    torch.testing.assert_close(Upscaler(2, 4, 1)(some(2)), enlarge(some(2), 2))
    with pytest.raises(ValueError, match=r"the pictures have 24 x 24 pixels, and patches of 32 are cut from them"):
        small(patch=32).views(photos(24, 12).batch(np.arange(2)))
    with pytest.raises(ValueError, match="smaller than the scale of 4"):
        degrade(torch.rand(1, 3, 3, 8), 4)
    with pytest.raises(ValueError, match="network must be one of edsr, edsr-small, rcan, or a module, got 'vdsr'"):
        small(network="vdsr")
    with pytest.raises(ValueError, match="patch must be a multiple of the scale of 2"):
        small(patch=15)
    with pytest.raises(ValueError, match="layers must be blocks 0 to 7 of the critic"):
        small(layers=(8,))
    with pytest.raises(ValueError, match="sides of at least 2"):
        haar_bands(torch.rand(1, 3, 1, 4))
