"""R processes that hold a batch in parts give the parameter gradient of one that holds it all, for every loss."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from nearfar import losses
from nearfar.common.distributed import shared_losses
from nearfar.losses.alignment.entropy import ESTIMATORS
from nearfar.losses.contrast.adaptive import NEGATIVES
from nearfar.losses.contrast.polyview import VARIANTS
from nearfar.losses.engine import proxy, sharing, tiles
from nearfar.runs.metrics import read_metrics
from nearfar.training import Method, StepSampler, gather
from tests.ranks import free_port, on_ranks

pytestmark = pytest.mark.ranks

BATCH, DIM = 24, 6


def _info_nce_queue(z: list[Tensor]) -> Tensor:
    queue = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5), dtype=z[0].dtype)
    return losses.info_nce(z[0], z[1], temperature=0.3, negatives=queue, in_batch=False)


def _supervised(z: list[Tensor]) -> Tensor:
    return losses.supcon(torch.cat(z[:2]), torch.arange(2 * len(z[0])) % 5, temperature=0.2)


def _weighted(z: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(6)
    weights = torch.rand(2, len(z[0]), len(z[0]), generator=generator, dtype=z[0].dtype)
    free = losses.weighted_supcon(z[0], z[1], weights[0], temperature=0.3)
    return free + losses.supcon(z[0], weights=weights[1], denominator=weights[0] > 0.3, temperature=0.3)


def _other_keys(z: list[Tensor]) -> Tensor:
    target = torch.arange(len(z[0])).flip(0) // 2
    found = losses.info_nce(z[0], z[1], temperature=0.3, target=target, own_negatives=torch.stack(z[2:], 1))
    shares = torch.rand(len(z[0]), len(z[0]), generator=torch.Generator().manual_seed(2), dtype=z[0].dtype)
    return found + losses.info_nce(z[0], z[1], temperature=0.3, soft_targets=shares)


def _tuples(z: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    orders = torch.stack([torch.randperm(len(z[0]), generator=generator) for _ in range(6)]).view(3, 2, -1)
    return losses.symile(z[:3], temperature=0.1, orders=orders) + losses.symile(z[:2], temperature=0.1)


def _memory(z: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    sample = torch.randint(0, 20, (len(z[0]), 5), generator=generator)
    bank = torch.randn(20, z[0].shape[1], generator=generator, dtype=z[0].dtype)
    return losses.memory_contrast(z[0], bank, sample, temperature=0.5, form="softmax")


def _growing(z: list[Tensor]) -> Tensor:
    queue = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5), dtype=z[0].dtype)
    return _sum(losses.growing_consistency(z[:3], z[3], queue, temperature=0.3, neighbours=2))


def _selective(z: list[Tensor]) -> Tensor:
    bank = torch.randn(20, DIM, generator=torch.Generator().manual_seed(5), dtype=z[0].dtype)
    return losses.selective_contrast(z[0], z[1], bank, temperature=0.3, neighbours=2)


def _swapped_prediction(z: list[Tensor]) -> Tensor:
    codes = [losses.sinkhorn(x, epsilon=0.5) for x in z[:2]]
    return losses.swapped_prediction(z, codes, temperature=0.3)


def _sampled_multicrop(z: list[Tensor]) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    return _sum(losses.relic_multicrop(z[:2], z[2:], temperature=0.3, alpha=2.0, num_negatives=5, generator=generator))


def _dense(z: list[Tensor], negatives: str) -> Tensor:
    g1, g2 = (x.view(len(x), 2, 3) for x in z[:2])  # two cells of three features
    match = torch.eye(2, dtype=torch.bool).expand(len(g1), 2, 2)
    generator = torch.Generator().manual_seed(4)
    return losses.dense_nt_xent(
        g1, g2, match, match, temperature=0.3, negatives=negatives, count=2, cross_view=True, generator=generator
    )


def _sum(terms: dict[str, Tensor]) -> Tensor:
    return torch.stack([*terms.values()]).sum()


CASES: dict[str, Callable[[list[Tensor]], Tensor]] = {
    "info_nce": lambda z: losses.info_nce(z[0], z[1], temperature=0.3),
    "info_nce with a queue": _info_nce_queue,
    "info_nce with hard negatives": lambda z: losses.info_nce(
        z[0], z[1], temperature=0.3, hard_negatives=z[2], hard_negative_bias=0.5
    ),
    "symmetric_info_nce": lambda z: losses.symmetric_info_nce(z[0], z[1], temperature=0.3),
    "nt_xent": lambda z: losses.nt_xent(z[0], z[1], temperature=0.3),
    "composition_contrast": lambda z: losses.composition_contrast(
        z[0], z[1], temperature=0.3, positives=z[2][:, None], negatives=z[3].unflatten(1, (1, -1))
    ),
    "clsr": lambda z: _sum(losses.clsr(z[0], z[1], temperature=0.3, intra_weight=0.5)),
    "margin_nt_xent": lambda z: losses.margin_nt_xent(z[0], z[1], temperature=0.3),
    "margin_nt_xent one way": lambda z: losses.margin_nt_xent(z[0], z[1], temperature=0.3, kind="aam", symmetric=False),
    "grace": lambda z: losses.grace(z[0], z[1], temperature=0.4),
    "graph_contrast": lambda z: losses.graph_contrast(z[0], z[1], symmetric=True),
    "negative_cosine": lambda z: losses.negative_cosine(z[0], z[1]),
    "byol_regression": lambda z: losses.byol_regression(*z),
    "supcon": _supervised,
    "weighted_supcon": _weighted,
    "info_nce with other keys": _other_keys,
    "nt_xent as it is": lambda z: losses.nt_xent(z[0], z[1], temperature=0.9, normalize=False, decoupled=True),
    "barlow_twins": lambda z: losses.barlow_twins(z[0], z[1], lambd=0.01),
    "vicreg": lambda z: _sum(losses.vicreg(z[0], z[1])),
    "sigmoid_pair_loss": lambda z: losses.sigmoid_pair_loss(z[0], z[1], temperature=0.3, bias=-1.0),
    "swapped_prediction": _swapped_prediction,
    "relic_multicrop": lambda z: _sum(losses.relic_multicrop(z[:2], z[2:], temperature=0.3, alpha=2.0)),
    "relic_multicrop sampled": _sampled_multicrop,
    **{
        f"poly_view {variant}": lambda z, variant=variant: losses.poly_view(z, temperature=0.3, variant=variant)  # type: ignore[misc]
        for variant in VARIANTS
    },
    **{
        f"dense_nt_xent {negatives}": lambda z, negatives=negatives: _dense(z, negatives)  # type: ignore[misc]
        for negatives in ("random", "all", "matched")
    },
    "bag_divergence": lambda z: losses.bag_divergence(z[0], z[1].detach().softmax(1)),
    "symile": _tuples,
    "mil_nce": lambda z: losses.mil_nce(torch.stack(z[:2], 1), torch.stack(z[2:4], 1), temperature=0.3),
    "memory_contrast": _memory,
    "growing_consistency": _growing,
    "selective_contrast": _selective,
    "cacr_queue": lambda z: _sum(losses.cacr_queue(z[:2], z[2:4], torch.eye(z[0].shape[1], dtype=z[0].dtype))),
    "cacr_keys": lambda z: losses.cacr_keys(z[:2], z[2:4]),
    "cacr": lambda z: _sum(losses.cacr(z, tau_neg=2.0)),
    **{
        f"amcl {how}": lambda z, how=how: _sum(losses.amcl(*z, low=0.2, high=1.0, negatives=how))  # type: ignore[misc]
        for how in NEGATIVES
    },
    "rotational_equivariance": lambda z: losses.rotational_equivariance(z[0], z[1], group_size=4),
    **{
        f"vmf_entropy {how}": lambda z, how=how: -losses.vmf_entropy(z[0], estimator=how)  # type: ignore[misc]
        for how in ESTIMATORS
    },
    "vmf_reconstruction": lambda z: losses.vmf_reconstruction(z[0], z[1]),
    "discrete_entropy": lambda z: losses.discrete_entropy(z[0].softmax(1)),
    "discrete_reconstruction": lambda z: losses.discrete_reconstruction(z[0].softmax(1), z[1].softmax(1)),
    "mixed_barlow_twins": lambda z: _sum(losses.mixed_barlow_twins(*z, 0.3, lambd=0.01, weight=4.0)),
    **{
        f"relic {mode}": lambda z, mode=mode: _sum(  # type: ignore[misc]
            losses.relic(*z, temperature=0.3, alpha=2.0, kl_mode=mode)
        )
        for mode in ("full", "sg_entropy", "sg_target")
    },
}


# What no case above can prove: the loss is none of the embeddings of a batch, or has no gradient.
WITHOUT_A_CASE = {
    "tempered_contrast": "is a mean over rows that bring their own pairs and temperatures",
    "tempered_regression": "is a mean over rows that bring their own pairs and temperatures",
    "tempered_correlation": "is of one matrix of correlations, which every rank holds whole",
    "neighbour_contrast": "is of all nodes of one graph, which every rank holds whole",
    "student_assignments": "is a prediction for each row by itself; cluster_divergence is the loss",
    "cluster_divergence": "compares each row with its own target; nothing of others enters",
    "memory_normalizer": "is an estimate without gradient",
    "sharpened": "makes targets without gradient",
    "information_hinge": "compares the views of each node; nothing of others enters",
    "weighted_contrast": "is of all nodes of one graph, which every rank holds whole",
    "together_weights": "makes weights without gradient",
    "cluster_contrast": "is of all nodes of one graph, which every rank holds whole",
    "concentration": "is a measurement without gradient",
    "modal_contrast": "compares the rows of whole tables of parameters, which every rank holds",
    "modal_orthogonality": "is of the rows of one rank's batch, as in the released code",
    "masked_contrast": "contrasts within each rank's own batch, whose related pairs it is told",
    "bpr": "compares two scores of each row; nothing of others enters",
    "full_contrast": "compares the rows of whole tables of parameters, which every rank holds",
    "aligned_patch_contrast": "contrasts patches of one picture with a queue; nothing else of the batch enters",
    "masked_reconstruction": "compares each picture with itself; nothing of other images enters",
    "latent_prediction": "compares each picture with itself; nothing of other images enters",
    "masked_tokens": "compares each token with its label; nothing of other examples enters",
    "masked_regions": "compares each picture with itself; nothing of other images enters",
    "normalized_entropy": "is a mean over pixels of predictions",
    "feature_distance": "compares two maps of one image; nothing of other images enters",
    "dense_correspondence": "finds positions, without gradient",
    "pixel_consistency": "compares two maps of one image; nothing of other images enters",
    "pixel_contrast": "compares two maps of one image; nothing of other images enters",
    "prototype_contrast": "draws rows of each rank's own pixels, as the released code; only prototypes are global",
    "relic_kl": "is a measurement without gradient",
    "patch_nce": "contrasts the places of one picture; nothing of other images enters",
    "token_supcon": "contrasts the tokens of one picture; nothing of other images enters",
    "token_phrase_agreement": "compares the tokens and the phrases of one picture; nothing of other images enters",
    "focal_loss": "judges each token by itself",
    "sinkhorn": "makes codes without gradient; swapped_prediction is tested with it",
}


@dataclass(frozen=True)
class Split:
    """How the global batch lies on the ranks, and whether they share the work of the losses."""

    sizes: tuple[int, ...]
    shared: bool

    def __str__(self) -> str:
        return f"{'+'.join(map(str, self.sizes))}{' shared' if self.shared else ''}"

    def mine(self, rank: int, everything: Tensor) -> Tensor:
        return everything.split(self.sizes, dim=1)[rank]


SPLITS = {
    2: [Split((12, 12), False), Split((12, 12), True), Split((5, 19), True)],
    3: [Split((8, 8, 8), False), Split((8, 8, 8), True), Split((4, 13, 7), True)],
}


def _model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 10), nn.Tanh(), nn.Linear(10, DIM)).double()


def _inputs() -> Tensor:
    return torch.randn(4, BATCH, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _gradient(name: str, inputs: Tensor) -> Tensor:
    """The parameter gradient, and the value of the loss behind it."""
    model = _model()
    with shared_losses():
        value = CASES[name]([*gather(*(model(x) for x in inputs))])
    value.backward()
    return torch.cat([*(p.grad.flatten() for p in model.parameters() if p.grad is not None), value.detach().view(1)])


def share_small_matrices() -> None:
    """Let this process share matrices of a dozen rows too, cut into tiny tiles."""
    sharing.LEAST_ENTRIES = {"cpu": 0}
    tiles.SINGLE_TILE_ENTRIES, tiles.TILE = 0, {"cpu": (3, 5)}
    proxy.BLOCK_ENTRIES, proxy.LEAST_ROWS = {"cpu": 0}, 2


class _Pairs(Method):
    """SimCLR without images: the smallest method that gathers."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(8, DIM)

    def loss(self, views: Tensor) -> Tensor:
        return losses.nt_xent(*self.gather(*(self.encoder(view) for view in views)), temperature=0.3)

    def log_dict(self, *args: Any, **kwargs: Any) -> None:
        """There is no trainer to log to."""


