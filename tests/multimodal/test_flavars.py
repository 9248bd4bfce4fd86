"""FLAVARS: its released parts, what it hides, its places, and what it learns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from nearfar import workflow
from nearfar.catalogue import find
from nearfar.encoders.hidden_words import hide_words
from nearfar.encoders.location import LocationEncoder, spherical_harmonics
from nearfar.encoders.tokens import MASK, HashTokenizer
from nearfar.losses import masked_tokens, symmetric_info_nce
from nearfar.multimodal.data import CaptionedImages, load
from nearfar.multimodal.data.land_tiles import LandTiles, land_tiles
from nearfar.multimodal.evaluation import evaluate
from nearfar.multimodal.masked_pairs import Hiding, Joint, Weights
from nearfar.multimodal.methods import FLAVARS
from nearfar.parts import LogitScale, PatchCodes, TokenHead, block_hidden
from nearfar.reproductions.multimodal.small import small_text
from nearfar.testing import a_resumed_run_is_the_whole_one
from nearfar.training import Optimization, Training
from tests.parity import ParityCase, assert_parity, parity


@pytest.mark.parametrize("case", parity("flavars", "spherical_harmonics"))
def test_harmonics_are_the_released_ones(case: ParityCase) -> None:
    """Without the sign; the default branch of the release has its first columns pi times too large."""
    arrays = case.load()
    degrees = case.hyper["L"]
    found = spherical_harmonics(arrays["in_lonlat"], degrees)
    torch.testing.assert_close(found, arrays["out_orthonormal"], rtol=1e-8, atol=1e-10)
    slipped = spherical_harmonics(arrays["in_lonlat"], degrees, satclip_scaling=True)
    torch.testing.assert_close(slipped, arrays["out_analytic"], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", parity("flavars", "siren"))
def test_layers_of_sines_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    hidden, features = arrays["in_layer0_w"].shape
    encoder = LocationEncoder(round(features**0.5), hidden, 2, 4, first_frequency=30.0, dropout=0.5).eval()
    with torch.no_grad():
        for name, layer in (("layer0", encoder.layers[0]), ("layer1", encoder.layers[1]), ("last", encoder.last)):
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(arrays[f"in_{name}_w"])
            layer.bias.copy_(arrays[f"in_{name}_b"])
    y = encoder.sines(arrays["in_x"])
    torch.testing.assert_close(y, arrays["out_y"], rtol=1e-9, atol=1e-10)
    assert_parity(case, {k: v for k, v in arrays.items() if k != "in_probe"}, (arrays["in_probe"] * y).sum())


@pytest.mark.parametrize("case", parity("flavars", "global_contrastive", "location_contrast"))
def test_contrast_is_the_released_one(case: ParityCase) -> None:
    """The scale is clamped before it is used, and its gradient is that of the clamped value."""
    arrays = case.load()
    scale = LogitScale().double()
    with torch.no_grad():
        scale.log_scale.copy_(arrays["in_log_scale"])
    if case.function == "global_contrastive":
        scale.clamp()
    other = arrays["in_text" if "in_text" in arrays else "in_location"]
    value = symmetric_info_nce(arrays["in_image"], other, temperature=scale.temperature)
    grad = arrays.pop("grad_log_scale", None)
    if grad is not None:
        (own,) = torch.autograd.grad(value, [scale.log_scale], retain_graph=True)  # type: ignore[list-item]
        torch.testing.assert_close(own, grad, rtol=1e-4, atol=1e-7)  # 4.6052 in the release is ln 100 in four digits
    assert_parity(case, arrays, value, rtol=1e-4 if "clamped" in case.name else 1e-7)


@pytest.mark.parametrize("case", parity("flavars", "masked_prediction"))
def test_guesses_are_the_released_ones(case: ParityCase) -> None:
    arrays = case.load()
    head = TokenHead(arrays["in_hidden"].shape[2], len(arrays["in_bias"])).double()
    given = {"dense.weight": "dense_w", "dense.bias": "dense_b", "norm.weight": "ln_w", "norm.bias": "ln_b"}
    given |= {"decode.weight": "dec_w", "decode.bias": "bias"}
    head.load_state_dict({ours: arrays[f"in_{theirs}"].detach().double() for ours, theirs in given.items()})
    assert_parity(case, arrays, masked_tokens(head(arrays["in_hidden"]), arrays["in_labels"]), rtol=1e-5)


def small(**changes: Any) -> FLAVARS:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {
        "image_encoder": "vit-nano",
        "text_encoder": small_text(),
        "projection_dim": 16,
        "hiding": Hiding(codes=16),
        "joint": Joint(32, 1, 2),
        "located": True,
        **changes,
    }
    return FLAVARS(**arguments)


@pytest.fixture(scope="module")
def tiles() -> LandTiles:
    return land_tiles(240, held_out=120, seed=3)


def test_every_part_of_the_loss_is_learned_and_hiding_is_blind(tiles: LandTiles) -> None:
    method = small(hiding=Hiding(codes=16, exchanged=0.4)).eval()
    method.begin(tiles)
    method.seed_step(0, 0)
    views = method.views(tiles.batch(np.arange(12)))
    terms = method.loss(views)
    assert set(terms) == {"contrast", "location", "image", "text", "joint_image", "joint_text", "matching"}
    torch.stack([*terms.values()]).sum().backward()
    assert not [n for n, p in method.named_parameters() if p.grad is None]
    assert method.places is not None
    # What is hidden is not seen: other pixels there, and no guess from the image alone changes.
    inside = views.hidden.view(12, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
    blank = torch.where(inside, torch.rand_like(views.images), views.images)
    with torch.no_grad():
        one, two = (method.guesses.image_states(method.encoder, x, views.hidden) for x in (views.images, blank))
    torch.testing.assert_close(one, two)
    assert small(weights=Weights(1, 0, 0, 0, 0, 0, 0)).places is None


def test_only_images_with_their_own_caption_ask(tiles: LandTiles) -> None:
    method = small(hiding=Hiding(codes=16, exchanged=0.5)).eval()
    method.seed_step(0, 0)
    views = method.views(tiles.batch(np.arange(10)))
    rows = views.match.nonzero().flatten()
    assert 0 < len(rows) < 10
    with torch.no_grad():
        seen = method.encoder.image(views.images)
        u = F.normalize(method.encoder.image_projection(seen))
        v = F.normalize(method.encoder.text_projection(method.encoder.text(views.text)))
        logits = u @ v.T / method.scale.temperature
        wanted = (F.cross_entropy(logits[rows], rows) + F.cross_entropy(logits.T[rows], rows)) / 2
        torch.testing.assert_close(method.contrast(seen, views), wanted)


def test_equal_places_are_no_negatives_and_unknown_ones_do_not_count(tiles: LandTiles) -> None:
    method = small().eval()
    assert method.places is not None
    seen = torch.randn(5, 64)
    places = torch.tensor([[10.0, 5], [10, 5], [-70, 40], [float("nan"), float("nan")], [0, -30]], dtype=torch.float64)
    with torch.no_grad():
        found = method.place_contrast(method.places, seen, places)
        a, b = (F.normalize(x) for x in method.places(seen, places))
        logits = (a @ b.T / 0.07)[[0, 1, 2, 4]][:, [0, 1, 2, 4]]
        logits[0, 1] = logits[1, 0] = -torch.inf
        own = torch.arange(4)
        torch.testing.assert_close(found, (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2)
        assert method.place_contrast(method.places, seen, places * float("nan")) == 0


def test_hidden_patches_lie_in_blocks_and_are_as_many_everywhere() -> None:
    hidden = block_hidden(200, (8, 8), 0.4, torch.Generator().manual_seed(0))
    assert hidden.sum(1).tolist() == [26] * 200
    maps = hidden.view(200, 8, 8)
    together = (maps[:, 1:] & maps[:, :-1]).sum() + (maps[:, :, 1:] & maps[:, :, :-1]).sum()
    order = torch.rand(200, 64, generator=torch.Generator().manual_seed(1)).argsort(1).argsort(1)
    scattered = order.view(200, 8, 8) < 26
    apart = (scattered[:, 1:] & scattered[:, :-1]).sum() + (scattered[:, :, 1:] & scattered[:, :, :-1]).sum()
    assert together > 1.5 * apart
    assert float(hidden.float().mean(0).min()) > 0.05
    with pytest.raises(ValueError, match="hides some of 4 patches and not all"):
        block_hidden(2, (2, 2), 0.05, torch.Generator())


def test_hidden_words_are_words() -> None:
    tokenizer = HashTokenizer(500, 12)
    tokens = tokenizer(["a red circle at the upper left", "a square"] * 200)
    found = hide_words(tokens, tokenizer, 500, 0.3, torch.Generator().manual_seed(0))
    chosen = found.labels >= 0
    assert 0.25 < float(chosen.sum() / (tokens.attention_mask.sum() - 400)) < 0.35
    assert not chosen[:, 0].any()
    assert not chosen[tokens.attention_mask == 0].any()
    assert torch.equal(found.labels[chosen], tokens.input_ids[chosen])
    assert torch.equal(found.tokens.input_ids[~chosen], tokens.input_ids[~chosen])
    assert 0.72 < float((found.tokens.input_ids[chosen] == MASK).float().mean()) < 0.88


def test_codes_draw_what_they_were_made_of() -> None:
    patches = torch.randint(0, 256, (5, 3, 4, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = torch.cat([torch.cat([patches[i], patches[j]], 2)[None] for i in range(5) for j in range(5)])
    codes = PatchCodes(8, 4)
    codes.fit(images)
    assert torch.equal(codes.pictures(codes.codes(images), 4, 8), images)
    assert len(codes.codes(images).unique()) == 5
    with pytest.raises(ValueError, match="count must be at least 2"):
        PatchCodes(1, 4)


def test_it_learns_what_is_hidden_and_which_caption_is_whose(tiles: LandTiles) -> None:
    method = small(optimization=Optimization(lr=3e-3))
    method.begin(tiles)

    def losses() -> dict[str, float]:
        with method.frozen():
            method.seed_step(0, 0)
            return {name: float(term) for name, term in method.loss(method.views(tiles.batch(np.arange(64)))).items()}

    before = losses()
    workflow.fit(method, tiles, Training(steps=25, batch_size=32, monitor_every=-1), progress=False)
    after = losses()
    assert after["image"] < 0.9 * before["image"]
    assert after["joint_text"] < 0.75 * before["joint_text"]
    assert after["contrast"] < 0.95 * before["contrast"]
    scores = evaluate(method, tiles)
    assert set(scores) >= {"knn land", "zero-shot objects"}
    assert scores["effective_rank"] > 1.5


def test_a_resumed_run_is_the_whole_one(tiles: LandTiles) -> None:
    arguments, _ = workflow.laptop_settings(find("flavars"), tiny=True)
    a_resumed_run_is_the_whole_one(FLAVARS, tiles, {**arguments, "located": True}, 8)


def test_places_come_from_tables(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(np.full((8, 8, 3), 80 * number, np.uint8)).save(tmp_path / f"{number}.png")
    rows = "image,caption,lon,lat\n0.png,a,4.5,52\n1.png,b,,\n2.png,c,-70,-33.5\n"
    (tmp_path / "a.csv").write_text(rows)
    found = load(tmp_path / "a.csv", size=8)
    assert isinstance(found, CaptionedImages)
    assert found.facts == {"located": True}
    places = found.batch(np.array([2, 1])).places
    assert places is not None
    assert places[0].tolist() == [-70, -33.5]
    assert places[1].isnan().all()
    (tmp_path / "b.csv").write_text(rows.replace("52", "north"))
    with pytest.raises(ValueError, match="'north' is no latitude; degrees as a number are needed"):
        load(tmp_path / "b.csv", size=8)
    (tmp_path / "c.csv").write_text(rows.replace("52", "152"))
    with pytest.raises(ValueError, match=r"the latitude of image 0 is 152; it must be in \[-90, 90\] degrees"):
        load(tmp_path / "c.csv", size=8)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match="patches are hidden, which SmallConvNet cannot"):
        small(image_encoder="small-conv")
    with pytest.raises(ValueError, match="weights must be 0 or above"):
        Weights(text=-1)
    with pytest.raises(ValueError, match=r"exchanged in \[0, 1\)"):
        Hiding(exchanged=1.0)
