"""GRACE: contrast between two corruptions of a graph beats its raw features and the untrained network."""

from __future__ import annotations

from nearfar.graph.data import load
from nearfar.graph.data.node_graph import NodeGraph
from nearfar.graph.evaluation import evaluate, probe
from nearfar.reproductions.arms import arm, build, shared
from nearfar.reproductions.harness import Claim, Reproduction
from nearfar.training import Optimization

CORA = shared("cora/cora.npz")


def graph() -> NodeGraph:
    """Cora where the shared data is present, otherwise the generated citation graph."""
    found = load(CORA) if CORA else load()
    assert isinstance(found, NodeGraph)
    return found


def run(seed: int) -> dict[str, dict[str, float]]:
    data = graph()
    released = Optimization("adam", lr=5e-4, weight_decay=1e-5, schedule="constant", decay_all=True)
    raw = data.graph.x.numpy()
    assert data.labels is not None
    return {
        "grace": arm("grace", data, seed, lambda m: evaluate(m, data, seed=seed), optimization=released),
        "untrained": evaluate(build("grace", data, seed).eval(), data, seed=seed),
        "raw features": {"probe 10% labels": probe(raw, data.labels, seed=seed)},
    }


REPRODUCTION = Reproduction(
    run=run,
    seeds=3,
    setting=f"""{"Cora (2,708 papers)" if CORA else "A generated citation graph of 1,500 nodes"}, the released
    settings for Cora: widths 256 and 128, temperature 0.4, 200 steps, Adam 5e-4. Probe: one-vs-rest logistic
    regression on a random tenth of the nodes, three divisions per seed.""",
    claims=(
        Claim("GRACE beats the untrained network", "grace", "untrained", "probe 10% labels", role="sanity"),
        Claim("GRACE beats raw features", "grace", "raw features", "probe 10% labels"),
        Claim(
            "GRACE beats the untrained network by more than 3 points",
            "grace",
            "untrained",
            "probe 10% labels",
            margin=0.03,
            role="sanity",
        ),
    ),
)
