"""Masked pre-training against values and gradients that released code computed: MAE, R-MAE, SparK."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nearfar.encoders import ImageEncoder, VisionTransformer, sine_positions
from nearfar.losses import masked_reconstruction
from nearfar.parts import Densify, UNetDecoder, feature_levels, patchify, random_masking, unpatchify
from nearfar.parts import patches as parts_patches
from nearfar.parts.patches import masking_of, take
from nearfar.parts.sparse_conv import Seen, sparse, sparse_maps
from nearfar.vision.methods import MAE, RMAE, SparK
from nearfar.vision.methods import r_mae as r_mae_module
from nearfar.vision.methods.r_mae import RegionViews
from nearfar.vision.region_queries import RegionDecoder
from tests.parity import ParityCase, parity

CLOSE: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-10}
SINGLE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}  # positions are those of float32
TIMM = {
    "attn_qkv_weight": "self_attn.in_proj_weight",
    "attn_qkv_bias": "self_attn.in_proj_bias",
    "attn_proj_weight": "self_attn.out_proj.weight",
    "attn_proj_bias": "self_attn.out_proj.bias",
    "norm1_weight": "norm1.weight",
    "norm1_bias": "norm1.bias",
    "norm2_weight": "norm2.weight",
    "norm2_bias": "norm2.bias",
    "mlp_fc1_weight": "linear1.weight",
    "mlp_fc1_bias": "linear1.bias",
    "mlp_fc2_weight": "linear2.weight",
    "mlp_fc2_bias": "linear2.bias",
}
"""Names inside a released block, with dots replaced, and inside ours."""


def put(module: nn.Module, name: str, value: Tensor) -> nn.Parameter:
    """Give a parameter the released value; returns it."""
    parameter = module.get_parameter(name)
    with torch.no_grad():
        parameter.copy_(value.view_as(parameter))
    return parameter


def block(module: nn.Module, prefix: str, a: dict[str, Tensor], released: str) -> None:
    for name, own in TIMM.items():
        put(module, f"{prefix}.{own}", a[f"in_par_{released}_{name}"])


def linear(module: nn.Module, prefix: str, a: dict[str, Tensor], released: str) -> None:
    for part in ("weight", "bias"):
        put(module, f"{prefix}.{part}", a[f"in_par_{released}_{part}"])


def drawn_as(noise: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers that decide which patches are seen are the case's."""
    monkeypatch.setattr(parts_patches, "for_examples", lambda draw, count: noise.detach())


@pytest.mark.parametrize("case", parity("mae", "patchify"))
def test_patches_and_back(case: ParityCase) -> None:
    a = case.load()
    images, p = a["in_imgs"].detach(), case.hyper["patch"]
    assert torch.equal(patchify(images, p), a["out_patches"])
    assert torch.equal(unpatchify(a["out_patches"], p, *images.shape[2:]), images)


