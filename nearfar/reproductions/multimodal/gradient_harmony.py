"""Gradient harmonisation: where half of the rows are put together wrongly, two contrasts learn more in harmony."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from nearfar.evaluation import paired_retrieval
from nearfar.multimodal.data import Column, Tuples
from nearfar.multimodal.methods import GradientHarmony
from nearfar.multimodal.one_tower import Reader, Spaces
from nearfar.multimodal.tuples import TupleBatch
from nearfar.parts import Harmony
from nearfar.reproductions.arms import build, train
from nearfar.reproductions.claims import Claim, Reproduction
from nearfar.training import Method

STEPS, BATCH, ROWS = 200, 64, 4
NAMES = ("seen", "heard", "said")
ALONE = Harmony(realign=False, curriculum=False, rows=BATCH)
SIZES: dict[str, Any] = {"reader": Reader(width=32, depth=1, heads=4), "spaces": Spaces(32, 16)}


def things(count: int, misaligned: float, seed: int, held_out: int = 400) -> Tuples:
    """Rows of three vectors of 24 numbers. All three are made of the same eight hidden numbers, of which the third
    modality has four, and of eight more of their own. Of a share of the rows for training the second or the third
    vector is another row's."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(count + held_out, 8))
    columns = {}
    for name, known in zip(NAMES, (8, 8, 4), strict=True):
        mixed = np.concatenate([hidden[:, :known], rng.normal(size=(len(hidden), 8))], 1)
        mixed = np.tanh(mixed @ rng.normal(size=(mixed.shape[1], 32)) / 2) @ rng.normal(size=(32, 24)) / 4
        columns[name] = mixed + 0.1 * rng.normal(size=mixed.shape)
    test = Tuples({name: Column("numbers", x[count:]) for name, x in columns.items()}, name="test")
    wrong = np.flatnonzero(rng.random(count) < misaligned)
    which = rng.integers(2, size=len(wrong))
    for place, name in enumerate(NAMES[1:]):
        rows = wrong[which == place]
        columns[name][rows] = columns[name][np.roll(rows, 1)]
    train_on = {name: Column("numbers", x[:count]) for name, x in columns.items()}
    return Tuples(train_on, name="things", splits={"test": test})


def measure(method: Method, data: Tuples) -> dict[str, float]:
    """``R@10`` of what is heard and of what is said among 400 aligned rows, both directions averaged, and the mean."""
    assert isinstance(method, GradientHarmony)
    held = data.splits()["test"]
    with method.frozen():
        seen, heard, said = method.encoder.each(held.batch(np.arange(len(held))))
    found = {}
    for name, other in (("heard", heard), ("said", said)):
        hits = paired_retrieval(seen.numpy(), other.numpy(), ks=(10,))
        found[f"R@10 {name}"] = (hits["a_to_b@10"] + hits["b_to_a@10"]) / 2
    return {**found, "R@10": sum(found.values()) / 2}


def detects(method: Method, data: Tuples) -> float:
    """How well the cosine of the gradients tells groups of rows whose second part is foreign from aligned ones."""
    assert isinstance(method, GradientHarmony)
    held = data.splits()["test"]
    method.eval()
    cosines, wrong = [], []
    for start in range(0, len(held) - BATCH + 1, BATCH):
        rows = np.arange(start, start + BATCH)
        batch = held.batch(rows)
        foreign = (rows - start) // ROWS % 2 == 1
        heard = batch.cells["heard"].clone()
        heard[foreign] = heard[foreign].roll(1, 0)
        swapped = TupleBatch({**batch.cells, "heard": heard}, batch.present, batch.rows)
        method.seed_step(0, start)
        method.loss(method.views(swapped))
        cosines.append(method.cosines)
        wrong.append(foreign[::ROWS])
    return float(roc_auc_score(np.concatenate(wrong), -torch.cat(cosines).numpy()))


def run(seed: int) -> dict[str, dict[str, float]]:
    sets = {share: things(3000, share, seed) for share in (0.0, 0.5)}

    def trained(harmony: Harmony, misaligned: float = 0.5) -> GradientHarmony:
        method = build("gradient-harmony", sets[misaligned], seed, harmony=harmony, **SIZES)
        train("gradient-harmony", method, sets[misaligned], seed, steps=STEPS, batch_size=BATCH)
        assert isinstance(method, GradientHarmony)
        return method

    both = trained(Harmony(rows=ROWS))
    return {
        "harmony": {**measure(both, sets[0.0]), "AUC": detects(both, sets[0.0])},
        "realignment": measure(trained(Harmony(curriculum=False, rows=ROWS)), sets[0.0]),
        "plain sum": measure(trained(ALONE), sets[0.0]),
        "plain sum, all aligned": measure(trained(ALONE, 0.0), sets[0.0]),
        "untrained": {**measure(build("gradient-harmony", sets[0.0], seed, **SIZES).eval(), sets[0.0]), "AUC": 0.5},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=5,
    setting=f"""3,000 rows of three vectors made of the same hidden numbers, as features of what is seen, heard and
    said; half of the rows have the second or the third vector of another row. One transformer of one layer and width 32
    for all three, {STEPS} steps of {BATCH} rows, gradients compared for {ROWS} rows together, the least cosine rising
    from -0.3 to 0. Measured is how often the right one of 400 is among the ten nearest (chance 0.025), on aligned rows.
    The same sum of losses on rows that are all aligned is the ceiling. AUC is how well the cosine tells {ROWS} foreign
    rows from {ROWS} aligned ones, against 0.5 for chance.""",
    claims=(
        Claim("harmonised gradients retrieve better than their plain sum", "harmony", "plain sum", "R@10"),
        Claim("realignment alone retrieves better than the plain sum", "realignment", "plain sum", "R@10"),
        Claim("the cosine finds rows that do not belong together", "harmony", "untrained", "AUC", role="ablation"),
        Claim("aligned rows leave room", "plain sum, all aligned", "plain sum", "R@10", role="sanity"),
        Claim("training beats the untrained network", "harmony", "untrained", "R@10", role="sanity"),
    ),
)
