"""What ten minutes on a processor make of a folder of photographs: ``python benchmarks/photos.py --budget 10m``.

The 1,670 photographs of PACS (64 pixels, seven classes; ``NEARFAR_DATA`` names the folder with ``pacs``) lie in one
folder without labels, and ``nearfar train relic --data photos`` runs as anybody would type it, with the defaults. The
labels are looked at afterwards alone: a linear probe and nearest neighbours on the vectors of the trained and of the
untrained encoder, each fitted on one half of the photographs and asked about the other, over random halves that both
share. The interval is that of the paired differences, with Nadeau & Bengio's correction (2003) for halves that overlap:
the variance of the mean of J differences is taken as (1 / J + 1) times theirs. It is about these photographs and this
run; another seed of training is another run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

HALVES = 20


def lay_out(folder: Path) -> np.ndarray:
    """The photographs of PACS as files; returns their classes, in the order of the files' names."""
    packed = dict(np.load(Path(os.environ["NEARFAR_DATA"]) / "pacs" / "pacs64.npz", allow_pickle=False))
    chosen = np.flatnonzero(packed["domains"][packed["domain"]] == "photo")
    folder.mkdir(parents=True, exist_ok=True)
    for number, row in enumerate(chosen):
        start, end = packed["off"][row : row + 2]
        (folder / f"IMG_{number:04d}.jpg").write_bytes(packed["buf"][start:end].tobytes())
    return packed["y"][chosen]


def train(photos: Path, run: Path, words: list[str]) -> dict[str, Any]:
    """Run the command; what it said, when, and what it took."""
    command = [sys.executable, "-m", "nearfar", "train", "relic", "--data", str(photos), "--out", str(run), *words]
    load, started = os.getloadavg()[0], time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    said: list[tuple[float, str]] = []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append((time.perf_counter() - started, line.rstrip()))
            print(f"{said[-1][0]:7.1f} s  {line}", end="", flush=True)
    if process.returncode:
        raise SystemExit(process.returncode)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "command": " ".join(["nearfar", "train", "relic", "--data", photos.name, *words]),
        "seconds": time.perf_counter() - started,
        "processor_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "load": [load, os.getloadavg()[0]],
        "said": [text.replace(f"{run.parent}/", "") for _, text in said if not text.startswith("step ")],
        "first_line": said[0][0],
        "first_step": next(when for when, text in said if text.startswith("step ")),
    }


def measure(photos: Path, run: Path, classes: np.ndarray) -> dict[str, Any]:
    """How well both encoders tell the classes apart, over shared random halves."""
    import torch

    torch.set_num_threads(1)  # on a machine that is busy, small products wait longer for a second thread than they take
    from nearfar.evaluation import LinearProbe, knn
    from nearfar.training import embed
    from nearfar.workflow import load_run, run_data, run_parts

    _, trained, opened = load_run(run)
    _, untrained, _, described = run_parts(opened)
    data = run_data(opened_entry(opened), {**described, "source": str(photos)})
    vectors = {"trained": embed(trained, data).array, "untrained": embed(untrained.eval(), data).array}
    found: dict[str, dict[str, list[float]]] = {"linear": {}, "knn": {}}
    for half in range(HALVES):
        order = np.random.default_rng(half).permutation(len(classes))
        fit, test = np.array_split(order, 2)
        for name, x in vectors.items():
            probe = LinearProbe(seed=half).fit(x[fit], classes[fit])
            score = float((probe.predict(x[test]) == classes[test]).mean())
            found["linear"].setdefault(name, []).append(score)
            found["knn"].setdefault(name, []).append(knn(x[fit], classes[fit], x[test], classes[test], k=20))
    return {name: summary(np.array(scores["trained"]), np.array(scores["untrained"])) for name, scores in found.items()}


def opened_entry(run: Any) -> Any:
    from nearfar.catalogue import find

    return find(run.config["method"])


def summary(trained: np.ndarray, untrained: np.ndarray) -> dict[str, float]:
    """Means, and the mean difference with its corrected 95% interval."""
    ahead = trained - untrained
    wide = stats.t.ppf(0.975, len(ahead) - 1) * ahead.std(ddof=1) * math.sqrt(1 / len(ahead) + 1)
    mean = float(ahead.mean())
    return {
        "trained": float(trained.mean()),
        "untrained": float(untrained.mean()),
        "ahead": mean,
        "low": float(mean - wide),
        "high": float(mean + wide),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--budget", default="10m")
    parser.add_argument("--run", type=Path, help="a finished run on these photographs, to measure it again")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder) / "photos"
        classes = lay_out(photos)
        run = options.run or Path(folder) / "relic"
        took = {} if options.run else train(photos, run, ["--budget", options.budget])
        found = {
            "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
            "photographs": len(classes),
            **took,
            **measure(photos, run, classes),
        }
    for name in ("linear", "knn"):
        r = found[name]
        print(
            f"{name}: untrained {r['untrained']:.3f}, trained {r['trained']:.3f}, "
            f"ahead by {r['ahead']:+.3f} [{r['low']:+.3f}, {r['high']:+.3f}]"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
