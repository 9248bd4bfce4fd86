"""Exports opened by the libraries that they are for, in an environment of their own: `make test-exports`.

    python tools/exports.py write FOLDER    with nearfar: a few systems in every format, and the vectors they give
    python tools/exports.py open FOLDER     with torchvision, timm, transformers, onnxruntime and without nearfar

What opens a folder are the lines that stand in its own preprocessing.json, on pixels made as that file says.
"""

from __future__ import annotations

import json
import sys
import traceback
from pathlib import Path

import numpy as np
import torch

CLOSE = 1e-4
SIDE = 32
ENCODERS = ("resnet18", "resnet50", "resnet18-cifar", "resnet18-gn", "vit-nano", "vit-mini", "small-conv", "hf")
FORMATS = ("torchvision", "timm", "transformers", "onnx", "torch-export")


def write(root: Path) -> int:
    from nearfar.exporting import FORMATS as WRITERS
    from nearfar.training.door import picture_door
    from nearfar.vision.methods import SimCLR

    for name in ENCODERS:
        torch.manual_seed(0)
        method = SimCLR(_transformers() if name == "hf" else name)
        _trained(method.encoder)
        images = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
        with method.frozen():
            door = picture_door(method, images)
            for to in FORMATS:
                folder = root / f"{name}-{to}"
                try:
                    WRITERS[to](door, folder, {"system": "simclr"})
                except ValueError as error:
                    print(f"{folder.name}: not written, {error}")
                    continue
                np.savez(root / f"{folder.name}.npz", images=images.numpy(), vectors=door.vectors().numpy())
    return 0


def write_pairs(root: Path) -> int:
    """A CLIP and a SigLIP that were fine-tuned, in both forms; a tensor of tokens stands for the sentences."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    from nearfar.multimodal.export import to_open_clip_folder, to_transformers
    from nearfar.multimodal.methods import CLIP, SigLIP
    from tests.multimodal.test_pretrained import SIDE, TEXTS, made

    for kind, cls in (("clip", CLIP), ("siglip", SigLIP)):
        method = cls(encoder=f"hf:{made(kind, root / f'{kind}-made')}")
        with torch.no_grad():
            for parameter in method.encoder.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
        images = torch.randint(0, 256, (4, 3, SIDE, SIDE), dtype=torch.uint8)
        tokens = method.encoder.tokenizer(TEXTS, padding="max_length", max_length=8, return_tensors="pt")
        with method.frozen():
            pixels, texts = method.encoder.pixels(images), tokens["input_ids"]
            given = {"pixels": pixels.numpy(), "tokens": texts.numpy(), "mask": tokens["attention_mask"].numpy()}
            given |= {
                "images": method.encoder.embed_images(images).numpy(),
                "texts": method.encoder.embed_text(TEXTS).numpy(),
            }
            for to, writer in (("transformers", to_transformers), ("open-clip", to_open_clip_folder)):
                try:
                    writer(method, root / f"{kind}-pair-{to}")
                except ValueError as error:
                    print(f"{kind}-pair-{to}: not written, {error}")
                    continue
                np.savez(root / f"{kind}-pair-{to}.npz", **given)
    return 0


def _apart_pair(folder: Path, known: dict[str, np.ndarray]) -> float:
    pixels, tokens, mask = (torch.from_numpy(known[name]) for name in ("pixels", "tokens", "mask"))
    with torch.no_grad():
        if folder.name.endswith("open-clip"):
            import open_clip

            model = open_clip.create_model(f"local-dir:{folder}").eval()
            found = {"images": model.encode_image(pixels), "texts": model.encode_text(tokens)}
        else:
            from transformers import AutoModel

            model = AutoModel.from_pretrained(folder).eval()
            masked = {} if folder.name.startswith("siglip") else {"attention_mask": mask}
            said = {"images": model.get_image_features(pixels), "texts": model.get_text_features(tokens, **masked)}
            found = {name: getattr(value, "pooler_output", value) for name, value in said.items()}
    return max(
        float(np.abs(value.numpy() - known[name]).max() / np.sqrt(np.square(known[name]).mean()))
        for name, value in found.items()
    )


def start(root: Path) -> tuple[int, int]:
    """Encoders by the names of timm and torchvision: the library's own vectors, without its classifier."""
    sys.path.insert(0, str(Path(__file__).parent.parent))
    import timm
    import torchvision

    from nearfar.encoders import image_encoder

    passed = failed = 0
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    for name in ("timm:resnet18", "timm:convnext_atto", "torchvision:resnet18", "torchvision:mobilenet_v3_small"):
        library, _, model = name.partition(":")
        torch.manual_seed(0)
        ours = image_encoder(name).eval()
        torch.manual_seed(0)
        if library == "timm":
            theirs = timm.create_model(model, num_classes=0)
        else:
            theirs = torchvision.models.get_model(model)
            last = [place for place, part in theirs.named_modules() if isinstance(part, torch.nn.Linear)][-1]
            theirs.set_submodule(last, torch.nn.Identity())
        with torch.no_grad():
            found, wanted = ours(pixels), theirs.eval()(ours.standardized(pixels))
        fine = found.shape[1] == ours.out_features and torch.allclose(found, wanted, atol=1e-5)
        passed, failed = passed + fine, failed + (not fine)
        print(f"{name}: {'begins as theirs' if fine else 'does NOT begin as theirs'}, of width {ours.out_features}")
    return passed, failed


