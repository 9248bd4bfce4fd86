"""Sentences through a MiniLM beside sentence-transformers: SimCSE's steps, vectors of a corpus, memory by chunks.

Both sides have the same encoder (MiniLM-L6's shape: 6 layers of width 384; random weights unless ``--model`` names a
folder), the same sentences, batch, length and precision, on one thread, in turns; the figures are medians of processor
time. The peer is sentence-transformers at its best settings here: its own loss (MultipleNegativesRankingLoss, of a
sentence with itself), AdamW fused, autocast for bf16, and for a corpus its ``encode``, which sorts by length. Both
sides tokenise within the step. Peaks are of fresh processes, beyond what they hold before the step.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from measuring import peak_kilobytes

from nearfar.encoders.text import TextEncoder
from nearfar.encoders.tokens import PretrainedTokenizer
from nearfar.text.methods.simcse import SimCSE
from nearfar.training.gradient_cache import in_chunks

BATCH, WORDS = 64, 30522
CORPORA = {"32 tokens": (32, 17.0, 0.45), "mixed": (128, 38.0, 0.75)}
"""Tokens at most, and the median and spread of log-normal lengths in words."""


def minilm(folder: Path) -> str:
    """A folder with a BERT of MiniLM-L6's shape, random weights and a tokenizer of made words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(WORDS - 5))]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536, vocab_size=WORDS
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def sentences(corpus: str, count: int, seed: int = 0) -> list[str]:
    most, middle, spread = CORPORA[corpus]
    rng = np.random.default_rng(seed)
    lengths = np.clip(rng.lognormal(np.log(middle), spread, count).astype(int), 3, most - 2)
    return [" ".join(f"w{word}" for word in rng.integers(WORDS - 5, size=length)) for length in lengths]


def half(precision: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


Step = Callable[[list[str]], Any]


def ours(folder: str, most: int, precision: str, chunk: int = 0) -> tuple[Step, Step]:
    """A step of SimCSE, and the vectors of sentences."""
    encoder = TextEncoder(_model(folder), PretrainedTokenizer(folder, most), "avg")
    method = SimCSE(encoder, pooling="avg", head=False, max_length=most)
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-6, fused=True)

    def step(texts: list[str]) -> None:
        method.train()
        with in_chunks(method, chunk):
            with half(precision):
                loss = method.loss([texts, texts])
            loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def encode(texts: list[str]) -> np.ndarray:
        method.eval()
        with torch.inference_mode(), half(precision):
            parts = [encoder(texts[start : start + 256]).float() for start in range(0, len(texts), 256)]
        return torch.cat(parts).numpy()

    return step, encode


def theirs(folder: str, most: int, precision: str, chunk: int = 0) -> tuple[Step, Step]:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import (
        CachedMultipleNegativesRankingLoss,
        MultipleNegativesRankingLoss,
    )
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    words = Transformer(folder, max_seq_length=most)
    model = SentenceTransformer(modules=[words, Pooling(words.get_embedding_dimension())], device="cpu")
    if chunk:
        loss_of: Any = CachedMultipleNegativesRankingLoss(model, mini_batch_size=chunk)
    else:
        loss_of = MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)

    def step(texts: list[str]) -> None:
        model.train()
        with half(precision):
            loss = loss_of([model.preprocess(texts), model.preprocess(texts)], None)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    def encode(texts: list[str]) -> np.ndarray:
        model.eval()
        with half(precision):
            return np.asarray(model.encode(texts, batch_size=32, show_progress_bar=False))

    return step, encode


SIDES = {"nearfar": ours, "sentence-transformers": theirs}


def _model(folder: str) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(folder)


def in_turns(work: dict[str, Callable[[int], Any]], rounds: int) -> dict[str, float]:
    """Median processor seconds of each side."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(rounds):
        for name, run in work.items():
            start = time.process_time()
            run(turn)
            found[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in found.items()}


def speed(folder: str, corpus: str, precision: str, rounds: int) -> list[dict[str, Any]]:
    most = CORPORA[corpus][0]
    made = {name: side(folder, most, precision) for name, side in SIDES.items()}
    batches = [sentences(corpus, BATCH, seed) for seed in range(rounds)]
    many = sentences(corpus, 256, 99)
    vectors = {name: encode(many) for name, (_, encode) in made.items()}
    a, b = vectors.values()
    for step, _ in made.values():
        step(sentences(corpus, 8, 98))  # what is compiled and set up at first does not count
    cosine = float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())
    steps = {name: (lambda turn, step=step: step(batches[turn])) for name, (step, _) in made.items()}
    encodes = {name: (lambda _, encode=encode: encode(many)) for name, (_, encode) in made.items()}
    rows = []
    for work, count, runs in (("SimCSE", BATCH, steps), ("corpus", len(many), encodes)):
        seconds = in_turns(runs, rounds)
        rate = {name: count / each for name, each in seconds.items()}
        ratio = rate["nearfar"] / rate["sentence-transformers"]
        row = {"work": work, "corpus": corpus, "precision": precision, "a second": rate, "ratio": ratio}
        row |= {"least cosine": cosine, "most apart": float(np.abs(a - b).max())} if work == "corpus" else {}
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def memory(folder: str, side: str, chunk: int) -> float:
    """Megabytes of one step of 64 mixed sentences in a fresh process."""
    command = [sys.executable, __file__, "--model", folder, "--peak", side, "--chunk", str(chunk)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def peak(folder: str, side: str, chunk: int) -> float:
    step, _ = SIDES[side](folder, 128, "32", chunk)
    step(sentences("mixed", 8))
    return peak_kilobytes(lambda: step(sentences("mixed", BATCH))) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--model", default="", help="a folder of transformers with its tokenizer")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chunk", type=int, default=16)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=[*CORPORA])
    parser.add_argument("--peak", choices=SIDES, help="only print the megabytes of one side")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        print(peak(given.model, given.peak, given.chunk))
        return
    with TemporaryDirectory() as made:
        folder = given.model or minilm(Path(made))
        rows = [row for c in given.corpora for p in ("32", "bf16") for row in speed(folder, c, p, given.rounds)]
        megabytes = {
            f"{side}, chunk {chunk}": round(memory(folder, side, chunk)) for chunk in (0, given.chunk) for side in SIDES
        }
    print(json.dumps(megabytes), flush=True)
    found = {"load": os.getloadavg()[0], "torch": torch.__version__, "rows": rows, "megabytes": megabytes}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
