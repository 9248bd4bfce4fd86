"""A classifier of which the encoder learns, too: fine-tuned on labelled examples from a linear probe on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_model
from torch import nn

from nearfar.common.rehearsal import rehearsing
from nearfar.runs.run import Run, RunError
from nearfar.sources.labels import known
from nearfar.training import Method
from nearfar.training.embed import embed, to_device
from nearfar.training.fit import save_weights
from nearfar.workflow.classifying import Classifier, checked, judged, keep_classifier, linear_map, unlabelled

__all__ = ["WEIGHTS", "fit_tuned", "keep_tuned", "with_kept_weights"]

WEIGHTS = "classifier.safetensors"
FOLDS = 3
EPOCHS, RATE, BATCH, DECAY = 20, 1e-4, 32, 0.05


def fit_tuned(
    method: Method,
    data: Any,
    *,
    epochs: int = EPOCHS,
    rate: float = RATE,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> tuple[Classifier, float]:
    """Learn the whole encoder and a linear head on what is labelled, and measure both on folds that they did not see.

    The head begins as the linear probe (linear probing, then fine-tuning: Kumar et al., 2022, arXiv 2202.10054), so
    that the encoder's features are not distorted by a random one. AdamW, a rate that falls along half a cosine, ten
    times as high for the head; cross-entropy. Batch statistics and dropout stay as when embedding, so that a dozen
    examples cannot ruin them. Three folds and the whole make three times the work of one fine-tuning.

    Args:
        method: a finished run's; it ends with the weights that were learned on all examples.
        data: labelled, in whole or in part.
        epochs: passes over the labelled examples.
        rate: of the encoder.
        seed: of the folds and of the order.
        say: is told which part is being learned.

    Returns:
        The classifier, and the accuracy of linear classifiers on the same folds.

    Raises:
        ValueError: too few labels, an encoder that no gradient reaches, or one that gives several rows an example.
        FloatingPointError: it diverged.
    """
    if not (epochs >= 1 and rate > 0):
        raise ValueError(f"--epochs must be at least 1 and --rate above 0, got {epochs} and {rate}")
    epochs = 1 if rehearsing() else epochs
    if data.labels is None or not known(data.labels).any():
        raise ValueError(unlabelled(data))
    everything = embed(method, data)
    if data.divisible or len(data) < len(everything.array):
        raise ValueError(f"an example of {data.name} has several vectors; only the linear classifier reads those")
    places = np.flatnonzero(data.readable(np.arange(len(data))))
    rows = places[known(data.labels[places])]
    x = everything.array[np.searchsorted(places, rows)]
    names, codes, folds = checked(data.labels[rows], seed, FOLDS)
    start = {name: value.clone() for name, value in method.kept().state_dict().items()}
    logits, linear = (np.zeros((len(rows), len(names))) for _ in range(2))
    part = np.zeros(len(rows), np.int64)
    *whole, strength = linear_map(x, codes, seed)
    for fold, (seen, unseen) in enumerate(folds):
        say(f"fine-tuning: fold {fold + 1} of {len(folds)}, {len(seen):,} examples")
        method.kept().load_state_dict(start)
        first = linear_map(x[seen], codes[seen], seed, strength)[:2]
        linear[unseen] = x[unseen].astype(np.float64) @ first[0].T + first[1]
        weight, bias = _tune(method, data, rows[seen], codes[seen], first, epochs, rate, seed)
        vectors = embed(method, data.subset(rows[unseen])).array
        logits[unseen] = vectors.astype(np.float64) @ weight.T + bias
        part[unseen] = fold
    say(f"fine-tuning: on all {len(rows):,} examples")
    method.kept().load_state_dict(start)
    weight, bias = _tune(method, data, rows, codes, (whole[0], whole[1]), epochs, rate, seed)
    return judged(names, weight, bias, logits, codes, part), float((linear.argmax(1) == codes).mean())


def _tune(
    method: Method,
    data: Any,
    rows: np.ndarray,
    codes: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    epochs: int,
    rate: float,
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Learn on some rows, in place; the head's weight and bias."""
    with _learning(method) as parameters, torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        head = nn.Linear(first[0].shape[1], len(first[0])).to(method.device)
        with torch.no_grad():
            head.weight.copy_(torch.as_tensor(first[0]))
            head.bias.copy_(torch.as_tensor(first[1]))
        groups = [{"params": parameters, "lr": rate}, {"params": [*head.parameters()], "lr": 10 * rate}]
        moved = torch.optim.AdamW(groups, weight_decay=DECAY)
        steps = epochs * -(-len(rows) // BATCH)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(moved, steps)
        targets = torch.as_tensor(codes, device=method.device)
        for step, batch in enumerate(_batches(len(rows), epochs)):
            vectors = method.encode(to_device(data.batch(rows[batch]), method.device)).float()
            loss = nn.functional.cross_entropy(head(vectors), targets[torch.as_tensor(batch)])
            if not torch.isfinite(loss):
                raise FloatingPointError(f"fine-tuning diverged (loss {loss.item()}); lower --rate {rate}")
            moved.zero_grad(set_to_none=True)
            loss.backward()
            if step == 0 and not any(p.grad is not None and p.grad.any() for p in parameters):
                raise ValueError(
                    f"no gradient reaches the encoder of a {type(method).__name__}; classify without --finetune"
                )
            moved.step()
            schedule.step()
    return head.weight.detach().cpu().double().numpy(), head.bias.detach().cpu().double().numpy()


def _batches(count: int, epochs: int) -> Iterator[np.ndarray]:
    """Rows of equal batches, drawn anew in every epoch."""
    for _ in range(epochs):
        yield from np.array_split(torch.randperm(count).numpy(), -(-count // BATCH))


@contextmanager
def _learning(method: Method) -> Iterator[list[nn.Parameter]]:
    """All parameters that are kept ask for gradients, in evaluation mode; as before afterwards."""
    parameters = [*method.kept().parameters()]
    before = [parameter.requires_grad for parameter in parameters]
    method.eval()
    try:
        for parameter in parameters:
            parameter.requires_grad_(True)
        yield parameters
    finally:
        for parameter, asked in zip(parameters, before, strict=True):
            parameter.requires_grad_(asked).grad = None


def keep_tuned(run: Run, method: Method, classifier: Classifier) -> Path:
    """Keep the classifier and the encoder that it reads with the run; the run's own encoder stays as it was."""
    path = run.path / WEIGHTS
    save_weights(method.kept(), path, "classify again with --finetune")
    return keep_classifier(run, classifier, tuned=_digest(path))


def with_kept_weights(run: Run, method: Method, classifier: Classifier) -> None:
    """Give a run's method the weights that its kept classifier reads; nothing where that reads the run's own.

    Raises:
        RunError: they are not there, or others.
    """
    if not classifier.tuned:
        return
    path = run.path / WEIGHTS
    if not path.is_file() or _digest(path) != classifier.tuned:
        raise RunError(f"{path} is not what the kept classifier reads; fit it again with --labels LABELLED --finetune")
    try:
        load_model(method.kept(), str(path))
    except (SafetensorError, RuntimeError) as error:
        raise RunError(f"{path} does not hold the weights of this run: {error}") from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
