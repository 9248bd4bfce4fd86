"""CLIP and SigLIP of transformers and open_clip: where fine-tuning starts, and what it goes back to."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from nearfar import workflow
from nearfar.cli import main
from nearfar.multimodal.methods.clip import CLIP
from nearfar.multimodal.methods.siglip import SigLIP
from nearfar.multimodal.open_clip import model_of, to_open_clip
from nearfar.multimodal.pretrained import PretrainedPair, pair_encoder

SIDE = 16
TEXTS = ["a red circle", "a blue square"]
WORDS = ["[PAD]", "[UNK]", "a", "red", "blue", "circle", "square", "the", "[BOS]", "[EOS]"]


def made(kind: str, folder: Path) -> str:
    """A folder as of the hub, small and with random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast, SiglipConfig, SiglipModel

    torch.manual_seed(0)
    end = len(WORDS) - 1
    words = Tokenizer(models.WordLevel({word: row for row, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", end - 1), ("[EOS]", end)]
    )
    names = {"pad_token": "[PAD]", "eos_token": "[EOS]", "bos_token": "[BOS]", "unk_token": "[UNK]"}
    PreTrainedTokenizerFast(tokenizer_object=words, **names).save_pretrained(folder)
    shape: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"eos_token_id": end, "bos_token_id": end - 1, "pad_token_id": 0}
    text = {**shape, **ids, "vocab_size": len(WORDS), "max_position_embeddings": 8}
    vision = {**shape, "image_size": SIDE, "patch_size": 8}
    if kind == "clip":
        CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12)).save_pretrained(folder)
    else:
        SiglipModel(SiglipConfig(text_config=text, vision_config=vision)).save_pretrained(folder)
    pixels = {"image_processor_type": "CLIPImageProcessor", "image_mean": [0.4] * 3, "image_std": [0.3] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    return str(folder)


def images(count: int = 4, side: int = SIDE) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_the_towers_say_what_transformers_says(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    folder = made(kind, tmp_path)
    towers = pair_encoder(f"hf:{folder}", max_length=8).eval()
    model, words = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    pixels = (images() / 255 - 0.4) / 0.3
    filled: Any = {"padding": "max_length", "max_length": 8} if kind == "siglip" else {"padding": True}
    with torch.no_grad():
        torch.testing.assert_close(towers.embed_images(images()), model.get_image_features(pixels).pooler_output)
        tokens = words(TEXTS, return_tensors="pt", **filled)
        names = ["input_ids"] if kind == "siglip" else ["input_ids", "attention_mask"]
        given = {name: tokens[name] for name in names}
        torch.testing.assert_close(towers.embed_text(TEXTS), model.get_text_features(**given).pooler_output)
        assert towers.embed_images(images(2, 24)).shape == (2, towers.out_features)  # other sizes by interpolation


@pytest.mark.parametrize(("kind", "method"), [("clip", CLIP), ("siglip", SigLIP)])
def test_temperature_and_bias_are_the_models_own(kind: str, method: type[CLIP], tmp_path: Path) -> None:
    found = method(encoder=f"hf:{made(kind, tmp_path)}", temperature=0.5)
    assert isinstance(found.encoder, PretrainedPair)
    assert found.scale.log_scale is found.encoder.model.logit_scale
    loss = found.loss((images(2) / 255, TEXTS))
    loss.backward()
    assert found.encoder.model.logit_scale.grad is not None
    if isinstance(found, SigLIP):
        assert found.bias is found.encoder.model.logit_bias
        assert found.encoder.model.logit_bias.grad is not None
        with torch.no_grad():  # the model's own loss, of the same pairs
            given = {**found.encoder.tokens(TEXTS), "pixel_values": found.encoder.pixels(images(2))}
            out = found.encoder.model(**given, return_loss=True)
        torch.testing.assert_close(out.loss, loss.detach(), rtol=1e-4, atol=1e-5)


def test_open_clip_names_go_there_and_back(tmp_path: Path) -> None:
    """By transformers' own conversion in words: fused projections of queries, keys and values, turned last layers."""
    towers = pair_encoder(f"hf:{made('clip', tmp_path / 'hf')}", max_length=8)
    assert isinstance(towers, PretrainedPair)
    mine = {name: value.detach() for name, value in towers.model.state_dict().items()}
    theirs = to_open_clip(mine)
    assert theirs["visual.proj"].shape == (16, 12)
    assert theirs["visual.transformer.resblocks.1.attn.in_proj_weight"].shape == (48, 16)
    assert theirs["transformer.resblocks.0.mlp.c_fc.weight"].equal(mine["text_model.encoder.layers.0.mlp.fc1.weight"])
    assert len(theirs) == len(mine) - 4 * 4  # of 4 blocks, 3 weights and 3 biases became one of each
    method = CLIP(encoder=towers)
    from nearfar.multimodal.export import to_open_clip_folder

    to_open_clip_folder(method, tmp_path / "out")
    again, _ = model_of(tmp_path / "out")
    assert all(value.equal(mine[name]) for name, value in again.state_dict().items())
    said = json.loads((tmp_path / "out" / "open_clip_config.json").read_text())
    assert said["preprocess_cfg"]["mean"] == pytest.approx([0.4] * 3)
    with pytest.raises(ValueError, match="open_clip's SigLIP is made of timm's towers"):
        to_open_clip_folder(SigLIP(encoder=f"hf:{made('siglip', tmp_path / 'siglip')}"), tmp_path / "no")
    with pytest.raises(ValueError, match="takes runs of a CLIP or SigLIP"):
        to_open_clip_folder(CLIP("small-conv", "tiny-bert"), tmp_path / "no")


def test_a_persons_pairs_fine_tune_a_folder_and_go_back_to_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import AutoModel

    colours = {"red": (255, 0, 0), "blue": (0, 0, 255)}
    for part, count in (("train", 8), ("test", 4)):
        (tmp_path / "pairs" / part).mkdir(parents=True)
        with (tmp_path / "pairs" / part / "captions.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["image", "caption"])
            for number in range(count):
                word = ["red", "blue"][number % 2]
                Image.new("RGB", (20, 20), colours[word]).save(tmp_path / "pairs" / part / f"{number}.png")
                rows.writerow([f"{number}.png", f"a {word} {'circle' if number % 4 < 2 else 'square'}"])
    made("clip", tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    words = ["train", "clip", "--preset", "laptop", "--data", "pairs/train/captions.csv", "--size", str(SIDE)]
    words += ["--encoder", "model", "--steps", "2", "--batch_size", "4", "--optimization.lr", "1e-3", "--out", "run"]
    assert main(words) == 0
    shutil.rmtree("model")
    assert main(["export", "run", "-o", "hf"]) == 0
    assert main(["export", "run", "--to", "open-clip"]) == 0
    _, method, _ = workflow.load_run("run")
    assert isinstance(method.encoder, PretrainedPair)
    with method.frozen():
        expected = method.encoder.embed_images(images())
    assert method.encoder.mean.flatten().tolist() == pytest.approx([0.4] * 3)
    model = AutoModel.from_pretrained("hf").eval()
    with torch.no_grad():
        torch.testing.assert_close(model.get_image_features((images() / 255 - 0.4) / 0.3).pooler_output, expected)
    scale = load_file("run/encoder.safetensors")["model.logit_scale"]
    assert float(scale) == model.logit_scale.item() != pytest.approx(2.6592, abs=1e-6)
    capsys.readouterr()
    assert main([*words[:-2], "--encoder", "run-open-clip", "--out", "again"]) == 0
    columns = Path("run/metrics.csv").read_text().splitlines()[0]
    assert "monitor/seen" in columns


@pytest.mark.filterwarnings("error::nearfar.training.monitor.OverfittingWarning")
def test_held_out_retrieval_is_watched_and_its_fall_is_said() -> None:
    from nearfar.multimodal.data import load
    from nearfar.training.monitor import Monitor, OverfittingWarning

    data = load("shape-scenes", examples=40, size=16)
    method = CLIP("small-conv", "tiny-bert", projection_dim=8, max_length=8)
    found = method.watched(data)
    assert set(found) == {"seen", "held_out"}
    assert all(0 <= value <= 1 for value in found.values())
    monitor = Monitor(data, 1)
    monitor._compare(1, 0.5)
    monitor._compare(2, 0.44)
    monitor._compare(3, 0.5)  # once is chance
    monitor._compare(4, 0.4)
    with pytest.warns(OverfittingWarning, match=r"0\.400 at step 5, 0\.500 at step 3"):
        monitor._compare(5, 0.4)
    monitor._compare(6, 0.3)  # once is enough: a second warning would fail here
    again = Monitor(data, 1)
    again.load_state_dict(monitor.state_dict())
    np.testing.assert_array_equal(again._best, [0.5, 3.0, -1.0])
