"""CMA: alignment, contrast and pseudo-labels against their formulas, its two stages, and that rain improves."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_model
from torch import Tensor, nn

from nearfar.losses import aligned_patch_contrast, normalized_entropy
from nearfar.parts import flow_confidence, resize_flow, warp
from nearfar.reproductions.arms import build, train
from nearfar.segmentation.data.pairs import PairedScenes, PairViews, street_pairs
from nearfar.segmentation.evaluation import evaluate
from nearfar.segmentation.methods.cma import CMA
from nearfar.segmentation.source_labels import averaged_probabilities, balanced_labels, class_thresholds
from nearfar.training.optimization import scaled_rates

SMALL = {"decoder_width": 16, "embedding_dim": 8, "queue_size": 64, "projector_steps": 0}


@pytest.fixture(scope="module")
def pairs() -> PairedScenes:
    return street_pairs(size=32, scenes=16, held_out=range(100_000, 100_004))


def cma(pairs: PairedScenes, **changes) -> CMA:
    method = build("cma", pairs, 0, **{**SMALL, **changes})
    assert isinstance(method, CMA)
    return method


def adapting(pairs: PairedScenes, **changes) -> CMA:
    method = cma(pairs, **changes)
    method.start_adaptation(pairs)
    return method


def test_the_flow_of_a_pair_says_where_pixels_went() -> None:
    same_light = street_pairs(size=32, scenes=8, adverse="noon", held_out=range(100_000, 100_001))
    batch = same_light.batch(np.arange(8))
    warped, inside = warp(batch.normal.float(), batch.flow)
    assert (batch.flow.abs().amax((1, 2, 3)) > 1).any()
    assert inside.float().mean() > 0.7
    seen = inside.expand_as(warped)
    torch.testing.assert_close(warped[seen], batch.adverse.float()[seen], atol=0.01, rtol=0)


def test_warp_of_a_known_shift() -> None:
    x = torch.arange(20.0).view(1, 1, 4, 5)
    flow = torch.zeros(1, 2, 4, 5)
    flow[:, 0], flow[:, 1] = 1.0, -1.0
    warped, inside = warp(x, flow)
    torch.testing.assert_close(warped[0, 0, 1:, :4], x[0, 0, :3, 1:])
    # Targets in the outermost rows and columns count as outside, as those beyond them do.
    expected = torch.zeros(4, 5, dtype=torch.bool)
    expected[2:, :3] = True
    assert torch.equal(inside[0, 0], expected)
    still, all_in = warp(x, torch.zeros(1, 2, 4, 5))
    assert torch.equal(still, x)
    assert all_in.all()
    torch.testing.assert_close(resize_flow(flow, (8, 20))[0, :, 0, 0], torch.tensor([4.0, -2.0]))
    with pytest.raises(ValueError, match=r"flow must have shape \(N, 2, H, W\)"):
        warp(x, flow[..., :4])


def test_confidence_falls_with_the_variance() -> None:
    s = torch.tensor([-8.0, 0.0, 3.0], dtype=torch.float64)
    expected = [1 - math.exp(-4 / (2 * math.exp(v))) for v in s.tolist()]
    torch.testing.assert_close(flow_confidence(s, 2.0), torch.tensor(expected, dtype=torch.float64))
    with pytest.raises(ValueError, match="radius must be above 0"):
        flow_confidence(s, 0)


def test_the_contrast_against_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    a, p, queue = draw(2, 3, 4, 6), draw(2, 3, 4, 6), draw(5, 3)
    confidence = torch.rand(2, 1, 4, 6, generator=generator, dtype=torch.float64)
    confidence[0, :, :2, :3] = 0.05  # patch 0 of image 0 is not trusted
    losses = []
    for n in range(2):
        for y in range(2):
            for x in range(2):
                cut = np.s_[:, 2 * y : 2 * y + 2, 3 * x : 3 * x + 3]
                if confidence[n][cut].mean() >= 0.2:
                    u, v = ((m[n][cut] * confidence[n][cut]).mean((1, 2)) for m in (a, p))
                    e = [math.exp(float(F.cosine_similarity(u, k, dim=0)) / 0.3) for k in [v, *queue]]
                    losses.append(-math.log(e[0] / sum(e)))
    assert len(losses) == 7
    options = {"grid": 2, "temperature": 0.3}
    assert aligned_patch_contrast(a, p, confidence, queue, **options).item() == pytest.approx(np.mean(losses), rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda m: aligned_patch_contrast(m, p, confidence, queue, **options), a.requires_grad_()
    )
    nothing = aligned_patch_contrast(a, p, confidence * 0, queue, **options)
    assert nothing.item() == 0
    nothing.backward()
    with pytest.raises(ValueError, match=r"confidence must have shape \(2, 1, 4, 6\)"):
        aligned_patch_contrast(a, p, confidence[:, 0], queue)


def test_entropy_is_a_share_of_the_largest() -> None:
    logits = torch.randn(2, 4, 3, dtype=torch.float64)
    p = logits.softmax(1)
    assert normalized_entropy(logits).item() == pytest.approx(float(-(p * p.log()).sum(1).mean()) / math.log(4))
    assert normalized_entropy(torch.zeros(1, 7, 2, 2)).item() == pytest.approx(1)
    assert normalized_entropy(torch.tensor([[1000.0, 0.0]])).item() == 0
    assert torch.autograd.gradcheck(normalized_entropy, logits.requires_grad_())
    with pytest.raises(ValueError, match="at least 2 classes"):
        normalized_entropy(torch.zeros(2, 1, 3))


def test_every_class_has_its_own_threshold() -> None:
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.randn(3, 4, 20, 20, generator=generator).mul(2).softmax(1)
    probabilities[:, 3] = 0  # never predicted
    batches = [probabilities[:2], probabilities[2:]]
    expected = []
    for c in range(4):
        values: list[float] = []
        for image in probabilities:
            confidence, predicted = image.max(0)
            values += confidence[predicted == c][::10].tolist()
        values.sort(reverse=True)
        count = int(0.2 * len(values))
        expected.append(values[count - 1] if count else 1.0)
    found = class_thresholds(batches, 4, 0.2)
    assert found.tolist() == pytest.approx(expected)
    labels = balanced_labels(probabilities, found)
    ratio = (probabilities / found.view(1, 4, 1, 1)).max(1).values
    assert torch.equal(labels == 255, ratio < 1)
    share = float((labels != 255).float().mean())
    assert 0.15 < share < 0.5
    with pytest.raises(ValueError, match=r"portion must be in \(0, 1\], got 0"):
        class_thresholds(batches, 4, 0)


def test_probabilities_are_averaged_over_mirror_images(pairs: PairedScenes) -> None:
    segmenter = cma(pairs).eval().encoder
    images = pairs.batch(np.arange(2)).adverse
    found = averaged_probabilities(segmenter, images, (1.0, 0.5))
    torch.testing.assert_close(found.sum(1), torch.ones(2, 32, 64))
    torch.testing.assert_close(averaged_probabilities(segmenter, images.flip(-1), (1.0, 0.5)), found.flip(-1))


def test_pairs_are_mirrored_with_their_flow(pairs: PairedScenes) -> None:
    method = adapting(pairs)
    method.seed_step(0, 0)
    batch = pairs.batch(np.arange(16))
    views = method.views(batch)
    assert isinstance(views, PairViews)
    turned = (views.adverse != batch.adverse).flatten(1).any(1)
    assert 3 < int(turned.sum()) < 13
    for n in range(16):
        flip = (lambda x: x.flip(-1)) if turned[n] else (lambda x: x)
        assert torch.equal(flip(views.normal[n]), batch.normal[n])
        assert torch.equal(flip(views.labels[n]), method.pseudo_labels[n].long())
        sign = torch.tensor([-1.0 if turned[n] else 1.0, 1.0]).view(2, 1, 1)
        assert torch.equal(flip(views.flow[n]) * sign, batch.flow[n])


def test_positives_come_from_the_normal_picture_and_negatives_from_the_adverse(pairs: PairedScenes) -> None:
    method = adapting(pairs)
    method.seed_step(0, 0)
    views = method.views(pairs.batch(np.arange(4)))
    assert isinstance(views, PairViews)
    with torch.no_grad():
        # In train mode batch norm mixes the pictures of a batch; without it each can be followed.
        method.eval()
        positives, _ = method.targets(views._replace(flow=torch.zeros_like(views.flow)))
        expected = method.projector(method.encoder.maps(views.normal))
        torch.testing.assert_close(positives, expected)
        adverse = method.projector(method.encoder.maps(views.adverse))
    method.after_step()
    cells = F.normalize(F.adaptive_avg_pool2d(adverse, 7).permute(0, 2, 3, 1).flatten(0, 2), dim=1)
    torch.testing.assert_close(method.queue.keys, cells[-len(method.queue) :])


def test_what_moves_in_each_stage(pairs: PairedScenes) -> None:
    method = cma(pairs)
    method.seed_step(0, 0)
    terms = method.loss(method.views(pairs.batch(np.arange(4))))
    assert set(terms) == {"source"}
    terms["source"].backward()
    assert all(p.grad is None for p in method.projector.parameters())
    assert all(p.grad is not None for p in method.encoder.parameters())
    method.zero_grad()
    method.start_adaptation(pairs)
    assert not method.encoder.head.training
    for steps, reached in ((0, False), (5, True)):
        method.adapted_steps.fill_(steps)
        method.projector_steps = 5
        method.zero_grad()
        terms = method.loss(method.views(pairs.batch(np.arange(4))))
        assert set(terms) == {"self_training", "entropy", "contrast"}
        terms["contrast"].backward()
        gradients = [p.grad for p in method.encoder.backbone.parameters()]
        assert any(g is not None and g.abs().sum() > 0 for g in gradients) is reached
        assert all(p.grad is not None for p in method.projector.parameters())
        method.before_step()
        assert all(p.grad is None for p in method.encoder.head.parameters())
    assert all(p.grad is None for p in [*method.key_network.parameters(), *method.labeller.parameters()])


def test_an_alignment_network_may_replace_the_datas_flow(pairs: PairedScenes) -> None:
    class Nowhere(nn.Module):
        def forward(self, adverse: Tensor, normal: Tensor) -> tuple[Tensor, Tensor]:
            assert adverse.shape == normal.shape
            assert adverse.max() <= 1
            return torch.full_like(adverse[:, :2], 1000.0), torch.zeros_like(adverse[:, :1])

    method = adapting(pairs, align=Nowhere())
    method.seed_step(0, 0)
    terms = method.loss(method.views(pairs.batch(np.arange(4))))
    assert terms["contrast"].item() == 0  # nothing is inside, nothing is trusted


def test_one_run_trains_its_source_and_adapts(pairs: PairedScenes) -> None:
    method = cma(pairs, source_share=0.7)
    before = evaluate(method.eval(), pairs)
    method.train()
    train("cma", method, pairs, 0, steps=60)
    assert int(method.adapted_steps) == 18
    after = evaluate(method, pairs)
    assert after["miou noon"] > before["miou noon"] + 0.05
    assert after["miou rain"] > before["miou rain"] + 0.02


def test_it_starts_from_a_finished_run(pairs: PairedScenes, tmp_path: Path) -> None:
    trained = cma(pairs)
    with torch.no_grad():
        trained.encoder.head.classify.bias.fill_(3.0)
    save_model(trained.encoder, str(tmp_path / "encoder.safetensors"))
    method = cma(pairs, source=str(tmp_path), source_share=None)
    train("cma", method, pairs, 0, steps=2)
    assert method.adapting
    assert (method.labeller.module.head.classify.bias == 3.0).all()
    assert (method.encoder.head.classify.bias == 3.0).all()  # frozen
    other = cma(pairs, source=str(tmp_path), source_share=None, decoder_width=24)
    with pytest.raises(ValueError, match="holds another architecture"):
        train("cma", other, pairs, 0, steps=1)
    with pytest.raises(FileNotFoundError, match="there is no finished run in"):
        train("cma", cma(pairs, source=str(tmp_path / "no"), source_share=None), pairs, 0, steps=1)
    with pytest.raises(ValueError, match="leave source_share out"):
        CMA("small-pyramid", 16, source="runs/x", source_share=0.5)


def test_rates_are_scaled_for_one_step() -> None:
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.5)
    with scaled_rates(optimizer, 0.1):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_pairs_must_agree_in_number_and_size(pairs: PairedScenes) -> None:
    pictures = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="of one shape, at least one"):
        PairedScenes(pairs.source, pictures, pictures[:2])
    with pytest.raises(ValueError, match=r"flow must be \(M, 2\) or \(M, 2, h, w\)"):
        PairedScenes(pairs.source, pictures, pictures, np.zeros((3, 2, 4, 4)))
