"""Commands on graphs: what a language model is asked about the texts of nodes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError


def _describe(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar describe", description=COMMANDS["describe"].help)
    parser.add_argument("graph", type=Path, help="an .npz file with texts (N,), edge_index (2, E) and perhaps y")
    parser.add_argument("--model", required=True, help="http://host/v1#name, a folder, hf:<model>, or kept answers")
    parser.add_argument("--classes", required=True, help="what texts may be about, with commas between")
    parser.add_argument("-o", "--out", type=Path, required=True, help="an .npz file, for nearfar train gaugllm --data")
    parser.add_argument("--keep", type=Path, help="a .jsonl file of answers, which are asked once")
    parser.add_argument("--seed", type=int, default=0, help="of answers and of the neighbours that are shown")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args([*words])
    writable(options.out, options.overwrite, (".npz",))
    import numpy as np

    from nearfar.common.files import atomic_write
    from nearfar.encoders.language_models import Kept, language_model
    from nearfar.graph import describing
    from nearfar.sources.archives import read_npz

    arrays = read_npz(options.graph)
    texts, edges = arrays.get("texts"), arrays.get("edge_index")
    if texts is None or edges is None or texts.dtype.kind != "U" or texts.ndim != 1 or edges.shape[:1] != (2,):
        raise UsageError(f"{options.graph} must hold texts (N,), strings, and edge_index (2, E); it has {[*arrays]}")
    if edges.size and (edges.dtype.kind not in "iu" or edges.min() < 0 or edges.max() >= len(texts)):
        raise UsageError(f"edge_index of {options.graph} must name nodes 0 to {len(texts) - 1}")
    model = language_model(options.model)
    model = Kept(options.keep, model) if options.keep else model
    classes = [name.strip() for name in options.classes.split(",") if name.strip()]
    if not classes:
        raise UsageError("--classes names none")
    said = [str(text) for text in texts]
    arrays["texts"] = describing.described(model, said, edges, classes, seed=options.seed)
    arrays["removable"], arrays["addable"] = describing.verdicts(model, said, edges, seed=options.seed)
    with atomic_write(options.out) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
    changed = int((arrays["removable"][2] == 0).sum()), int((arrays["addable"][2] == 1).sum())
    print(
        f"{len(said):,} nodes with {arrays['texts'].shape[1]} texts, {changed[0]:,} edges to remove and {changed[1]:,} "
        f"to add in {options.out}",
        file=sys.stderr,
    )
    return 0


COMMANDS = {"describe": Command("let a language model say what nodes are about and which are connected", _describe)}