def _messages_of_a_training_step(inputs: Tensor) -> list[tuple[str, int]]:
    """Name and bytes sent by this rank of every message, before parameter gradients are averaged."""
    sent: list[tuple[str, int]] = []
    gathers, reduces = dist.all_gather, dist.all_reduce

    def all_gather(parts: list[Tensor], x: Tensor) -> None:
        sent.append(("gather", x.nbytes))
        gathers(parts, x)

    def all_reduce(x: Tensor, op: Any = dist.ReduceOp.SUM) -> None:
        if op != dist.ReduceOp.MIN:  # the check that the loss is finite everywhere
            sent.append(("reduce", x.nbytes))
        reduces(x, op)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dist, "all_gather", all_gather)
        patch.setattr(dist, "all_reduce", all_reduce)
        _Pairs().double().training_step(inputs[:2], 0).backward()
        one_process_alone = losses.nt_xent(*inputs[:2], temperature=0.3)
    assert torch.isfinite(one_process_alone)
    return sent


def _on_a_rank(rank: int, world: int, out: str) -> None:
    found = {}
    for split in sorted(SPLITS[world], key=lambda split: split.shared):
        if split.shared:
            share_small_matrices()
        for name in CASES:
            gradient = _gradient(name, split.mine(rank, _inputs()))
            dist.all_reduce(gradient)
            found[f"{split} {name}"] = gradient / world  # what DistributedDataParallel does
    messages = _messages_of_a_training_step(SPLITS[world][0].mine(rank, _inputs()))
    if rank == 0:
        torch.save({**found, "messages": messages}, out)


