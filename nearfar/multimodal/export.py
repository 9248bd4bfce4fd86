"""Pictures and words for other programs: a CLIP or SigLIP goes back to the form it came in, or to open_clip's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from nearfar.encoders.causal import without_bars
from nearfar.exporting.kept import kept, write_json
from nearfar.multimodal.method import PairEncoder
from nearfar.multimodal.open_clip import CONFIG, WEIGHTS, described, to_open_clip
from nearfar.multimodal.pretrained import PretrainedPair, pair_encoder

__all__ = ["to_open_clip_folder", "to_transformers"]

EXAMPLES = ["a red circle", "", "a somewhat longer caption, with more words than the others have in all of them"]


def to_transformers(method: Any, folder: Path) -> None:
    """A folder that ``AutoModel.from_pretrained`` opens, with its tokenizer and its processor of pixels; the learned
    temperature (and bias) is in it.

    Raises:
        ValueError: a method whose towers are not a CLIP or SigLIP. FileExistsError: the folder is there and not empty.
    """
    towers = _towers(method, "transformers")

    def write(place: Path) -> None:
        with without_bars():
            towers.model.save_pretrained(place)  # type: ignore[operator]
        towers.tokenizer.save_pretrained(place)
        write_json(place / "preprocessor_config.json", _pixels(towers))

    _kept(method, folder, write, "hf:")


def to_open_clip_folder(method: Any, folder: Path) -> None:
    """A folder that ``open_clip.create_model("local-dir:FOLDER")`` opens, with a tokenizer of transformers beside it.

    Raises:
        ValueError: a method whose towers are not a CLIP, or are one that open_clip does not have.
        FileExistsError: the folder is there and not empty.
    """
    towers = _towers(method, "open-clip")
    if towers.kind != "clip":
        raise ValueError("open_clip's SigLIP is made of timm's towers; write --to transformers")
    config: Any = towers.model.config
    mean, std = towers.mean.flatten().tolist(), towers.std.flatten().tolist()
    about = described(towers.model, mean, std)
    if towers.tokenizer.eos_token_id != config.text_config.vocab_size - 1:
        raise ValueError("open_clip reads a caption at its largest id, and this vocabulary ends captions by another")

    def write(place: Path) -> None:
        weights = to_open_clip({name: value.detach().cpu() for name, value in towers.model.state_dict().items()})
        save_file({name: value.contiguous().clone() for name, value in weights.items()}, place / WEIGHTS)
        write_json(place / CONFIG, about)
        towers.tokenizer.save_pretrained(place)

    _kept(method, folder, write, "open-clip:")


def _towers(method: Any, to: str) -> PretrainedPair:
    towers = method.encoder
    if not isinstance(towers, PretrainedPair):
        raise ValueError(
            f"--to {to} takes runs of a CLIP or SigLIP that came from there (--encoder hf:<model>); write --to onnx, "
            "which takes the tower of pictures of any run"
        )
    return towers


def _kept(method: Any, folder: Path, write: Any, kind: str) -> None:
    towers = method.encoder
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 3, towers.side, towers.side), dtype=torch.uint8, generator=noise)

    def vectors(of: PairEncoder) -> np.ndarray:
        return torch.cat([of.embed_images(images), of.embed_text(EXAMPLES)]).numpy()

    def read(place: Path) -> np.ndarray:
        with without_bars():
            return vectors(pair_encoder(f"{kind}{place}", max_length=towers.max_length).eval())

    with method.frozen():
        kept(folder, lambda: vectors(towers), write, read)


def _pixels(towers: PretrainedPair) -> dict[str, Any]:
    side = {"height": towers.side, "width": towers.side}
    clip = towers.kind == "clip"
    return {
        "image_processor_type": "CLIPImageProcessor" if clip else "SiglipImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": towers.side} if clip else side,
        "resample": 3,
        **({"do_center_crop": True, "crop_size": side} if clip else {}),
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": towers.mean.flatten().tolist(),
        "image_std": towers.std.flatten().tolist(),
    }
