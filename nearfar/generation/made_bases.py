"""Small text-to-picture diffusion models that are taught embedded pictures in seconds, in diffusers' own format.

They stand where a large pretrained model does, and are kept in the user's cache folder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nearfar.common.extras import needed
from nearfar.common.files import cache_folder
from nearfar.common.kept import keep, source_digest
from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import without_bars, word_tokenizer
from nearfar.generation import base as base_module
from nearfar.generation.base import Base, read_base
from nearfar.generation.data import drawn
from nearfar.generation.data.pictures import Pictures, as_signal
from nearfar.parts.diffusion import Diffusion
from nearfar.spelling import one_of

PREFIX = "made:"
SIDE = 8
LONGEST = 12
BETAS = {"num_train_timesteps": 200, "beta_start": 5e-4, "beta_end": 5e-2, "beta_schedule": "linear"}
UNTOLD = 0.2
"""Share of the pictures that are shown without their caption."""


@dataclass(frozen=True)
class Recipe:
    """What a model is taught: its pictures, by a seed, and for how many steps."""

    pictures: Callable[[int], Pictures]
    steps: int
    batch_size: int = 32
    lr: float = 5e-3


def _sprites(seed: int) -> Pictures:
    return drawn.sprites(SIDE, 4000, seed)


def _digits(seed: int) -> Pictures:
    return drawn.tinted_digits(SIDE)


RECIPES = {
    "sprites": Recipe(_sprites, 600),
    "digits": Recipe(_digits, 600),
    "sprites-quick": Recipe(_sprites, 3, 8),
    "digits-quick": Recipe(_digits, 3, 8),
}


@lru_cache(maxsize=4)
def made_base(name: str) -> Base:
    """The made model called ``made:<pictures>`` or ``made:<pictures>/<seed>``.

    Raises:
        ValueError: there is no such model.
    """
    world, _, seed = name.removeprefix(PREFIX).partition("/")
    if world not in RECIPES or not (seed or "0").isdigit():
        raise ValueError(f"there is no made model {name!r}{one_of(name, [PREFIX + each for each in RECIPES])}")
    number, folder = int(seed or 0), cache_folder()
    if folder is None:
        return _built(world, number)
    sources = (Path(__file__), Path(base_module.__file__), Path(drawn.__file__))
    place = folder / f"diffusion-{world}-{number}-{source_digest(sources, torch.__version__)}"
    if not (place / "unet" / "config.json").is_file():
        keep(place, lambda where: write_base(_built(world, number), where))
    try:
        return read_base(place)
    except (OSError, ValueError):
        return _built(world, number)


def _built(world: str, seed: int) -> Base:
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(derive_seed(seed, "diffusion", world))
        recipe = RECIPES[world]
        pictures = recipe.pictures(seed)
        assert pictures.captions is not None
        return _taught(_small(pictures.captions), pictures, recipe, seed)


def _small(captions: list[str]) -> Base:
    diffusers = needed("diffusers", "diffusion", "a made diffusion model")
    transformers = needed("transformers", "all", "a made diffusion model")
    tokenizer = word_tokenizer(sorted({word for caption in captions for word in caption.split()}))
    tokenizer.padding_side = "right"
    config = transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=LONGEST,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=SIDE,
        in_channels=3,
        out_channels=3,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=16,
        norm_num_groups=4,
    )
    scheduler = diffusers.DDIMScheduler(**BETAS)
    return Base(unet, Diffusion.of(scheduler), None, transformers.CLIPTextModel(config), tokenizer)


def _taught(base: Base, pictures: Pictures, recipe: Recipe, seed: int) -> Base:
    """Every weight of a small model trained on captioned pictures; everything random is drawn from ``seed``."""
    assert pictures.captions is not None
    rng = np.random.default_rng(derive_seed(seed, "teach"))
    draw = torch.Generator().manual_seed(derive_seed(seed, "noise"))
    moved = [*base.unet.parameters(), *base.text.parameters()]
    for parameter in moved:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(moved, lr=recipe.lr, weight_decay=1e-4)
    for step in range(recipe.steps):
        rows = rng.integers(len(pictures), size=recipe.batch_size)
        told = rng.random(recipe.batch_size) >= UNTOLD
        texts = [pictures.captions[row] if tell else "" for row, tell in zip(rows, told, strict=True)]
        x = as_signal(pictures.batch(rows).images)
        t = torch.randint(len(base.diffusion), (len(x),), generator=draw)
        states = base.states(texts)
        noise = torch.randn(x.shape, generator=draw)
        loss = base.diffusion.loss(partial(_told, base, states), x, noise, t).mean()
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * min(1.0, (step + 1) / 20) * (1 - step / recipe.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        optimizer.step()
    return base.requires_grad_(False).eval()


def _told(base: Base, states: Tensor | None, x: Tensor, t: Tensor) -> Tensor:
    return base.noise(x, t, states)


def write_base(base: Base, folder: Path) -> None:
    """Keep a model as a folder of diffusers."""
    diffusers = needed("diffusers", "diffusion", "keeping a diffusion model")
    parts: dict[str, Any] = {"unet": base.unet, "text_encoder": base.text, "tokenizer": base.tokenizer, "vae": base.vae}
    for name, part in parts.items():
        if part is not None:
            with without_bars():
                part.save_pretrained(folder / name)
    diffusers.DDIMScheduler(trained_betas=_betas(base.diffusion)).save_pretrained(folder / "scheduler")


def _betas(diffusion: Diffusion) -> list[float]:
    signal = diffusion.signal
    return (1 - signal / torch.cat([signal.new_ones(1), signal[:-1]])).tolist()
