"""Fine-tuning with few labels: the whole encoder and a new linear head on 1% or 10% of the labels."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from nearfar.evaluation._arrays import class_labels, positive_integer

if TYPE_CHECKING:
    from torch import Tensor, nn


def stratified_fraction(labels: Any, fraction: float, seed: int = 0) -> np.ndarray:
    """Ascending row numbers of a draw of ``fraction`` of every class, rounded, with at least one of each.

    Compare methods on the same draw (same labels, fraction and seed). For ImageNet take the published lists
    of google-research/simclr (imagenet_subsets) instead.

    Args:
        labels: (N,).
        fraction: in (0, 1].
        seed: of the draw. A larger fraction with the same seed contains the smaller one.

    Raises:
        ValueError: ``fraction`` outside (0, 1], empty labels.
    """
    y = class_labels(labels, "labels")
    if not 0 < fraction <= 1:
        raise ValueError(f"fraction must lie in (0, 1], got {fraction}")
    order = np.random.default_rng(seed).permutation(len(y))
    _, codes = np.unique(y, return_inverse=True)
    by_class = order[np.argsort(codes[order], kind="stable")]
    groups = np.split(by_class, np.cumsum(np.bincount(codes))[:-1])
    return np.sort(np.concatenate([group[: max(round(fraction * len(group)), 1)] for group in groups]))


def fine_tune(
    encoder: nn.Module,
    train_inputs: Tensor,
    train_y: Any,
    test_inputs: Tensor,
    test_y: Any,
    *,
    fraction: float,
    out_features: int,
    epochs: int = 20,
    lr_trunk: float = 0.01,
    lr_head: float = 0.1,
    optimizer: Literal["sgd", "adamw"] = "sgd",
    weight_decay: float = 0.0,
    batch_size: int = 64,
    seed: int = 0,
    prepare: Callable[[Tensor], Tensor] | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
) -> float:
    """Accuracy of a copy of ``encoder``, with a linear head, trained on a stratified draw of the labels.

    SGD with momentum 0.9 without weight decay, or what is asked for; both learning rates going to 0 along half a
    cosine, cross-entropy. The semi-supervised protocol of SwAV and VICReg: 20 epochs; VICReg's rates are 0.03 / 0.08
    (trunk / head) for 1% and 0.01 / 0.1 for 10%, at batch size 256 on ImageNet. Choose rates on other data than the
    test rows, and report several draws (``seed``), because few labels vary much. Transformers want ``adamw``, a
    ``weight_decay`` of 0.05 and rates near 1e-3 (MAE, appendix A.1, at batch size 1,024).

    The caller's encoder, its mode and the global random state stay as they were. Batches are as
    equal in size as possible and never a single row, which batch norm could not train on.

    Args:
        encoder: maps a batch of inputs to (B, out_features).
        train_inputs, test_inputs: tensors whose first dimension counts examples, of any type and shape.
        train_y, test_y: classes of any type; test classes that were never drawn count as wrong.
        fraction: share of the training labels, in (0, 1]; see :func:`stratified_fraction`.
        out_features: width of the encoder's output.
        epochs: passes over the drawn rows.
        lr_trunk, lr_head: learning rates, at least 0. With ``lr_trunk=0`` the encoder stays in evaluation
            mode and only the head learns; otherwise all its parameters do, frozen ones included.
        optimizer: ``sgd`` (momentum 0.9) or ``adamw``.
        weight_decay: of encoder and head, at least 0.
        batch_size: at least 2.
        seed: of the draw of labels, the order of batches and whatever the encoder and ``augment`` draw.
        prepare: applied to every batch, in training and test: uint8 to normalised float, for instance.
        augment: applied to training batches only, after ``prepare``.

    Returns:
        Accuracy of the last epoch on the test rows, in [0, 1].

    Raises:
        ValueError: lengths that differ, one class only, an output of another width, rates that are
            negative, an optimiser that is not known.
        FloatingPointError: the loss became infinite or NaN.
    """
    import torch
    from torch import nn
    from torch.nn import functional as F

    y = class_labels(train_y, "train_y", length=len(train_inputs), classes=2)
    truth = class_labels(test_y, "test_y", length=len(test_inputs))
    if positive_integer(batch_size, "batch_size") < 2:
        raise ValueError("batch_size must be at least 2, got 1")
    if min(lr_trunk, lr_head) < 0:
        raise ValueError(f"learning rates must not be negative, got lr_trunk={lr_trunk}, lr_head={lr_head}")
    if optimizer not in ("sgd", "adamw"):
        raise ValueError(f"optimizer must be 'sgd' or 'adamw', got {optimizer!r}")
    if not weight_decay >= 0:
        raise ValueError(f"weight_decay must be at least 0, got {weight_decay}")
    epochs = positive_integer(epochs, "epochs")
    rows = stratified_fraction(y, fraction, seed)
    classes, codes = np.unique(y[rows], return_inverse=True)
    # Batch norm needs two rows, so that few rows make fewer and larger batches.
    number = max(min(math.ceil(len(rows) / batch_size), len(rows) // 2), 1)
    batches = np.array_split(np.arange(len(rows)), number)
    parameter = next(encoder.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device

    def features(model: nn.Module, inputs: Tensor, training: bool) -> Tensor:
        batch = inputs.to(device)
        batch = batch if prepare is None else prepare(batch)
        output = model(batch if augment is None or not training else augment(batch))
        if output.ndim != 2 or output.shape[1] != out_features:
            raise ValueError(f"encoder must give (batch, out_features={out_features}), got shape {tuple(output.shape)}")
        return output.float()

    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), torch.enable_grad():
        torch.manual_seed(seed)
        trunk = copy.deepcopy(encoder).train(lr_trunk > 0).requires_grad_(lr_trunk > 0)
        head = nn.Linear(out_features, len(classes)).to(device)
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        groups = [{"params": head.parameters(), "lr": lr_head}]
        if lr_trunk > 0 and parameter is not None:
            groups.append({"params": trunk.parameters(), "lr": lr_trunk})
        moved = (
            torch.optim.SGD(groups, momentum=0.9, weight_decay=weight_decay)
            if optimizer == "sgd"
            else torch.optim.AdamW(groups, weight_decay=weight_decay)
        )
        steps = epochs * len(batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(moved, lambda t: (1 + math.cos(math.pi * t / steps)) / 2)
        targets = torch.as_tensor(codes, device=device)
        for _ in range(epochs):
            order = torch.randperm(len(rows)).numpy()
            for batch in batches:
                picked = order[batch]
                inputs = train_inputs[torch.as_tensor(rows[picked])]
                logits = head(features(trunk, inputs, True))
                loss = F.cross_entropy(logits, targets[torch.as_tensor(picked, device=device)])
                if not torch.isfinite(loss):
                    raise FloatingPointError(
                        f"fine-tuning diverged (loss {loss.item()}); lower lr_trunk={lr_trunk} or lr_head={lr_head}"
                    )
                moved.zero_grad(set_to_none=True)
                loss.backward()
                moved.step()
                schedule.step()
        trunk.eval()
        predicted = []
        with torch.no_grad():
            for start in range(0, len(test_inputs), 256):
                part = head(features(trunk, test_inputs[start : start + 256], False))
                predicted.append(part.argmax(1).cpu().numpy())
    return float(np.mean(classes[np.concatenate(predicted)] == truth))
