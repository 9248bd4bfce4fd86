"""Diffusion models that others trained and that stay as they are: a folder of diffusers, opened without its code.

Of a folder these parts are read, each by the class that its configuration names and only from safetensors:

=================  ==============================================================================
``unet``           ``UNet2DModel`` (nothing but the picture) or ``UNet2DConditionModel`` (told a text); in the folder
                   itself where there is no subfolder
``scheduler``      the betas; any whose network predicts noise
``vae``            ``AutoencoderKL``; without one the model works on pixels
``text_encoder``   ``CLIPTextModel``, with its ``tokenizer``
=================  ==============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.common.extras import needed
from nearfar.encoders.causal import without_bars
from nearfar.generation.data.pictures import as_signal
from nearfar.parts.diffusion import Diffusion

HUB = "hf:"
UNETS = ("UNet2DModel", "UNet2DConditionModel")
WANTED = [
    f"{part}/*.{kind}"
    for part in ("unet", "scheduler", "vae", "text_encoder", "tokenizer")
    for kind in ("json", "txt", "safetensors")
] + ["config.json", "scheduler_config.json", "diffusion_pytorch_model.safetensors"]
"""Files of a repository that are fetched: the parts above, not other formats and checkpoints of all parts in one."""
UNWANTED = ["*.fp16.*", "*non_ema*"]


class Base(nn.Module):
    """A frozen diffusion model of pictures.

    Args:
        unet: predicts noise; one of :data:`UNETS`, or anything called and answering like it.
        diffusion: its schedule.
        vae: from pictures to what is noised and back; none where pixels are.
        text: encoder of the texts that the network is told, with ``tokenizer``; none for networks that are told none.
    """

    def __init__(
        self, unet: nn.Module, diffusion: Diffusion, vae: Any = None, text: Any = None, tokenizer: Any = None
    ) -> None:
        super().__init__()
        self.unet, self.diffusion, self.vae, self.text, self.tokenizer = unet, diffusion, vae, text, tokenizer
        self.requires_grad_(False)
        self.eval()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of what is noised: channels, height, width."""
        config: Any = self.unet.config
        size = config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return config.in_channels, height, width

    @property
    def side(self) -> int:
        """Of the pictures in pixels."""
        return self.shape[1] * (1 if self.vae is None else 2 ** (len(self.vae.config.block_out_channels) - 1))

    def train(self, mode: bool = True) -> Base:
        """It stays as it is."""
        return super().train(False)

    def latents(self, images: Tensor, normal: Tensor | None = None) -> Tensor:
        """What is noised of pictures (N, 3, H, W) uint8.

        Args:
            images: the pictures.
            normal: standard normal numbers (N, C, h, w) for a draw from what the encoder says; its mean otherwise.

        Raises:
            ValueError: pictures of another side than the model's.
        """
        if images.shape[-1] != self.side or images.shape[-2] != self.side:
            raise ValueError(
                f"this model works on pictures of side {self.side}, got {tuple(images.shape[-2:])}; give --size "
                f"{self.side}"
            )
        signal = as_signal(images, 1 if self.vae is None and self.shape[0] == 1 else 3)
        if self.vae is None:
            return signal
        found = self.vae.encode(signal).latent_dist
        return self.vae.config.scaling_factor * (found.mean if normal is None else found.mean + found.std * normal)

    def pictures(self, latents: Tensor) -> Tensor:
        """(N, C, H, W) in about [-1, 1] of what was noised."""
        return latents if self.vae is None else self.vae.decode(latents / self.vae.config.scaling_factor).sample

    @property
    def clip(self) -> float | None:
        """Largest value of what is noised: 1 for pixels, unknown otherwise."""
        return 1.0 if self.vae is None else None

    def states(self, texts: Sequence[str]) -> Tensor | None:
        """(N, L, D) states of texts; ``None`` where the network is told none."""
        return None if self.text is None else self._states(self._ids(texts))

    def table(self) -> Tensor:
        """(V, D): the vectors of all tokens.

        Raises:
            ValueError: the network is told no text.
        """
        if self.text is None:
            raise ValueError("this diffusion model is told no text, and directions are words of one; give another")
        return self.text.get_input_embeddings().weight

    def word_states(self, vectors: Tensor) -> Tensor:
        """(K, L, D) states of K texts of one word each, whose vectors (K, D) are given; gradients reach them."""
        ids = self._ids([""]).expand(len(vectors), -1)
        # After the token that begins a text, where the tokenizer has one.
        place = int(self.tokenizer.bos_token_id is not None and int(ids[0, 0]) == self.tokenizer.bos_token_id)
        ids = torch.cat([ids[:, :place], ids[:, place : place + 1], ids[:, place:-1]], 1)

        def put(module: nn.Module, given: Any, found: Tensor) -> Tensor:
            return torch.cat([found[:, :place], vectors.to(found)[:, None], found[:, place + 1 :]], 1)

        hook = self.text.get_input_embeddings().register_forward_hook(put)
        try:
            return self._states(ids)
        finally:
            hook.remove()

    def _ids(self, texts: Sequence[str]) -> Tensor:
        length = self.text.config.max_position_embeddings
        found = self.tokenizer([*texts], padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        return found["input_ids"].to(self.text.device)

    def _states(self, ids: Tensor) -> Tensor:
        return self.text(input_ids=ids).last_hidden_state

    def noise(self, x: Tensor, t: Tensor | int, states: Tensor | None = None) -> Tensor:
        """The noise in (N, C, h, w) at level t, told states (N, L, D), or (1, L, D) for all."""
        if self.text is None:
            found = self.unet(x, t).sample
        else:
            assert states is not None
            found = self.unet(x, t, encoder_hidden_states=states.expand(len(x), -1, -1)).sample
        return found[:, : x.shape[1]]  # networks that predict a variance too put it behind

    def features(self, x: Tensor, states: Tensor | None = None) -> list[Tensor]:
        """Maps of the network's way down at level 0: after its first layer, and at the end of each resolution."""
        found: list[Tensor] = []

        def first(module: nn.Module, given: Any, out: Tensor) -> None:
            found.append(out)

        def level(module: Any, given: Any, out: Any) -> None:
            found.append(out[1][len(module.resnets) - 1])

        def stop(module: nn.Module, given: Any) -> None:
            raise _Seen

        net: Any = self.unet
        hooks = [net.conv_in.register_forward_hook(first), net.mid_block.register_forward_pre_hook(stop)]
        hooks += [block.register_forward_hook(level) for block in net.down_blocks]
        try:
            self.noise(x, torch.zeros(1, dtype=torch.int64, device=x.device), states)
        except _Seen:
            return found
        finally:
            for hook in hooks:
                hook.remove()
        raise AssertionError("a network without a middle")


class _Seen(Exception):
    """All that was asked for is there; the rest of the network need not run."""


def read_base(folder: Path) -> Base:
    """The model in a folder; see the table above."""
    unet = _subfolder(folder, "unet")
    diffusers = needed("diffusers", "diffusion", f"the diffusion model in {folder}")
    kind = _class(folder / unet / "config.json")
    if kind not in UNETS:
        raise ValueError(f"{folder} holds no diffusion model that this reads: its network is {kind}, not {UNETS}")
    scheduler = _json(folder / _subfolder(folder, "scheduler") / "scheduler_config.json")
    made = diffusers.DDIMScheduler.from_config({k: v for k, v in scheduler.items() if not k.startswith("_")})
    told = kind == "UNet2DConditionModel"
    text, tokenizer = _text(folder) if told else (None, None)
    vae = _part(diffusers, folder, "vae") if (folder / "vae").is_dir() else None
    return Base(_part(diffusers, folder, unet), Diffusion.of(made), vae, text, tokenizer)


def _subfolder(folder: Path, name: str) -> str:
    return name if (folder / name).is_dir() else ""


def _part(diffusers: Any, folder: Path, name: str) -> Any:
    kind = _class(folder / name / "config.json")
    if kind not in (*UNETS, "AutoencoderKL"):
        raise ValueError(f"{folder / name} is a {kind}; accepted are {', '.join((*UNETS, 'AutoencoderKL'))}")
    options: dict[str, Any] = {"use_safetensors": True, "low_cpu_mem_usage": False}
    return getattr(diffusers, kind).from_pretrained(folder / name, **options)


def _text(folder: Path) -> tuple[Any, Any]:
    transformers = needed("transformers", "all", "a network that is told texts")
    kinds = _json(folder / "text_encoder" / "config.json").get("architectures") or ["nothing"]
    if kinds[0] != "CLIPTextModel":
        raise ValueError(f"{folder / 'text_encoder'} is a {kinds[0]}; accepted is CLIPTextModel")
    with without_bars():
        encoder = transformers.CLIPTextModel.from_pretrained(folder / "text_encoder", use_safetensors=True)
    return encoder, transformers.AutoTokenizer.from_pretrained(folder / "tokenizer")


def _class(path: Path) -> str:
    return str(_json(path).get("_class_name"))


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path.parent} is no folder of diffusers: there is no {path.name}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds no settings")
    return found
