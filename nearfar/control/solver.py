"""Branch and bound by SCIP: what it knows at a node, what strong branching decides, and a policy instead of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.common.extras import needed
from nearfar.control.data.branchings import Branchings, Decision, together

LEAST_GAIN, MOST_GAIN = 1e-6, 1e9
_KINDS = {"BINARY": 0, "INTEGER": 1, "IMPLINT": 2, "CONTINUOUS": 3}
_BASIS = {"lower": 0, "basic": 1, "upper": 2, "zero": 3}


def scip() -> Any:
    """PySCIPOpt, whose package brings SCIP along."""
    return needed("pyscipopt", "solver", "Branching")


def node(model: Any) -> tuple[Decision, list[Any]]:
    """The linear program at the node that ``model`` branches on, without scores, and its candidates as variables."""
    columns, rows = model.getLPColsData(), model.getLPRowsData()
    cost = np.array([c.getObjCoeff() for c in columns])
    norm = float(np.linalg.norm(cost)) or 1.0
    solved = model.getNLPs() + 5
    best = model.getBestSol() if model.getNSols() else None
    inside = np.zeros((len(columns), 19), np.float32)
    for c, column in enumerate(columns):
        variable, value = column.getVar(), column.getPrimsol()
        low, high = column.getLb(), column.getUb()
        bounded = not model.isInfinity(-low), not model.isInfinity(high)
        inside[c, _KINDS[variable.vtype()]] = 1
        inside[c, 4] = cost[c] / norm
        inside[c, 5:9] = [*bounded, bounded[0] and abs(value - low) < 1e-6, bounded[1] and abs(value - high) < 1e-6]
        inside[c, 9] = 0 if variable.vtype() == "CONTINUOUS" else model.feasFrac(value)
        inside[c, 10 + _BASIS[column.getBasisStatus()]] = 1
        inside[c, 14:17] = model.getVarRedcost(variable) / norm, column.getAge() / solved, value
        inside[c, 17:] = np.nan if best is None else (model.getSolVal(best, variable), variable.getAvgSol())
    sides: list[list[float]] = []
    edges, weights = [], []
    for row in rows:
        size = row.getNorm() or 1.0
        at, values = [c.getLPPos() for c in row.getCols()], np.array(row.getVals())
        cosine = float(values @ cost[at]) / (size * norm)
        activity = sum(v * columns[c].getPrimsol() for c, v in zip(at, values, strict=True)) + row.getConstant()
        for side, sign in ((row.getLhs(), -1.0), (row.getRhs(), 1.0)):
            if model.isInfinity(sign * side):
                continue
            bias = sign * (side - row.getConstant()) / size
            tight, dual = abs(activity - side) < 1e-6, sign * row.getDualsol() / (size * norm)
            edges.append(np.stack([at, np.full(len(at), len(sides))]))
            weights.append(sign * values / size)
            sides.append([sign * cosine, bias, tight, dual, row.getAge() / solved])
    candidates = model.getLPBranchCands()[0]
    places = {column.getVar().name: c for c, column in enumerate(columns)}
    found = Decision(
        inside,
        np.array(sides, np.float32).reshape(-1, 5),
        np.concatenate(edges, 1).astype(np.int64) if edges else np.zeros((2, 0), np.int64),
        np.concatenate(weights).astype(np.float32) if weights else np.zeros(0, np.float32),
        np.array([places[v.name] for v in candidates], np.int64),
        np.zeros(len(candidates), np.float32),
    )
    return found, candidates


def strong(model: Any, candidates: list[Any], iterations: int = 200) -> np.ndarray | None:
    """(K,) the product of both children's gains in the bound, at least 1e-6 each; ``None`` where the linear programs
    could not be solved."""
    here = model.getLPObjVal()
    scores = []
    model.startStrongbranch()
    try:
        for variable in candidates:
            down, up, _, _, down_empty, up_empty, _, _, failed = model.getVarStrongbranch(
                variable, iterations, idempotent=True
            )
            if failed:
                return None
            gains = [
                MOST_GAIN if empty else min(max(bound - here, LEAST_GAIN), MOST_GAIN)
                for bound, empty in ((down, down_empty), (up, up_empty))
            ]
            scores.append(gains[0] * gains[1])
    finally:
        model.endStrongbranch()
    return np.array(scores, np.float32)


def follow(model: Any, decide: Callable[[Any], Any]) -> None:
    """Let ``decide(model)`` give the variable to branch on; where it gives ``None``, SCIP's own rules decide."""
    package = scip()

    class Rule(package.Branchrule):  # type: ignore[name-defined, misc]
        def branchexeclp(self, allowaddcons: bool) -> dict[str, Any]:
            found = decide(self.model)
            if found is None:
                return {"result": package.SCIP_RESULT.DIDNOTRUN}
            self.model.branchVar(found)
            return {"result": package.SCIP_RESULT.BRANCHED}

    model.includeBranchrule(Rule(), "nearfar", "decided outside", priority=10**8, maxdepth=-1, maxbounddist=1.0)