def _transformers() -> torch.nn.Module:
    from transformers import ConvNextConfig, ConvNextModel

    return ConvNextModel(ConvNextConfig(hidden_sizes=[16, 32, 64, 64], depths=[1, 1, 2, 1]))


def _trained(encoder: torch.nn.Module) -> None:
    """Weights of which none is as it was set, and statistics that are not 0 and 1."""
    for parameter in encoder.parameters():
        if parameter.ndim == 1:
            parameter.data.add_(torch.randn_like(parameter), alpha=0.1)
    encoder.train()
    with torch.no_grad():
        for _ in range(3):
            encoder(torch.randint(0, 256, (8, 3, SIDE, SIDE), dtype=torch.uint8))


def open_all(root: Path) -> int:
    passed, failed = start(root)
    for known in sorted(root.glob("*.npz")):
        folder = known.with_suffix("")
        try:
            apart = (_apart_pair if "-pair-" in folder.name else _apart)(folder, np.load(known))
            fine, said = apart <= CLOSE, f"apart by {apart:.1e} of their size"
        except Exception:
            fine, said = False, traceback.format_exc()
        passed, failed = passed + fine, failed + (not fine)
        print(f"{folder.name}: {'the same vectors' if fine else 'NOT the same vectors'}, {said}")
    print(f"{passed} passed, {failed} failed")
    return int(failed > 0 or passed == 0)


def _apart(folder: Path, known: dict[str, np.ndarray]) -> float:
    about = json.loads((folder / "preprocessing.json").read_text())
    lines = about["open"] if isinstance(about["open"], list) else [f"vectors = {about['open']}"]
    said = about["preprocessing"]
    images, wanted = known["images"], known["vectors"]
    mean, std = (torch.tensor(said[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    worst = 0.0
    for rows in (slice(None), slice(0, 1), slice(0, 3)):
        raw = images[rows]
        given = {
            "folder": str(folder),
            "torch": torch,
            "pixels": (torch.from_numpy(raw) / 255 - mean) / std,
            "images": raw if about["format"] == "onnx" else torch.from_numpy(raw),
        }
        if about["format"] == "onnx":
            import onnxruntime

            given["onnxruntime"] = onnxruntime
        with torch.no_grad():
            exec("\n".join(lines).replace('"model.', f'"{folder}/model.'), given)
        found = np.asarray(given["vectors"])
        size = np.sqrt(np.square(wanted).mean())
        if found.shape != wanted[rows].shape:
            raise ValueError(f"shape {found.shape}, and {wanted[rows].shape} was expected")
        worst = max(worst, float(np.abs(found - wanted[rows]).max() / size))
    return worst


if __name__ == "__main__":
    command, place = sys.argv[1], Path(sys.argv[2])
    sys.exit(write(place) or write_pairs(place) if command == "write" else open_all(place))
