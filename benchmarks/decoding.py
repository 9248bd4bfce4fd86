"""Two branches of a small Llama: this library's loop beside transformers' own guidance, in turns, on one thread.

``python benchmarks/decoding.py [--rounds 3] [--new 64]`` prints tokens per processor second of both sides, of plain
generation by transformers, and the ratios; greedy, float32, random weights (six layers of width 384, vocabulary
32,000), prompts of 64 and 40 tokens. The sides must give equal tokens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from nearfar.decoding.engine import Branch, Look, branched_generate
from nearfar.losses import contrast_logits


def against(looks: list[Look]) -> Tensor:
    return contrast_logits(looks[0].logits, looks[1].logits, weight=1.0)


def sides(model: LlamaForCausalLM, batch: int, new: int) -> dict[str, Callable[[], Tensor]]:
    draw = torch.Generator().manual_seed(0)
    told = torch.randint(3, 32000, (batch, 64), generator=draw)
    untold = torch.randint(3, 32000, (batch, 40), generator=draw)
    settings = {"max_new_tokens": new, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    branches = [Branch(model, ids, torch.ones_like(ids)) for ids in (told, untold)]
    mask = torch.ones_like(told)
    return {
        "ours": lambda: model.generate(
            told, attention_mask=mask, custom_generate=branched_generate(against, branches), **settings
        ),
        "guidance_scale": lambda: model.generate(
            told, attention_mask=mask, guidance_scale=2.0, negative_prompt_ids=untold, **settings
        ),
        "plain": lambda: model.generate(told, attention_mask=mask, **settings),
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=64)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = LlamaConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        intermediate_size=1024,
        vocab_size=32000,
        tie_word_embeddings=True,
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():  # as in measured models, so that the next word depends on the ones before
        for p in model.parameters():
            if p.ndim == 2:
                p.mul_(3.0)
    rows = []
    for batch in (1, 8):
        made = sides(model, batch, options.new)
        warm = {name: run() for name, run in made.items()}
        seconds: dict[str, list[float]] = {name: [] for name in made}
        for _ in range(options.rounds):
            for name, run in made.items():
                begun = time.process_time()
                run()
                seconds[name].append(time.process_time() - begun)
        middle = {name: statistics.median(each) for name, each in seconds.items()}
        found = {f"{name}, tokens a second": round(batch * options.new / each, 1) for name, each in middle.items()}
        found["ours against guidance_scale"] = round(middle["guidance_scale"] / middle["ours"], 2)
        found["ours against plain"] = round(middle["plain"] / middle["ours"], 2)
        equal = bool(torch.equal(warm["ours"], warm["guidance_scale"]))
        rows.append({"batch": batch, "equal tokens": equal, **found})
        print(json.dumps(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"load": os.getloadavg()[0], "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
