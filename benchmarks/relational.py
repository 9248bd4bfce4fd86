"""Steps of graph methods and recommenders, full ranking and the rating of rows, beside what people would write.

    NEARFAR_DATA=/path/to/shared/data python benchmarks/relational.py
    python benchmarks/relational.py --rows grace bgrl --repeats 3 --json benchmarks/results/relational.json

Both sides take turns in one process on one thread; seconds are the processor's, medians. The other side is the plain
form in torch: graph convolutions of PyTorch Geometric on dense features with whole matrices of products, sums of
exponentials over all nodes, a dense row of scores for every user, one part of a row after another.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nearfar.catalogue import find
from nearfar.losses import full_contrast
from nearfar.losses import scale_alignment as alignment
from nearfar.reproductions.arms import shared
from nearfar.workflow.systems import build_method, load_data

Sides = dict[str, Callable[[], Any]]


def file(name: str) -> Path:
    found = shared(name)
    if found is None:
        raise SystemExit(f"NEARFAR_DATA names no folder with {name}")
    return found


def stepped(method: Any, batch: Any) -> Callable[[], Any]:
    """One step of a method: views, loss, backward, what moves besides; with its parameters' gradients taken away."""
    method.train()

    def step() -> None:
        method.seed_step(0, 0)
        with torch.no_grad():
            views = method.views(batch)
        method.loss(views).backward()
        method.after_step()
        for parameter in method.parameters():
            parameter.grad = None

    return step


class PlainGCN(nn.Module):
    """Graph convolutions of PyTorch Geometric on dense features."""

    def __init__(self, widths: list[int], *, norm: bool) -> None:
        super().__init__()
        from torch_geometric.nn import GCNConv

        pairs = list(zip(widths, widths[1:], strict=False))
        self.layers = nn.ModuleList(GCNConv(a, b) for a, b in pairs)
        self.norms = nn.ModuleList(nn.BatchNorm1d(b) if norm else nn.Identity() for _, b in pairs)
        self.acts = nn.ModuleList(nn.PReLU() if norm else nn.ReLU() for _ in pairs)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        for layer, norm, act in zip(self.layers, self.norms, self.acts, strict=True):
            x = act(norm(layer(x, edges)))
        return x


def corrupted(graph: Any, drop: float, mask: float) -> tuple[Tensor, Tensor]:
    keep = torch.rand(graph.edge_index.shape[1]) >= drop
    return graph.x * (torch.rand(graph.x.shape[1]) >= mask), graph.edge_index[:, keep]


def grace() -> Sides:
    data = load_data("graph", file("cora/cora.npz"))
    method = build_method(find("grace"), {}, data, 0)
    net = PlainGCN([data.graph.num_node_features, 256, 128], norm=False)
    head = nn.Sequential(nn.Linear(128, 128), nn.ELU(), nn.Linear(128, 128))

    def half(u: Tensor, v: Tensor) -> Tensor:
        inside, between = (u @ u.T / 0.4).exp(), (u @ v.T / 0.4).exp()
        return -(between.diag() / (inside.sum(1) + between.sum(1) - inside.diag())).log().mean()

    def plain() -> None:
        views = [corrupted(data.graph, *strength) for strength in method.corruptions]
        u, v = (F.normalize(head(net(*view))) for view in views)
        ((half(u, v) + half(v, u)) / 2).backward()

    return {"plain": plain, "nearfar": stepped(method, data.graph)}


def bgrl() -> Sides:
    data = load_data("graph", file("cora/cora.npz"))
    method = build_method(find("bgrl"), {}, data, 0)
    widths = [data.graph.num_node_features, 256, 128]
    net, target = PlainGCN(widths, norm=True), PlainGCN(widths, norm=True)
    predict = nn.Sequential(nn.Linear(128, 512), nn.PReLU(), nn.Linear(512, 128))

    def plain() -> None:
        views = [corrupted(data.graph, *strength) for strength in method.corruptions]
        q1, q2 = (predict(net(*view)) for view in views)
        with torch.no_grad():
            y1, y2 = (target(*view) for view in views)
        (2 - F.cosine_similarity(q1, y2).mean() - F.cosine_similarity(q2, y1).mean()).backward()
        with torch.no_grad():
            for old, new in zip(target.parameters(), net.parameters(), strict=True):
                old.mul_(0.99).add_(new, alpha=0.01)

    return {"plain": plain, "nearfar": stepped(method, data.graph)}


