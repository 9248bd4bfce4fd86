"""Random changes of whole graphs (GraphCL), made for all graphs of a batch at once."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.graph.data.kinds import WholeGraphs

OPERATORS = ("nodes", "edges", "subgraph", "mask")


def augment(graphs: WholeGraphs, kind: str, ratio: float, generator: torch.Generator | None = None) -> WholeGraphs:
    """A view of every graph by one of :data:`OPERATORS`, or by one drawn for each graph (``random``).

    - ``nodes``: a share of the nodes is left out, with their edges; each graph keeps one or more.
    - ``edges``: a share of the edges is left out, and as many are added between nodes drawn at random.
    - ``subgraph``: what is reached from a random node by adding a random neighbour again and again, until all but a
      share of the nodes are in it, or no neighbour is left.
    - ``mask``: the features of a share of the nodes are set to 0.

    These are the paper's. The released code for TU graphs never adds edges, walks no further than one step, keeps the
    share instead of the rest, and masks by random numbers.

    Args:
        graphs: B graphs.
        kind: an operator, or ``random``.
        ratio: the share, in [0, 1).
        generator: what is drawn from.

    Raises:
        ValueError: an unknown operator, or a ratio out of range.
    """
    if kind not in (*OPERATORS, "random"):
        raise ValueError(f"kind must be one of {', '.join((*OPERATORS, 'random'))}, got {kind!r}")
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio must lie in [0, 1), got {ratio}")
    device = graphs.x.device
    if kind == "random":
        chosen = torch.randint(len(OPERATORS), (len(graphs.sizes),), generator=generator, device=device)
    else:
        chosen = torch.full((len(graphs.sizes),), OPERATORS.index(kind), device=device)
    x, edges = graphs.x, graphs.edge_index
    hidden = _lowest(graphs, ratio, generator) & (chosen == 3)[graphs.graph]
    x = x * ~hidden.unsqueeze(1)
    if (chosen == 1).any():
        edges = _rewired(graphs, chosen == 1, ratio, generator)
    keep = ~(_lowest(graphs, ratio, generator) & (chosen == 0)[graphs.graph])
    if (chosen == 2).any():
        inside = _grown(graphs, ratio, generator)
        keep &= inside | (chosen != 2)[graphs.graph]
    return _only(WholeGraphs(x, edges, graphs.graph, graphs.sizes), keep)


def _lowest(graphs: WholeGraphs, ratio: float, generator: torch.Generator | None) -> Tensor:
    """(N,) bool: of each graph ``floor(ratio * nodes)`` nodes drawn at random, never all."""
    drawn = torch.rand(graphs.num_nodes, generator=generator, device=graphs.x.device)
    order = torch.argsort(graphs.graph + drawn.double() * (1 - 1e-9))
    first = graphs.sizes.cumsum(0) - graphs.sizes
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device) - first[graphs.graph[order]]
    return place < (graphs.sizes * ratio).floor().clamp_max(graphs.sizes - 1)[graphs.graph]


def _rewired(graphs: WholeGraphs, chosen: Tensor, ratio: float, generator: torch.Generator | None) -> Tensor:
    """Edges of all graphs, those of the chosen ones with a share replaced; both directions move together."""
    device = graphs.x.device
    source, target = graphs.edge_index
    moves = chosen[graphs.graph[source]]
    once = source < target
    pairs = graphs.edge_index[:, once & moves]
    leaves = torch.rand(pairs.shape[1], generator=generator, device=device) < ratio
    owner = graphs.graph[pairs[0, leaves]]
    first = (graphs.sizes.cumsum(0) - graphs.sizes)[owner]
    ends = torch.rand(2, len(owner), generator=generator, device=device)
    added = first + (ends * graphs.sizes[owner]).long().clamp_max(graphs.sizes[owner] - 1)
    added = added[:, added[0] != added[1]]
    kept = torch.cat((pairs[:, ~leaves], added), 1)
    return torch.cat((graphs.edge_index[:, ~moves], kept, kept.flip(0)), 1)


def _grown(graphs: WholeGraphs, ratio: float, generator: torch.Generator | None) -> Tensor:
    """(N,) bool: a random connected part of each graph of ``ceil((1 - ratio) * nodes)`` nodes, or all it can reach."""
    device = graphs.x.device
    first = graphs.sizes.cumsum(0) - graphs.sizes
    start = first + (torch.rand(len(first), generator=generator, device=device) * graphs.sizes).long()
    inside = torch.zeros(graphs.num_nodes, dtype=torch.bool, device=device)
    inside[start.minimum(first + graphs.sizes - 1)] = True
    wanted = (graphs.sizes * (1 - ratio)).ceil().long()
    source, target = graphs.edge_index
    owner = graphs.graph[source]
    for _ in range(int(wanted.max()) - 1):
        size = torch.zeros_like(wanted).index_add_(0, graphs.graph, inside.long())
        border = inside[source] & ~inside[target] & (size < wanted)[owner]
        if not border.any():
            break
        # One of each graph's edges that lead out, drawn by the largest random number.
        drawn = torch.rand(int(border.sum()), generator=generator, device=device)
        best = torch.zeros(len(first), device=device).scatter_reduce_(0, owner[border], drawn, "amax")
        inside[target[border][drawn == best[owner[border]]]] = True
    return inside


def _only(graphs: WholeGraphs, keep: Tensor) -> WholeGraphs:
    """The graphs without the nodes that are not kept."""
    if keep.all():
        return graphs
    number = keep.long().cumsum(0) - 1
    edges = graphs.edge_index[:, keep[graphs.edge_index].all(0)]
    count = torch.zeros_like(graphs.sizes).index_add_(0, graphs.graph, keep.long())
    return WholeGraphs(graphs.x[keep], number[edges], graphs.graph[keep], count)
