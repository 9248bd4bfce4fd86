"""Small language models that are taught a made world in seconds, and kept between runs in the user's cache folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nearfar.common.files import cache_folder
from nearfar.common.kept import keep, source_digest
from nearfar.common.randomness import derive_seed
from nearfar.encoders.causal import CausalLM, causal_model, left_padded, positions_of, without_bars


@dataclass(frozen=True)
class Teaching:
    """How a small model learns a world.

    Args:
        layers, width, heads: its size.
        steps: AdamW steps at the peak rate ``lr``, with a twentieth of warm-up and a linear end.
        batch_size: lessons in a step.
        early: weight of the loss of every even layer's own words; see :func:`nearfar.losses.dola`.
    """

    layers: int = 2
    width: int = 64
    heads: int = 4
    steps: int = 400
    lr: float = 5e-3
    batch_size: int = 64
    early: float = 0.0


@dataclass(frozen=True)
class Lessons:
    """What is taught: prompts (or their ids), their continuations, and images (N, C, H, W) ready for the model,
    where there are some.

    ``whole`` teaches the prompt's own words too.
    """

    prompts: Sequence[str | list[int]]
    answers: Sequence[str]
    images: Tensor | None = None
    whole: bool = False


def llama_config(teaching: Teaching, longest: int = 128) -> dict[str, Any]:
    """The shape of a small Llama, for :func:`nearfar.encoders.causal_model`."""
    return {
        "model_type": "llama",
        "hidden_size": teaching.width,
        "num_hidden_layers": teaching.layers,
        "num_attention_heads": teaching.heads,
        "num_key_value_heads": teaching.heads,
        "intermediate_size": 3 * teaching.width,
        "max_position_embeddings": longest,
        "tie_word_embeddings": True,
    }


def teach(lm: CausalLM, lessons: Lessons, teaching: Teaching, seed: int) -> CausalLM:
    """Train every weight of a model on lessons; everything random is drawn from ``seed``."""
    pad, end = lm.tokenizer.pad_token_id, lm.tokenizer.eos_token_id
    first = [lm.tokenizer(text)["input_ids"] if isinstance(text, str) else text for text in lessons.prompts]
    then = [[*lm.tokenizer(text, add_special_tokens=False)["input_ids"], end] for text in lessons.answers]
    model, draw = lm.model.train(), torch.Generator().manual_seed(derive_seed(seed, "teach"))
    moved = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(moved, lr=teaching.lr, betas=(0.9, 0.98), weight_decay=0.01)
    for step in range(teaching.steps):
        rows = torch.randint(len(first), (teaching.batch_size,), generator=draw).tolist()
        ids, mask = left_padded([first[r] + then[r] for r in rows], pad)
        taught = torch.tensor([len(then[r]) + (len(first[r]) - 1) * lessons.whole for r in rows])
        extra = {} if lessons.images is None else {"pixel_values": lessons.images[rows]}
        scale = min(1.0, (step + 1) / (0.05 * teaching.steps + 1)) * (1 - step / teaching.steps)
        for group in optimizer.param_groups:
            group["lr"] = teaching.lr * scale
        optimizer.zero_grad(set_to_none=True)
        _loss(model, ids, mask, taught, extra, teaching.early).backward()
        torch.nn.utils.clip_grad_norm_(moved, 1.0)
        optimizer.step()
    model.eval()
    return lm


def _loss(model: Any, ids: Tensor, mask: Tensor, taught: Tensor, extra: Mapping[str, Tensor], early: float) -> Tensor:
    keep = int(taught.max())
    output = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions_of(mask),
        logits_to_keep=keep + 1,
        output_hidden_states=early > 0,
        use_cache=False,
        **extra,
    )
    labels = ids[:, -keep:].masked_fill(torch.arange(keep, 0, -1) > taught[:, None], -100).flatten()
    loss = F.cross_entropy(output.logits[:, :-1].flatten(0, 1).float(), labels)
    if early:
        head = model.get_output_embeddings()
        for states in output.hidden_states[2:-1:2]:
            loss = loss + early * F.cross_entropy(head(states[:, -keep - 1 : -1]).flatten(0, 1), labels)
    return loss


@dataclass(frozen=True)
class Made:
    """A made model that is kept: what it is called, how it is built, and the source files that decide it."""

    name: str
    build: Callable[[int], CausalLM]
    sources: tuple[Path, ...] = field(default=())


def made_model(made: Made, seed: int) -> CausalLM:
    """The model of a world and seed, from the cache when it has been taught before.

    A folder's name depends on the source of the world and on torch's version, so that it never holds another model.
    Loading gives the same numbers as teaching did; a damaged folder is taught anew.
    """
    folder = cache_folder()
    if folder is None:
        return _built(made, seed)
    digest = source_digest((Path(__file__), *made.sources), torch.__version__)
    place = folder / f"language-{made.name}-{seed}-{digest}"
    if not (place / "model.safetensors").is_file():
        keep(place, lambda folder: _write(_built(made, seed), folder))
    try:
        return causal_model(place)
    except (OSError, ValueError):
        return _built(made, seed)


def _built(made: Made, seed: int) -> CausalLM:
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(derive_seed(seed, "model", made.name))
        return made.build(seed)


def _write(lm: CausalLM, folder: Path) -> None:
    with without_bars():
        lm.model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
