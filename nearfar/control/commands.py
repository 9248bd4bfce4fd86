"""Commands of agents and solvers: play, data record, data branchings, solve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _play(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar play", description=COMMANDS["play"].help)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--episodes", type=int, default=10, help="how many")
    parser.add_argument("--env", help="another world than the run's own")
    parser.add_argument("--video", type=Path, help="a .mp4 or .gif file to write")
    parser.add_argument("--fps", type=int, default=15, help="pictures a second in the video")
    parser.add_argument("--seed", type=int, default=0, help="of the worlds, and of actions that are drawn")
    parser.add_argument("--drawn", action="store_true", help="draw actions from the policy, not its best ones")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing video")
    options = parser.parse_args(words)
    if options.video is not None:
        _check_video(options.video, options.overwrite)
    from nearfar import workflow
    from nearfar.control.evaluation import judged, play
    from nearfar.control.video import write_video
    from nearfar.control.worlds import world
    from nearfar.system import require

    loaded: tuple[Any, Any, Any] = workflow.load_run(options.run)
    entry, method, run = loaded
    require(method, "acts", entry.slug)
    film = options.video is not None
    beside = 1 if film else min(options.episodes, 20)
    if options.env is None:
        own: Any = workflow.run_data(entry, run.config.get("data", {}))
        where = own.fresh(beside)
    else:
        where = world(options.env, beside)
        unequal = method.spaces.unequal(where.spaces)
        if unequal:
            raise UsageError(f"{options.run} cannot act in {options.env}: they have {unequal}")
    with method.frozen():
        found = play(method, where, options.episodes, seed=options.seed, drawn=options.drawn, pictures=film)
    scores = judged(found)
    for number, (earned, length) in enumerate(zip(found.returns, found.lengths, strict=True)):
        won = "" if found.reached is None else f"  {'reached' if found.reached[number] else 'not reached'}"
        print(f"episode {number + 1}: return {earned:.4g}, {length:.0f} steps{won}")
    print(_summary(where.name, options.episodes, scores))
    if film:
        write_video(found.pictures, options.video, fps=options.fps)
        print(f"{len(found.pictures)} pictures in {options.video}", file=sys.stderr)
    return 0


def _summary(name: str, episodes: int, scores: dict[str, float]) -> str:
    parts = []
    for what in ("success", "return"):
        if what in scores:
            ends = f" [{scores[f'{what} low']:.4g}, {scores[f'{what} high']:.4g}]" if f"{what} low" in scores else ""
            parts.append(f"{what} {scores[what]:.4g}{ends}")
    return f"{name}, {episodes} episodes: {', '.join(parts)}"


def _check_video(path: Path, overwrite: bool) -> None:
    if path.suffix not in (".mp4", ".gif"):
        raise UsageError(f"--video must end in .mp4 or .gif, got {path}")
    if path.exists() and not overwrite:
        raise UsageError(f"{path} exists; choose another name, or give --overwrite")


def _record(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data record", description=COMMANDS["data record"].help)
    parser.add_argument("--env", required=True, help="the world: one of ours, or an id of gymnasium's")
    parser.add_argument("--policy", default="scripted", help="scripted, random, or the folder of a finished run")
    parser.add_argument("--steps", type=int, default=10_000, help="steps, of all environments together")
    parser.add_argument("--envs", type=int, default=8, help="environments side by side")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .npz file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(words)
    writable(options.out, options.overwrite, (".npz",))
    from nearfar.control.data import record
    from nearfar.control.worlds import world

    where = world(options.env, options.envs)
    policy = options.policy if options.policy in ("scripted", "random") else _agent(options.policy, where)
    found = record(where, options.steps, policy=policy, seed=options.seed)
    found.save(options.out)
    print(
        f"{len(found)} episodes, {len(found.rewards) - len(found)} steps, mean return {found.returns().mean():.4g} in "
        f"{options.out}",
        file=sys.stderr,
    )
    return 0


def _branchings(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data branchings", description=COMMANDS["data branchings"].help)
    parser.add_argument("problems", type=Path, nargs="+", help=".mps or .lp files, solved one after another")
    parser.add_argument("--count", type=int, default=1000, help="decisions, of all problems together, at most")
    parser.add_argument("--each", type=int, default=100, help="decisions of one problem, at most")
    parser.add_argument("--ask", type=float, default=0.05, help="probability that a node's decision is asked for")
    parser.add_argument("--plain", action="store_true", help="no presolving, cuts and heuristics, for small problems")
    parser.add_argument("--seconds", type=float, default=3600, help="for one problem, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the nodes that are asked")
    parser.add_argument("-o", "--out", type=Path, required=True, help="a .npz file")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(words)
    writable(options.out, options.overwrite, (".npz",))
    from nearfar.control.data import Branchings
    from nearfar.control.solver import collect, read_problem

    problems = [read_problem(path) for path in options.problems]
    asked = {name: getattr(options, name) for name in ("each", "ask", "plain", "seconds", "seed")}
    found = collect(problems, options.count, **asked)
    if len(found) < 2:
        raise UsageError(
            f"SCIP decided on {len(found)} branchings that were asked for, and at least 2 are needed; give harder "
            "problems, or a greater --ask"
        )
    Branchings(found).save(options.out)
    print(f"{len(found)} decisions in {options.out}", file=sys.stderr)
    return 0


def _solve(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar solve", description=COMMANDS["solve"].help)
    parser.add_argument("problem", type=Path, help="an .mps or .lp file")
    parser.add_argument("--run", type=Path, help="folder of a run that decides on what to branch; SCIP's rules without")
    parser.add_argument("--seconds", type=float, default=3600, help="at most")
    options = parser.parse_args(words)
    from nearfar import workflow
    from nearfar.control.solver import read_problem, solve

    method: Any = None
    if options.run is not None:
        entry, method, _ = workflow.load_run(options.run)
        if not hasattr(method, "logits"):
            raise UsageError(f"{entry.slug} does not decide on what to branch; cambranch does")
    found = solve(read_problem(options.problem), method, seconds=options.seconds)
    value = "none" if found["value"] is None else f"{found['value']:.8g}"
    size = f"{found['nodes']} nodes, {found['seconds']:.2f} s"
    print(f"{found['status']}: value {value}, bound {found['bound']:.8g}, {size}")
    return 0


def _agent(folder: str, where: Any) -> Any:
    """The agent of a run, if it can act there."""
    if not Path(folder).is_dir():
        raise UsageError(f"--policy takes scripted, random or the folder of a finished run, got {folder}")
    from nearfar import workflow
    from nearfar.system import require

    loaded: tuple[Any, Any, Any] = workflow.load_run(folder)
    entry, method, _ = loaded
    require(method, "acts", entry.slug)
    unequal = method.spaces.unequal(where.spaces)
    if unequal:
        raise UsageError(f"{folder} cannot act in {where.name}: they have {unequal}")
    return method


COMMANDS = {
    "play": Command("let an agent play, score it, and film it", _play),
    "data record": Command("record episodes of a policy in a world", _record),
    "data branchings": Command("keep what strong branching decides while SCIP solves problems", _branchings),
    "solve": Command("solve a mixed-integer program, branching as a run says", _solve),
}