@pytest.mark.parametrize("case", parity("mae", "random_masking"))
def test_which_patches_are_seen(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same tokens in the same order. A ratio that by truncation shows nothing is refused here."""
    a = case.load()
    count, length = a["in_noise"].shape
    drawn_as(a["in_noise"], monkeypatch)
    if not a["out_x_masked"].shape[1]:
        with pytest.raises(ValueError, match="shows 0"):
            random_masking(count, length, case.hyper["mask_ratio"])
        return
    kept, hidden = random_masking(count, length, case.hyper["mask_ratio"])
    assert torch.equal(take(a["in_x"], kept), a["out_x_masked"])
    assert torch.equal(hidden.double(), a["out_mask"])
    assert torch.equal(a["out_ids_restore"].gather(1, kept), torch.arange(kept.shape[1]).expand_as(kept))


@pytest.mark.parametrize("case", parity("mae", "pos_embed"))
def test_positions(case: ParityCase) -> None:
    a = case.load()
    channels, side, with_class = a["in_grid"].tolist()
    torch.testing.assert_close(
        sine_positions(side, side, channels).double(), a["out_pos"][with_class:], rtol=1e-6, atol=1e-7
    )
    assert not a["out_pos"][:with_class].any()  # the class token has none, here neither


def masked_autoencoder(a: dict[str, Tensor], h: dict[str, Any], kind: type[MAE], **more: Any) -> MAE:
    """The released weights in our module, which gets pixels as they are."""
    width, narrow = a["in_par_cls_token"].shape[-1], a["in_par_mask_token"].shape[-1]
    depth = sum(f"in_par_blocks_{i}_norm1_weight" in a for i in range(9))
    decoder_depth = sum(f"in_par_decoder_blocks_{i}_norm1_weight" in a for i in range(9))
    ratio = a["in_par_blocks_0_mlp_fc1_weight"].shape[0] / width
    heads, patch = h.get("heads", 2), a["in_par_patch_embed_proj_weight"].shape[-1]
    vit = VisionTransformer(width, depth, heads, patch=patch, mlp_ratio=ratio)
    method = kind(
        ImageEncoder(vit, mean=(0.0,) * 3, std=(1.0,) * 3),
        mask_ratio=h["mask_ratio"],
        decoder_width=narrow,
        decoder_depth=decoder_depth,
        decoder_heads=heads,
        normalise=h.get("norm_pix", True),
        **more,
    )
    shrink(method, a)
    method.double()
    method.transformer.embed = method.transformer.embed.to(memory_format=torch.contiguous_format)
    linear(vit, "embed", a, "patch_embed_proj")
    put(vit, "class_token", a["in_par_cls_token"])
    assert not a["in_par_pos_embed"][0, 0].any()
    for i in range(depth):
        block(vit, f"blocks.layers.{i}", a, f"blocks_{i}")
    linear(vit, "blocks.norm", a, "norm")
    linear(method.decoder, "embed", a, "decoder_embed")
    put(method.decoder, "mask_token", a["in_par_mask_token"])
    for i in range(decoder_depth):
        block(method.decoder, f"blocks.layers.{i}", a, f"decoder_blocks_{i}")
    linear(method.decoder, "blocks.norm", a, "decoder_norm")
    linear(method.decoder, "predict", a, "decoder_pred")
    return method


def shrink(method: nn.Module, a: dict[str, Tensor]) -> None:
    """The toy blocks' MLPs are twice as wide as a token, ours four times: give ours the released width."""
    hidden = {
        width: a[name].shape[0]
        for name in a
        if name.startswith("in_par_")
        and name.endswith("mlp_fc1_weight")
        and "dec_blocks" not in name.replace("decoder_blocks", "")
        for width in (a[name].shape[1],)
    }
    for layer in method.modules():
        if isinstance(layer, nn.TransformerEncoderLayer):
            width = layer.linear1.in_features
            layer.linear1 = nn.Linear(width, hidden[width])
            layer.linear2 = nn.Linear(hidden[width], width)


@pytest.mark.parametrize("case", parity("mae", "full_forward"))
def test_a_masked_autoencoder(case: ParityCase) -> None:
    a = case.load()
    method = masked_autoencoder(a, case.hyper, MAE)
    images = a["in_imgs"].detach()
    length = a["in_noise"].shape[1]
    seen = a["out_latent"].shape[1] - 1
    kept, hidden = masking_of(a["in_noise"].detach().argsort(1)[:, :seen], length)
    assert torch.equal(hidden.double(), a["out_mask"])
    torch.testing.assert_close(method.seen(images, kept), a["out_latent"], **SINGLE)
    views = r_mae_module.RegionViews(images, kept, hidden, kept, kept)
    torch.testing.assert_close(method.reconstruct(views), a["out_pred"], **SINGLE)  # type: ignore[arg-type]
    loss = MAE.loss(method, views)  # type: ignore[arg-type]
    torch.testing.assert_close(loss, a["out_loss"], **SINGLE)
    wanted = {
        "grad_patch_embed_proj_weight": method.transformer.embed.weight,
        "grad_cls_token": method.transformer.class_token,
        "grad_mask_token": method.decoder.mask_token,
        "grad_blocks_0_attn_qkv_weight": method.transformer.blocks.layers[0].self_attn.in_proj_weight,
        "grad_decoder_pred_weight": method.decoder.predict.weight,
    }
    gradients_are(loss, a, wanted)


def gradients_are(loss: Tensor, a: dict[str, Tensor], wanted: dict[str, Any], **close: float) -> None:
    known = {name: parameter for name, parameter in wanted.items() if name in a}
    assert known
    found = torch.autograd.grad(loss, [*known.values()], retain_graph=True, allow_unused=True)
    for name, own in zip(known, found, strict=True):
        own = torch.zeros_like(a[name]) if own is None else own.view_as(a[name])
        torch.testing.assert_close(own, a[name], **(close or SINGLE), msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("case", parity("r-mae", "expansion_block"))
def test_queries_are_expanded(case: ParityCase) -> None:
    """The memory's class token is answered like the patches, and left out by us before."""
    a = case.load()
    width = a["in_q"].shape[-1]
    decoder = RegionDecoder(1, width, case.hyper["heads"]).double()
    decoder.expand = nn.Linear(a["in_memory"].shape[-1], width).double()
    region_decoder(decoder, a, "")
    answered: list[Tensor] = []
    decoder.last.register_forward_pre_hook(lambda module, given: answered.append(given[0]))
    decoder.predict[-1] = nn.Identity()  # the last GELU stands behind the released block
    decoder(a["in_q"], a["in_memory"])
    torch.testing.assert_close(answered[0], a["out_out"], **CLOSE)
    if "out_sum_sq" in a:
        total = answered[0].square().sum()
        torch.testing.assert_close(total, a["out_sum_sq"], **CLOSE)
        gradients_are(total, a, {f"grad_{n}": a[f"in_{n}"] for n in ("q", "memory")}, **CLOSE)


def region_decoder(decoder: RegionDecoder, a: dict[str, Tensor], prefix: str) -> None:
    linear(decoder, "norm", a, f"{prefix}norm1")
    for part in ("weight", "bias"):
        put(decoder.attention, f"in_proj_{part}", a[f"in_par_{prefix}attn_qkv_{part}"])
        put(decoder.attention, f"out_proj.{part}", a[f"in_par_{prefix}attn_proj_{part}"])
    linear(decoder, "expand", a, f"{prefix}proj")
    linear(decoder, "predict.0", a, f"{prefix}norm3")
    linear(decoder, "predict.1", a, f"{prefix}mlp_fc1")
    linear(decoder, "predict.3", a, f"{prefix}mlp_fc2")


@pytest.mark.parametrize("case", parity("r-mae", "full_forward"))
def test_a_region_masked_autoencoder(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regions and image share the order of patches; ours share the ratio too."""
    a, h = case.load(), case.hyper
    assert h["mask_ratio"] == h["region_mask_ratio"], "ours has one ratio for pictures and regions"
    narrow = a["in_par_region_cross_embed_weight"].shape[0]
    method = masked_autoencoder(
        a, h, RMAE, region_dim=narrow, region_depth=h["cross_layers"], region_heads=2, background=h["bg"]
    )
    assert isinstance(method, RMAE)
    encoder, memory, decoder = method.region_encoder, method.memory, method.region_decoder
    linear(encoder, "embed", a, "region_patch_embed_proj")
    block(encoder, "blocks.layers.0", a, "region_enc_blocks_0")
    linear(encoder, "project.0", a, "region_proj_0")
    linear(encoder, "project.1", a, "region_proj_1")
    linear(memory, "embed", a, "region_cross_embed")
    put(memory, "mask_token", a["in_par_region_cross_mask_token"])
    for i in range(h["cross_layers"]):
        block(memory, f"blocks.layers.{i}", a, f"region_cross_blocks_{i}")
    linear(memory, "blocks.norm", a, "region_dec_norm")
    region_decoder(decoder, a, "region_dec_blocks_0_")
    linear(decoder, "last", a, "region_pred_1")
    images, regions = a["in_imgs"].detach(), a["in_region"].detach()
    length = a["in_noise"].shape[1]
    kept, hidden = masking_of(a["in_noise"].detach().argsort(1)[:, : int(length * (1 - h["mask_ratio"]))], length)
    maps = patchify(regions.flatten(0, 1)[:, None], method.transformer.patch).unflatten(0, regions.shape[:2]) > 0.5
    monkeypatch.setattr(r_mae_module, "regions_of", lambda segments, chosen: maps)
    views = RegionViews(images, kept, hidden, kept, kept)
    said, logits = method.predict(views)
    torch.testing.assert_close(said, a["out_pred"], **SINGLE)
    torch.testing.assert_close(logits, a["out_pred_region"], **SINGLE)
    terms = method.loss(views)
    torch.testing.assert_close(terms["pixels"], a["out_mae_loss"], **SINGLE)
    torch.testing.assert_close(terms["regions"], a["out_region_loss"], **SINGLE)
    w = h["weights"]
    loss = w[0] * terms["pixels"] + w[1] * terms["regions"]
    torch.testing.assert_close(loss, a["out_loss"], **SINGLE)
    wanted = {
        "grad_patch_embed_proj_weight": method.transformer.embed.weight,
        "grad_region_patch_embed_proj_weight": encoder.embed.weight,
        "grad_region_cross_mask_token": memory.mask_token,
        "grad_region_cross_embed_weight": memory.embed.weight,
    }
    gradients_are(loss, a, wanted)
    only = a["grad_region_only_patch_embed_proj_weight"]
    (found,) = torch.autograd.grad(terms["regions"], method.transformer.embed.weight)
    torch.testing.assert_close(found, only, **SINGLE)


@pytest.mark.parametrize("case", parity("spark", "mask"))
def test_how_many_cells_are_seen(case: ParityCase, monkeypatch: pytest.MonkeyPatch) -> None:
    a = case.load()
    drawn_as(a["in_rand"], monkeypatch)
    side = a["out_active"].shape[-1]
    method = SparK("small-conv", decoder_width=16, mask_ratio=case.hyper["mask_ratio"])
    hidden = method.hidden(torch.zeros(len(a["in_rand"]), 3, side * method.patch, side * method.patch))
    assert torch.equal(~hidden, a["out_active"].flatten(1).bool())


class LastChannels(nn.LayerNorm):
    """The layer norm of released ConvNeXts on maps (N, C, H, W)."""

    data_format = "channels_first"

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("case", parity("spark", "sparse_layers"))
def test_sparse_layers(case: ParityCase) -> None:
    a = case.load()
    seen = Seen(a["in_active"][:, 0].bool())
    x = seen.mask(a["in_x"])
    width, out = x.shape[1], a["in_w"].shape[0]
    layers: dict[str, nn.Module] = {
        "conv": nn.Conv2d(width, out, 3, 1, 1),
        "conv_s2": nn.Conv2d(width, out, 3, 2, 1),
        "maxpool": nn.MaxPool2d(3, 2, 1),
        "avgpool": nn.AvgPool2d(2, 2),
        "bn": nn.BatchNorm2d(width),
        "ln": LastChannels(width, eps=1e-6),
    }
    for name, (weight, bias) in {
        "conv": "wb",
        "conv_s2": "wb",
        "bn": ("gamma", "beta"),
        "ln": ("gamma", "beta"),
    }.items():
        layers[name].double()
        put(layers[name], "weight", a[f"in_{weight}"])
        put(layers[name], "bias", a[f"in_{bias}"])
    found = {}
    for name, layer in layers.items():
        with sparse(layer, seen):
            found[name] = layer(x)
        torch.testing.assert_close(found[name], a[f"out_{name}"], **CLOSE, msg=lambda m, n=name: f"{n}: {m}")
    norm = layers["bn"]
    torch.testing.assert_close(norm.running_mean, a["out_bn_running_mean"], **CLOSE)
    torch.testing.assert_close(norm.running_var, a["out_bn_running_var"], **CLOSE)
    weights = {"conv": 1.0, "conv_s2": 0.7, "maxpool": 0.3, "avgpool": 0.5, "bn": 0.9, "ln": 1.1}
    total = sum((w * found[n].square().sum() for n, w in weights.items()), x.new_zeros(()))
    torch.testing.assert_close(total, a["out_total"], **CLOSE)
    gradients_are(total, a, {"grad_total_x": a["in_x"]}, rtol=1e-7, atol=1e-8)
    gradients_are((found["bn"] ** 3).sum(), a, {"grad_bn_x": a["in_x"]}, rtol=1e-7, atol=1e-8)


class NextBlock(nn.Module):
    """A ConvNeXt block as networks of the user's have it: dense, channels last inside."""

    def __init__(self, width: int, kernel: int, hidden: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.up, self.act, self.down = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        inside = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        return x + (self.gain * self.down(self.act(self.up(inside)))).permute(0, 3, 1, 2)


@pytest.mark.parametrize("case", parity("spark", "convnext_block"))
def test_a_convnext_block_made_sparse(case: ParityCase) -> None:
    a = case.load()
    width, hidden = a["in_x"].shape[1], a["in_par_pwconv1_bias"].shape[0]
    layer = NextBlock(width, case.hyper["ks"], hidden).double()
    put(layer, "gain", a["in_par_gamma"])
    for own, released in (("depthwise", "dwconv"), ("norm", "norm"), ("up", "pwconv1"), ("down", "pwconv2")):
        linear(layer, own, a, released)
    seen = Seen(a["in_active"][:, 0].bool())
    with sparse(layer, seen):
        out = layer(seen.mask(a["in_x"]))
    torch.testing.assert_close(out, a["out_out"], **CLOSE)
    gradients_are(out.square().sum(), a, {"grad_x": a["in_x"]}, **CLOSE)


def toy_spark(a: dict[str, Tensor]) -> tuple[nn.Sequential, nn.ModuleList, UNetDecoder]:
    """The released toy network, densifying layers and decoder with the case's weights."""
    released = "in_par_sparse_encoder_sp_cnn_"
    (w1, _, k, _), w2 = a[f"{released}c1_weight"].shape, a[f"{released}c2_weight"].shape[0]
    backbone = nn.Sequential(
        nn.Conv2d(3, w1, k, 2, k // 2, bias=f"{released}c1_bias" in a),
        nn.BatchNorm2d(w1),
        nn.ReLU(),
        nn.Conv2d(w1, w2, k, 2, k // 2, bias=f"{released}c2_bias" in a),
        nn.BatchNorm2d(w2),
        nn.ReLU(),
    )
    decoder = UNetDecoder(4, a["in_par_dense_decoder_dec_0_up_sample_weight"].shape[0])
    densify = nn.ModuleList(
        Densify(*a[f"in_par_densify_projs_{i}_weight"].shape[:2][::-1], kernel=3 if i else 1) for i in (0, 1)
    )
    names = {(backbone, "0"): "c1", (backbone, "1"): "b1", (backbone, "3"): "c2", (backbone, "4"): "b2"}
    pairs = [(m, own, f"{released}{name}") for (m, own), name in names.items()]
    for i in (0, 1):
        pairs += [
            (densify, f"{i}.norm", f"in_par_densify_norms_{i}"),
            (densify, f"{i}.project", f"in_par_densify_projs_{i}"),
        ]
        up = f"in_par_dense_decoder_dec_{i}_"
        pairs += [(decoder, f"blocks.{i}.0", f"{up}up_sample")]
        pairs += [(decoder, f"blocks.{i}.{own}", f"{up}conv_{own - 1}") for own in (1, 2, 4, 5)]
    pairs.append((decoder, "colours", "in_par_dense_decoder_proj"))
    for module in (backbone, densify, decoder):
        module.double()
    for module, own, name in pairs:
        for part in ("weight", "bias"):
            if f"{name}_{part}" in a:
                put(module, f"{own}.{part}", a[f"{name}_{part}"])
    for i in (0, 1):
        put(densify, f"{i}.token", a[f"in_par_mask_tokens_{i}"])
    return backbone, densify, decoder


@pytest.mark.parametrize("case", parity("spark", "loss_and_full"))
def test_a_whole_step_of_spark(case: ParityCase) -> None:
    """Encoder, densifying layers, decoder and loss, put together as :class:`SparK` does."""
    a = case.load()
    backbone, densify, decoder = toy_spark(a)
    levels = feature_levels(backbone)
    seen = Seen(a["in_active"][:, 0].bool())
    found = sparse_maps(backbone, levels, a["in_img"], seen)
    rec = decoder([layer(m, seen) for layer, m in zip(densify, found, strict=True)])
    torch.testing.assert_close(rec, a["out_rec"], **CLOSE)
    hidden = ~a["in_active"].flatten(1).bool()
    loss = masked_reconstruction(patchify(rec, 4), patchify(a["in_img"], 4), hidden)
    torch.testing.assert_close(loss, a["out_loss"], **CLOSE)
    wanted = {
        "grad_img": a["in_img"],
        "grad_sparse_encoder_sp_cnn_c1_weight": backbone[0].weight,
        "grad_mask_tokens_0": densify[0].token,
        "grad_mask_tokens_1": densify[1].token,
    }
    gradients_are(loss, a, wanted, rtol=1e-7, atol=1e-9)