def contrast() -> Sides:
    """LightGCL's contrast of a batch of 4,096 among the users of Gowalla, forward and backward."""
    generator = torch.Generator().manual_seed(0)
    given_low, given_own = (0.1 * torch.randn(29_858, 64, generator=generator) for _ in range(2))
    rows = torch.randint(len(given_own), (4096,), generator=generator)

    def plain_loss(low: Tensor, own: Tensor, index: Tensor) -> Tensor:
        chosen = low[index]
        negative = ((chosen @ own.T / 0.2).exp().sum(1) + 1e-8).log().mean()
        return negative - ((chosen * own[index]).sum(1) / 0.2).clamp(-5, 5).mean()

    def side(loss: Callable[..., Tensor]) -> Callable[[], Any]:
        def work() -> None:
            low, own = given_low.clone().requires_grad_(), given_own.clone().requires_grad_()
            loss(low, own, rows).backward()

        return work

    return {"plain": side(plain_loss), "nearfar": side(lambda *given: full_contrast(*given, temperature=0.2))}


def ranking() -> Sides:
    """The 20 best items of every fourth user of Gowalla."""
    from nearfar.recommend.ranking import best_items

    data = load_data("recommend", file("gowalla/gowalla.npz"))
    users, items = data.learn.shape
    rng = np.random.default_rng(0)
    u, i = (rng.normal(size=(n, 64)).astype(np.float32) for n in (users, items))
    rows = np.arange(0, users, 4)

    def plain() -> np.ndarray:
        found = []
        for first in range(0, len(rows), 2048):
            part = rows[first : first + 2048]
            scores = torch.from_numpy(u[part]) @ torch.from_numpy(i).T
            known = data.learn[part].tocoo()
            scores[torch.from_numpy(known.row.astype(np.int64)), torch.from_numpy(known.col.astype(np.int64))] = -1e9
            found.append(scores.topk(20).indices)
        return torch.cat(found).numpy()

    def ours() -> np.ndarray:
        return best_items(u, i, rows, data.learn.indptr, data.learn.indices, 20)[0]

    if not np.array_equal(np.sort(plain()[:100]), np.sort(ours()[:100])):
        raise SystemExit("the two sides rank other items")
    return {"plain": plain, "nearfar": ours}


def scoring() -> Sides:
    """SLAD's rating of the test rows of pendigits: the images of one part after another, and all of a group at once."""
    data = load_data("tabular", file("adbench/pendigits.npz"))
    method = build_method(find("slad"), {"reasons": 0}, data, 0).eval()
    method.begin(data)
    net = method.encoder
    x = method.features(data.test.batch(np.arange(len(data.test))))
    places = {int(size): row for row, size in enumerate(net.sizes.tolist())}

    def plain() -> Tensor:
        targets, found = net.targets(), []
        for group in range(method.groups):
            images = []
            for subset in net.subsets[group]:
                chosen = subset[subset >= 0]
                images.append(x[:, chosen] @ net.maps[places[len(chosen)], :, : len(chosen)].T)
            told = net.last(F.leaky_relu(net.first(torch.stack(images, 1))))[:, :, 0]
            found.append(alignment(told, targets[group].expand_as(told), divergence="release", reduction="none"))
        return torch.stack(found).mean(0)

    def quiet(work: Callable[[], Tensor]) -> Callable[[], Any]:
        return torch.no_grad()(work)

    first, second = quiet(plain)(), quiet(lambda: method.rate(x))()
    if not torch.allclose(first, second, rtol=1e-3, atol=1e-5):
        raise SystemExit("the two sides rate rows otherwise")
    return {"plain": quiet(plain), "nearfar": quiet(lambda: method.rate(x))}


ROWS: dict[str, tuple[str, Callable[[], Sides], float]] = {
    "slad": ("SLAD's scores of pendigits", scoring, 3.0),
    "bgrl": ("BGRL's step on Cora", bgrl, 2.2),
    "grace": ("GRACE's step on Cora", grace, 4.3),
    "ranking": ("full ranking of a quarter of Gowalla's users", ranking, 5.0),
    "lightgcl": ("LightGCL's contrast among Gowalla's users, batch 4,096", contrast, 2.7),
}
"""In words, the two sides, and how many times faster ours is to be."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    results = json.loads(options.json.read_text())["results"] if options.json and options.json.is_file() else {}
    for name in options.rows:
        what, made, target = ROWS[name]
        torch.manual_seed(0)
        sides = made()
        times: dict[str, list[float]] = {side: [] for side in sides}
        for turn in range(options.repeats + 1):
            for side, work in sides.items():
                begun = time.process_time()
                work()
                if turn:  # the first may compile, and fills caches
                    times[side].append(time.process_time() - begun)
        found: dict[str, Any] = {side: round(statistics.median(taken), 4) for side, taken in times.items()}
        faster = found["plain"] / found["nearfar"]
        results[name] = {"what": what, **found, "times faster": round(faster, 2), "target": target}
        print(json.dumps(results[name]), flush=True)
        if options.json:
            environment = {"torch": torch.__version__, "machine": platform.machine(), "threads": 1}
            options.json.write_text(json.dumps({"environment": environment, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