def quiet(model: Any, *, plain: bool) -> Any:
    """No cuts below the root and no restarts; with ``plain`` no presolving, cuts, heuristics and conflicts at all."""
    package = scip()
    model.hideOutput()
    model.setParam("separating/maxrounds", 0)
    model.setParam("presolving/maxrestarts", 0)
    if plain:
        for part in (model.setPresolve, model.setSeparating, model.setHeuristics):
            part(package.SCIP_PARAMSETTING.OFF)
        model.setParam("conflict/enable", False)
        model.setParam("propagating/maxroundsroot", 0)
        model.setParam("propagating/maxrounds", 0)
    return model


def collect(
    problems: Iterable[Any],
    count: int,
    *,
    ask: float = 0.05,
    each: int = 100,
    plain: bool = False,
    seconds: float = 3600.0,
    seed: int = 0,
) -> list[Decision]:
    """Decisions of strong branching while SCIP solves problems, one after another.

    Args:
        problems: SCIP models, not yet solved.
        count: how many decisions, at most.
        ask: probability that a node's decision is asked for; SCIP's pseudo-costs make the others.
        each: decisions of one problem, at most.
        plain: see :func:`quiet`.
        seconds: for one problem, at most.
        seed: of the nodes that are asked.
    """
    if count < 1 or each < 1 or not 0 < ask <= 1:
        raise ValueError(f"count and each must be at least 1 and ask in (0, 1], got {count}, {each} and {ask}")
    rng = np.random.default_rng(seed)
    found: list[Decision] = []
    for model in problems:
        end = min(len(found) + each, count)

        def decide(model: Any, end: int = end) -> Any:
            if rng.random() >= ask or len(found) >= end:
                return None
            seen, candidates = node(model)
            scores = strong(model, candidates) if candidates else None
            if scores is None:
                return None
            found.append(seen._replace(scores=scores))
            if len(found) >= end:
                model.interruptSolve()
            return candidates[int(scores.argmax())]

        follow(quiet(model, plain=plain), decide)
        model.setParam("branching/pscost/priority", 10**7)
        model.setParam("limits/time", seconds)
        model.optimize()
        if len(found) >= count:
            break
    return found


def solve(model: Any, method: Any, *, seconds: float = 3600.0, plain: bool = False) -> dict[str, Any]:
    """Branch and bound where a trained method decides on what to branch; SCIP's own rules with ``None``."""
    import torch

    def decide(model: Any) -> Any:
        seen, candidates = node(model)
        if not candidates:
            return None
        with method.frozen():
            logits = method.logits(together([seen]))
        return candidates[int(torch.argmax(logits))]

    quiet(model, plain=plain)
    if method is not None:
        follow(model, decide)
    model.setParam("limits/time", seconds)
    model.optimize()
    return {
        "status": model.getStatus(),
        "nodes": model.getNTotalNodes(),
        "seconds": model.getSolvingTime(),
        "value": model.getObjVal() if model.getNSols() else None,
        "bound": model.getDualbound(),
    }


def read_problem(path: Path) -> Any:
    """A problem of an ``.mps`` or ``.lp`` file, compressed or not."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    model = scip().Model()
    model.hideOutput()
    try:
        model.readProblem(str(path))
    except Exception as error:
        raise ValueError(f"SCIP cannot read {path} as a problem; accepted are .mps and .lp files") from error
    return model


def set_cover(
    rng: np.random.Generator, rows: int = 60, columns: int = 120, share: float = 0.06
) -> tuple[np.ndarray, np.ndarray]:
    """Costs (columns,) and which column covers which row (rows, columns); every row is covered at least twice."""
    covers = rng.random((rows, columns)) < share
    covers[np.arange(rows)[:, None], rng.random((rows, columns)).argsort(1)[:, :2]] = True
    return rng.integers(1, 101, columns).astype(float), covers


def covering(costs: np.ndarray, covers: np.ndarray, shifts: np.ndarray | None = None) -> Any:
    """The cheapest cover as a problem for SCIP, its variables moved by whole numbers (columns,)."""
    package = scip()
    model = package.Model()
    moved = np.zeros(len(costs)) if shifts is None else shifts
    variables = [
        model.addVar(f"x{c}", "B" if shifts is None else "I", obj=float(cost), lb=float(s), ub=float(s + 1))
        for c, (cost, s) in enumerate(zip(costs, moved, strict=True))
    ]
    for row in covers:
        at = np.flatnonzero(row)
        model.addCons(package.quicksum(variables[c] for c in at) >= 1 + float(moved[at].sum()))
    return model


@lru_cache(maxsize=4)
def set_cover_branchings(count: int) -> Branchings:
    """Decisions in random set-cover problems, and half as many in other ones that are held out."""

    def made(count: int, seed: int, held_out: Branchings | None) -> Branchings:
        rng = np.random.default_rng(seed)
        problems = (covering(*set_cover(rng)) for _ in range(10 * count))
        found = collect(problems, count, ask=1.0, each=8, plain=True, seed=seed)
        return Branchings(found, name="set-cover", held_out=held_out)

    return made(count, 0, made(max(count // 2, 2), 1, None))
