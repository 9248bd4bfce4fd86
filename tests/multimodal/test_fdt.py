"""FDT: the released pooling and contrast, a codebook both towers share, captions that no other caption changes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.losses import symmetric_info_nce
from nearfar.multimodal.data import CaptionedImages, load
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.methods.fdt import FDT, Attention
from nearfar.parts import discrete_weights, mixture, sparsemax
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.multimodal.small import small_text
from tests.parity import ParityCase, assert_parity, parity


@pytest.fixture(scope="module")
def scenes() -> CaptionedImages:
    found = load(examples=600)
    assert isinstance(found, CaptionedImages)
    return found


@pytest.mark.parametrize("case", parity("fdt", "sparsemax"))
def test_the_projection_is_the_released_one(case: ParityCase) -> None:
    arrays = case.load()
    weights = sparsemax(arrays["in_x"])
    torch.testing.assert_close(weights, arrays["out_w"], rtol=1e-9, atol=1e-10)
    assert_parity(case, arrays, (weights * arrays["in_probe"]).sum())


def queries(arrays: dict[str, Tensor], tokens: Tensor, name: str = "q") -> Tensor:
    """The released query map with its parameters."""
    p = {key[len(f"in_{name}_") :]: value for key, value in arrays.items() if key.startswith(f"in_{name}_")}
    x = F.layer_norm(tokens, tokens.shape[-1:], p["0_weight"], p["0_bias"])
    x = F.gelu(F.linear(x, p["1_weight"], p["1_bias"]))
    x = F.layer_norm(x, x.shape[-1:], p["3_weight"], p["3_bias"])
    return F.linear(x, p["4_weight"], p["4_bias"])


@pytest.mark.parametrize("case", parity("fdt", "fdt_pool"))
def test_pooled_tokens_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    mask = arrays["in_pad_mask"] == 0 if "in_pad_mask" in arrays else None
    weights = discrete_weights(queries(arrays, arrays["in_tokens"]), arrays["in_codebook"], mask=mask, **case.hyper)
    torch.testing.assert_close(weights, arrays["out_weights"], rtol=1e-9, atol=1e-10)
    embedded = mixture(weights, arrays["in_codebook"])
    torch.testing.assert_close(embedded, arrays["out_emb"], rtol=1e-9, atol=1e-10)
    assert_parity(case, arrays, (embedded * arrays["in_probe"]).sum())


@pytest.mark.parametrize("case", parity("fdt", "fdt_contrast"))
def test_the_contrast_is_the_released_one(case: ParityCase) -> None:
    """The release cuts the scale it uses at 100 and lets its gradient through."""
    arrays = case.load()
    pairs = []
    for name, tokens, mask in (("img", "in_patches", None), ("txt", "in_words", arrays["in_pad_mask"] == 0)):
        weights = discrete_weights(
            queries(arrays, arrays[tokens], f"{name}_query_model_q"),
            arrays["in_codebook"],
            temperature=case.hyper["temperature"],
            mask=mask,
        )
        pairs.append(mixture(weights, arrays["in_codebook"]))
    scale = arrays["in_log_scale"].squeeze().exp()
    scale = scale + (scale.clamp_max(100) - scale).detach()
    assert_parity(case, arrays, symmetric_info_nce(*pairs, temperature=1 / scale), rtol=1e-6)


def test_the_projection_is_the_nearest_point_of_the_simplex() -> None:
    x = torch.randn(20, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = sparsemax(x)
    torch.testing.assert_close(found.sum(1), torch.ones(20, dtype=torch.float64))
    assert (found == 0).any()
    # x - p is the same number on the support and no larger off it: the conditions of a projection.
    for row, weights in zip(x, found, strict=True):
        rest = row - weights
        tau = rest[weights > 0]
        assert float(tau.max() - tau.min()) < 1e-12
        assert (rest[weights == 0] <= tau.max() + 1e-12).all()
    torch.testing.assert_close(sparsemax(x.T, 0).T, found)
    torch.testing.assert_close(sparsemax(x + 1000), found, rtol=1e-9, atol=1e-9)
    torch.autograd.gradcheck(sparsemax, x[:3].clone().requires_grad_())


def test_a_caption_means_the_same_beside_a_longer_one(scenes: CaptionedImages) -> None:
    method = build("fdt", scenes, 0).eval()
    short, long = "a red ring", "there is a very large purple star in the bottom right corner of it"
    with torch.no_grad():
        alone = method.encoder.embed_text([short])
        beside = method.encoder.embed_text([short, long])[:1]
    torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5)


def test_it_learns_what_captions_say(scenes: CaptionedImages) -> None:
    torch.manual_seed(0)
    method = build("fdt", scenes, 0, text_encoder=small_text())
    assert isinstance(method, FDT)
    gallery = scenes.splits()["gallery"]
    before = evaluate(method.eval(), gallery)
    method.train()
    train("fdt", method, scenes, 0, steps=110, batch_size=24)
    after = evaluate(method, gallery)
    name = "R@1 image to text data"
    assert after[name] > before[name] + 0.05
    assert after["effective_rank"] > 3
    assert int(method.steps) == 110
    assert float(method.encoder.temperature) == pytest.approx(80 * 0.7)
    with method.frozen():
        weights = method.encoder.text_weights(scenes.captions[:50])
    torch.testing.assert_close(weights.sum(1), torch.ones(50))
    assert 0 < float((weights > 0).float().mean()) < 0.95, "mixtures are not sparse"


def test_gradients_reach_towers_and_codebook(scenes: CaptionedImages) -> None:
    method = build("fdt", scenes, 0)
    method.seed_step(0, 0)
    method.loss(method.views(scenes.batch(np.arange(16)))).backward()
    for name, parameter in method.named_parameters():
        assert parameter.grad is not None, name
    assert float(method.encoder.codebook.grad.abs().sum()) > 0


def test_the_temperature_falls_in_steps() -> None:
    falling = Attention(1000, 0.5, every=10, least=100)
    assert [falling.at(step) for step in (0, 9, 10, 29, 40)] == [1000, 1000, 500, 250, 100]


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match="rate in"):
        Attention(rate=2.0)
    with pytest.raises(ValueError, match="pool must be one of max, mean, sum"):
        discrete_weights(torch.zeros(1, 2, 3), torch.zeros(4, 3), temperature=1, pool="min")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a codebook \\(K, D\\) are needed, got \\(1, 2, 3\\) and \\(4, 2\\)"):
        discrete_weights(torch.zeros(1, 2, 3), torch.zeros(4, 2), temperature=1)
