"""Generated tables with known anomalies."""

from __future__ import annotations

import numpy as np

from nearfar.tabular.data.rows import Rows

__all__ = ["flows", "region"]

FACTORS, FEATURES = 6, 24


def flows(count: int = 2000, *, anomalies: int = 300, seed: int = 0) -> Rows:
    """Rows like those of network traffic: 24 numbers that six factors decide, some of them skewed, and a protocol.

    Normal rows are of three modes, one a protocol, each a curved surface. Of the anomalies half are normal rows with
    two to six numbers taken from other rows, which breaks what belongs together and leaves every number usual; a
    quarter have numbers far outside; a quarter are of a mode of their own with a usual protocol. 2% of the numbers of
    the last two columns are missing.

    Args:
        count: normal rows, at least 40.
        anomalies: other rows, at least 4.
        seed: equal arguments give equal tables.
    """
    if count < 40 or anomalies < 4:
        raise ValueError(f"flows needs at least 40 normal rows and 4 anomalies, got {count} and {anomalies}")
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(4, FACTORS, FEATURES)) / np.sqrt(FACTORS)
    shift = 1.5 * rng.normal(size=(4, FEATURES))

    def surface(mode: np.ndarray) -> np.ndarray:
        factors = rng.normal(size=(len(mode), FACTORS))
        x = np.tanh(np.einsum("nf,nfd->nd", factors, mixing[mode]) + shift[mode])
        x = x + 0.3 * np.einsum("nf,nfd->nd", factors**2 - 1, np.roll(mixing[mode], 5, axis=2))
        x = x + 0.05 * rng.normal(size=x.shape)
        x[:, ::4] = np.exp(0.7 * x[:, ::4])
        return x

    mode = rng.choice(3, count, p=[0.5, 0.3, 0.2])
    normal = surface(mode)
    kinds = np.arange(anomalies) % 4
    own = rng.choice(3, anomalies)
    odd = surface(np.where(kinds == 3, 3, own))
    for row, kind in enumerate(kinds):
        changed = rng.choice(FEATURES, rng.integers(2, 7), replace=False)
        if kind < 2:
            odd[row, changed] = normal[rng.integers(count, size=len(changed)), changed]
        elif kind == 2:
            odd[row, changed] += rng.choice([-1, 1], len(changed)) * 3 * normal[:, changed].std(0)
    x = np.concatenate([normal, odd])
    order = rng.permutation(len(x))
    x, modes = x[order], np.concatenate([mode, own])[order]
    x[:, -2:][rng.random((len(x), 2)) < 0.02] = np.nan
    columns: dict[str, np.ndarray] = {f"measure {i}": x[:, i] for i in range(FEATURES)}
    columns["protocol"] = np.array(["tcp", "udp", "icmp"])[modes]
    labels = np.concatenate([np.zeros(count, np.int64), np.ones(anomalies, np.int64)])[order]
    return Rows(columns, labels, name="flows")


def region(count: int = 1500, *, held_out: int = 600, seed: int = 0) -> Rows:
    """Places in a region of 10 by 10 degrees: a picture, counts of what stands around, and a price for each.

    Five smooth fields of three length scales decide all of them. A picture of 16 pixels shows two fields and their
    slopes, the counts on a grid of 7 by 7 hexagons are Poisson with a rate from three, and the price, the label, is a
    nonlinear function of two fields with noise. Test places are others of the same region.

    Args:
        count: places for training, at least 50.
        held_out: places for test.
        seed: equal arguments give equal regions.
    """
    if count < 50:
        raise ValueError(f"region needs at least 50 places, got {count}")
    rng = np.random.default_rng(seed)
    waves = []
    for scale in (4.0, 4.0, 2.0, 2.0, 1.2):
        frequency = rng.normal(size=(2, 24)) / scale
        waves.append((frequency, rng.uniform(0, 2 * np.pi, 24), rng.normal(size=24) / np.sqrt(12)))

    def field(number: int, x: np.ndarray) -> np.ndarray:
        frequency, phase, weight = waves[number]
        return np.cos(x @ frequency + phase) @ weight

    total = count + held_out
    places = np.stack([rng.uniform(0, 10, total), rng.uniform(45, 55, total)], 1)
    offset = np.stack(np.meshgrid(*[np.linspace(-0.4, 0.4, 16)] * 2), 2)
    around = places[:, None, None] + offset
    images = np.stack([field(0, around), field(2, around), field(0, around) * field(2, around)], 1)
    images = np.clip(0.5 + 0.2 * images + 0.05 * rng.normal(size=images.shape), 0, 1)
    offset = np.stack(np.meshgrid(*[np.linspace(-0.3, 0.3, 7)] * 2), 2)
    around = places[:, None, None] + offset
    rates = np.stack([field(i, around) for i in (1, 3, 4)], 1)
    counts = rng.poisson(np.exp(np.clip(0.8 * np.repeat(rates, 2, 1) + 0.3, -3, 3))) / 10
    price = np.exp(0.4 * field(0, places)) + np.abs(field(1, places)) + 0.2 * rng.normal(size=total)
    parts = [
        Rows(
            {},
            price[rows],
            places=places[rows],
            views={"images": images[rows].astype(np.float32), "counts": counts[rows].astype(np.float32)},
            name=name,
        )
        for rows, name in ((slice(0, count), "region"), (slice(count, None), "region test"))
    ]
    parts[0].test = parts[1]
    return parts[0]