@pytest.fixture(scope="module")
def computed(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("ranks")
    for world in SPLITS:
        on_ranks(world, _on_a_rank, world, str(folder / f"{world}.pt"))
    return {world: torch.load(folder / f"{world}.pt", weights_only=True) for world in SPLITS}


@pytest.mark.parametrize("split", [split for splits in SPLITS.values() for split in splits], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_ranks_give_the_gradient_of_one(name: str, split: Split, computed: dict[int, dict[str, Any]]) -> None:
    expected = _gradient(name, _inputs())
    found = computed[len(split.sizes)][f"{split} {name}"]
    assert expected[:-1].norm() > 1e-6
    torch.testing.assert_close(found[-1], expected[-1], rtol=1e-10, atol=1e-12)
    error = (found[:-1] - expected[:-1]).norm() / expected[:-1].norm()
    assert error < 1e-9, f"relative error {error:.2e}"


@pytest.mark.parametrize("world", SPLITS)
def test_messages_of_a_training_step(world: int, computed: dict[int, dict[str, Any]]) -> None:
    both_views = BATCH * 2 * DIM * 8
    assert computed[world]["messages"] == [
        ("gather", 8),  # how many rows each rank has
        ("gather", both_views // world),
        ("reduce", 16),  # fingerprints of the gathered embeddings
        ("reduce", 2 * BATCH * 8),  # forward: a sum for every row
        ("reduce", 16),  # the loss and its only term, for the log
        ("reduce", 2 * BATCH * 8),  # backward: a gradient for every row
        ("reduce", both_views),
    ]


def test_every_loss_of_embeddings_is_tested_here() -> None:
    covered = {name.split()[0] for name in CASES}
    # Families of no embeddings, such as decoding, compare nothing across a batch.
    families = (losses.contrast, losses.alignment, losses.clustering, losses.dense, losses.reconstruction)
    missing = {name for family in families for name in family.__all__} - covered - set(WITHOUT_A_CASE)
    assert not missing, f"give {sorted(missing)} a case in CASES, or a reason in WITHOUT_A_CASE"
    assert covered | set(WITHOUT_A_CASE) <= set(losses.__all__)


def test_every_rank_gets_equally_many_rows_or_the_run_is_refused() -> None:
    for size in (3, 10, 23):
        batches = [[*StepSampler(size, 9, 5, seed=0, rank=rank, world_size=3)] for rank in range(3)]
        assert {len(batch) for of_rank in batches for batch in of_rank} == {min(9, size) // 3}
    with pytest.raises(ValueError, match="2 examples cannot be shared among 3 ranks"):
        StepSampler(2, 9, 5, seed=0, world_size=3)


def test_the_same_command_trains_on_two_processes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(free_port()), "-m", "nearfar", "train", "simclr", "--out", str(tmp_path / "run")]
    command += ["--steps", "4", "--batch-size", "32", "--size", "16", "--projection-hidden", "16"]
    command += ["--accumulate", "2", "--optimization.schedule", "constant", "--optimization.warmup", "0"]
    command += ["--optimization.lr", "0.001", "--optimization.lr_batch", "16"]
    found = subprocess.run(
        command, capture_output=True, text=True, timeout=180, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert found.returncode == 0, found.stderr[-2000:]
    assert found.stderr.count("step 4/4") == 1  # one process speaks
    assert (tmp_path / "run" / "encoder.safetensors").is_file()
    rows = read_metrics(tmp_path / "run" / "metrics.csv")
    assert {row["lr"] for row in rows if "lr" in row} == {0.001 * 64 / 16}
    losses_seen = [row["train/loss"] for row in rows if "train/loss" in row]
    assert losses_seen
    assert all(math.isfinite(loss) for loss in losses_seen)


def _penalty_of_gradients(rank: int, sizes: list[int], out: str) -> None:
    x, w = _rows_and_weights()
    mine = x.split(sizes)[rank].clone().requires_grad_()
    (every,) = gather(mine)
    (slope,) = torch.autograd.grad(
        (every.sum(1) ** 4 * w).sum() + (every[0] * every[-1]).sum() ** 2, mine, create_graph=True
    )
    (slope**2).sum().backward()
    found: list[Any] = [None] * len(sizes)
    dist.all_gather_object(found, mine.grad)
    if rank == 0:
        torch.save(torch.cat(found), out)


def _rows_and_weights() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (torch.randn(5, 3, generator=generator, dtype=torch.float64), torch.rand(5, generator=generator).double())


def test_second_derivatives_go_through_the_ranks(tmp_path: Path) -> None:
    on_ranks(2, _penalty_of_gradients, [2, 3], str(tmp_path / "found.pt"))
    x, w = _rows_and_weights()
    x.requires_grad_()
    # Both ranks ask for the same sum, so that a row's gradient is twice that of one process.
    total = 2 * ((x.sum(1) ** 4 * w).sum() + (x[0] * x[-1]).sum() ** 2)
    (slope,) = torch.autograd.grad(total, x, create_graph=True)
    (expected,) = torch.autograd.grad((slope**2).sum(), x)
    torch.testing.assert_close(torch.load(tmp_path / "found.pt", weights_only=True), expected)
