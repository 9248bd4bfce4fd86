"""DPO of a small Llama beside trl and beside a plain loop: pairs a second and peaks of memory, in turns, on one thread.

Six layers of width 384, vocabulary 32,000, tied, random weights; batches of eight pairs whose prompts and replies have
32 to 128 tokens each; texts are ids and the reference's log-probabilities are known before the clock starts, and AdamW
is fused, on all sides. trl is driven as its trainer drives itself (``compute_loss`` of its own collated batches); the
plain loop pads a batch to its longest and takes log-probabilities from whole logits. The losses of the first batch are
compared. Peaks are of fresh processes, two steps, beyond the model and what was imported.
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
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import torch
from measuring import peak_kilobytes
from torch import Tensor

from nearfar.encoders.causal import CausalLM, word_tokenizer
from nearfar.losses import dpo_loss
from nearfar.preference.data.batches import PairBatch
from nearfar.preference.method import Judged
from nearfar.preference.methods.dpo import DPO
from nearfar.preference.policy import Policy
from nearfar.training.acceleration import in_precision

PAIRS, WORDS, BETA = 8, 32000, 0.1


def model() -> CausalLM:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    tokenizer = word_tokenizer(f"w{i}" for i in range(WORDS - 3))
    config = LlamaConfig(
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        intermediate_size=1024,
        vocab_size=WORDS,
        tie_word_embeddings=True,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return CausalLM(LlamaForCausalLM(config), tokenizer)


def pairs(seed: int) -> PairBatch:
    rng = np.random.default_rng(seed)

    def said() -> str:
        return "".join(f" w{word}" for word in rng.integers(WORDS - 3, size=rng.integers(32, 129)))

    columns = [[said() for _ in range(PAIRS)] for _ in range(3)]
    return PairBatch(*columns, rows=torch.arange(PAIRS))


def half(precision: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16" else nullcontext()


class Side(NamedTuple):
    """What is made of a batch before the clock starts, and a step on it, which gives the loss."""

    prepare: Callable[[PairBatch], Any]
    step: Callable[[Any], float]


def stepped(parameters: Any, prepare: Callable[[PairBatch], Any], loss_of: Callable[[Any], Tensor]) -> Side:
    optimizer = torch.optim.AdamW(parameters, lr=1e-6, fused=True)

    def step(prepared: Any) -> float:
        loss = loss_of(prepared)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return float(loss.detach())

    return Side(prepare, step)


@cache
def reference(prompt: str, chosen: str, rejected: str) -> tuple[float, float]:
    """Log-probabilities of the replies under the model as all sides begin: then no margin is so large that gradients
    are denormal numbers, with which processors take many times as long."""
    policy = beginning()
    with torch.no_grad():
        first, second = policy.logps(policy.sequences(prompt, [chosen, rejected])).tolist()
    return first, second


@cache
def beginning() -> Policy:
    return Policy(model())


def known(batch: PairBatch) -> Tensor:
    """(N, 2) of :func:`reference`."""
    rows = zip(batch.prompts, batch.chosen, batch.rejected, strict=True)
    return torch.tensor([reference(*row) for row in rows])  # type: ignore[arg-type]


def ours(precision: str) -> Side:
    method = DPO(model(), beta=BETA, reference="precomputed")

    def loss_of(judged: Judged) -> Tensor:
        with in_precision(method, "bf16" if precision == "bf16" else "32"):
            return method.loss(judged)

    def prepare(batch: PairBatch) -> Judged:
        return Judged(method.replies(batch), known(batch))

    return stepped(method.policy.parameters(), prepare, loss_of)


def plain(precision: str) -> Side:
    lm, tokenizer = model()
    lm.train()

    def prepare(batch: PairBatch) -> tuple[Tensor, ...]:
        rows, starts = [], []
        for replies in (batch.chosen, batch.rejected):
            for prompt, reply in zip(batch.prompts, replies, strict=True):
                rows.append([*tokenizer(prompt + reply)["input_ids"], tokenizer.eos_token_id])
                starts.append(len(tokenizer(prompt)["input_ids"]))
        width = max(map(len, rows))
        ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        counted = (torch.arange(1, width) >= torch.tensor(starts)[:, None]) & mask[:, 1:].bool()
        return ids, mask, counted, known(batch)

    def loss_of(prepared: tuple[Tensor, ...]) -> Tensor:
        ids, mask, counted, references = prepared
        with half(precision):
            logits = lm(input_ids=ids, attention_mask=mask, use_cache=False).logits[:, :-1]
        found = logits.float().log_softmax(-1).gather(2, ids[:, 1:, None]).squeeze(2)
        chosen, rejected = (found * counted).sum(1).chunk(2)
        return dpo_loss(chosen, rejected, *references.unbind(1), beta=BETA)

    return stepped(lm.parameters(), prepare, loss_of)


def trl(precision: str) -> Side:
    import datasets
    from trl import DPOConfig, DPOTrainer

    datasets.disable_progress_bars()
    lm, tokenizer = model()
    settings = DPOConfig(
        output_dir=mkdtemp(),
        per_device_train_batch_size=PAIRS,
        beta=BETA,
        bf16=precision == "bf16",
        use_cpu=True,
        report_to=[],
        gradient_checkpointing=False,
        max_length=None,
    )

    def table(batch: PairBatch) -> Any:
        return datasets.Dataset.from_dict({"prompt": batch.prompts, "chosen": batch.chosen, "rejected": batch.rejected})

    trainer = DPOTrainer(lm, model().model, settings, train_dataset=table(pairs(0)), processing_class=tokenizer)
    trainer.ref_model, trainer.precompute_ref_logps = None, True
    trainer.model.train()

    def prepare(batch: PairBatch) -> Any:
        rows = [*trainer._prepare_dataset(table(batch), tokenizer, settings, "train")]
        inputs = trainer.data_collator(rows)
        chosen, rejected = known(batch).unbind(1)
        return {**inputs, "ref_chosen_logps": chosen, "ref_rejected_logps": rejected}

    def loss_of(inputs: Any) -> Tensor:
        with half(precision):
            return trainer.compute_loss(trainer.model, inputs)

    return stepped(trainer.model.parameters(), prepare, loss_of)


SIDES = {"nearfar": ours, "plain": plain, "trl": trl}


def speed(precision: str, rounds: int) -> dict[str, Any]:
    made = {name: side(precision) for name, side in SIDES.items()}
    batches = [pairs(seed) for seed in range(rounds + 1)]
    seconds: dict[str, list[float]] = {name: [] for name in made}
    losses = {}
    for turn, batch in enumerate(batches):
        for name, side in made.items():
            prepared = side.prepare(batch)
            start = time.process_time()
            loss = side.step(prepared)
            if turn:
                seconds[name].append(time.process_time() - start)
            else:
                losses[name] = loss
    rate = {name: PAIRS / statistics.median(each) for name, each in seconds.items()}
    ratios = {f"ours against {name}": rate["nearfar"] / rate[name] for name in SIDES if name != "nearfar"}
    row = {"precision": precision, "pairs a second": rate, **ratios, "losses": losses}
    print(json.dumps(row), flush=True)
    return row


def memory(side: str, precision: str) -> int:
    """Megabytes of a step in a fresh process, beyond the model and its optimiser."""
    command = [sys.executable, __file__, "--peak", side, "--precision", precision]
    return round(float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", choices=SIDES, help="only print the megabytes of one side")
    parser.add_argument("--precision", choices=("32", "bf16"), default="32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.peak:
        side = SIDES[given.peak](given.precision)
        prepared = [side.prepare(pairs(seed)) for seed in range(2)]
        print(peak_kilobytes(lambda: [side.step(each) for each in prepared]) / 1024)
        return
    rows = [speed(precision, given.rounds) for precision in ("32", "bf16")]
    megabytes = {side: memory(side, "32") for side in SIDES}
    print(json.dumps(megabytes), flush=True)
    found = {"load": os.getloadavg()[0], "torch": torch.__version__, "rows": rows, "megabytes": megabytes}
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
