"""`make docs`: the README's table of speed, from what the benchmarks wrote. Nothing in it is typed by hand."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
MARKS = ("<!-- performance: made by `make docs` -->", "<!-- end of performance -->")
HEAD = "| work | beside | time | target | memory |\n| --- | --- | ---: | ---: | ---: |"
# Work that a promise was made for: (loss, rows, peer) to times as fast and times less memory.
PROMISED = {("nt_xent", 4096, "lightly"): (6, 40), ("nt_xent", 16384, "plain"): (5, 100)}
VIEWS = {(32, False): 30, (96, False): 12, (224, False): 10}
FULL_RECIPE = 8
SMALLEST = 4096


def read(name: str) -> dict[str, Any] | None:
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def losses(found: dict[str, Any]) -> Iterator[str]:
    for row in found["results"]:
        if row["size"] < SMALLEST:
            continue
        ours = row["sides"]["nearfar"]
        for peer, theirs in row["sides"].items():
            if peer.startswith("nearfar"):
                continue
            time, memory = theirs["seconds"] / ours["seconds"], theirs["megabytes"] / ours["megabytes"]
            faster, less = PROMISED.get((row["loss"], row["size"], peer), ("", ""))
            target = f"{faster}x, a {less}th" if faster else ""
            name = {"plain": "the plain formula"}.get(peer, peer)
            work = f"{row['loss'].replace('_', ' ')}, {row['size']:,} rows"
            yield f"| {work} | {name} | {time:.1f}x | {target} | 1/{memory:.0f} |"


def views(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        target = FULL_RECIPE if row["blur"] else VIEWS[row["size"], False]
        blur = "with blur" if row["blur"] else "without blur"
        yield f"| SimCLR views, {row['size']} px, {blur} | lightly | {row['numba_ratio']:.0f}x | {target}x | |"


def folder_views(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        work = f"SimCLR views of JPEG files, {row['folder']} sizes to {row['size']} px"
        yield f"| {work} | lightly | {row['ratio']:.1f}x | {FULL_RECIPE}x | |"


def shards(found: dict[str, Any]) -> Iterator[str]:
    disk, packed = found["packing"]["disk"], found["packing"]["bytes_a_picture"] / 1000
    for row in found["views"]:
        work = (
            f"SimCLR views of camera-size JPEG files, packed to 256 px ({packed:.0f} kB each, {disk:.1%} of the disk)"
        )
        peer = "PIL and lightly's transforms" if "stand-in" in row["peer_is"] else "lightly"
        yield f"| {work}, {row['size']} px | {peer} from the files | {row['shards_ratio']:.0f}x | {FULL_RECIPE}x | |"
    for row in found["steps"]:
        work = f"SimCLR steps at {row['size']} px from shards packed to {row['packed_at']} px, {row['encoder']}"
        yield f"| {work} | the pictures in memory | {1 + row['cost']:.3f} of it | 1.1 | |"


def end_to_end(found: dict[str, Any]) -> Iterator[str]:
    ratio = found["images_per_second"]["cpu"]["ratio"]
    ours, theirs = found["knn"]["nearfar"], found["knn"]["peer"]
    knn = f"kNN {ours['mean']:.3f} ± {ours['std']:.3f} and {theirs['mean']:.3f} ± {theirs['std']:.3f}"
    yield f"| SimCLR on CIFAR-10, images per second ({knn}) | lightly | {ratio:.1f}x | 4x | |"
    yield f"| the same | the bare network on fixed tensors | {found['floor']['cpu']:.0%} | 90% | |"


def startup(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        if row["command"].startswith("nearfar") and "," not in row["command"]:
            yield f"| `{row['command']}` | `import torch` | {row['cpu_of_torch']:.0%} of it | 20% | |"


# Times sentence-transformers' speed that were aimed at, and trl's and the plain loop's, and transformers' own guidance.
TEXTS = {
    ("SimCSE", "32 tokens", "32"): 1.7,
    ("SimCSE", "32 tokens", "bf16"): 1.8,
    ("SimCSE", "mixed", "32"): 3,
    ("SimCSE", "mixed", "bf16"): 4.5,
    ("corpus", "mixed", "32"): 1.25,
    ("corpus", "mixed", "bf16"): 1.2,
}
PREFERENCE = {("32", "trl"): 2.6, ("32", "plain"): 1.7, ("bf16", "trl"): 4.5, ("bf16", "plain"): 1.9}
DECODING = {1: 2.1, 8: 1.4}
PRECISION = {"32": "float32", "bf16": "bf16"}


def texts(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        target = TEXTS.get((row["work"], row["corpus"], row["precision"]), "")
        work = {"SimCSE": "SimCSE of a MiniLM-L6", "corpus": "vectors of a MiniLM-L6"}[row["work"]]
        name = f"{work}, {row['corpus']}, {PRECISION[row['precision']]}"
        yield f"| {name} | sentence-transformers | {row['ratio']:.1f}x | {target and f'{target}x'} | |"


def preference(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        for peer, name in (("trl", "trl"), ("plain", "a plain loop")):
            work = f"DPO of a small Llama, {PRECISION[row['precision']]}"
            target = PREFERENCE[row["precision"], peer]
            yield f"| {work} | {name} | {row[f'ours against {peer}']:.1f}x | {target}x | |"


def decoding(found: dict[str, Any]) -> Iterator[str]:
    for row in found["rows"]:
        work = f"two branches of a small Llama, batch {row['batch']}, float32"
        ratio, target = row["ours against guidance_scale"], DECODING[row["batch"]]
        yield f"| {work} | transformers' `guidance_scale` | {ratio:.1f}x | {target}x | |"


FORMS = {
    "nt-xent": losses,
    "losses": losses,
    "views": views,
    "folder-views": folder_views,
    "shards": shards,
    "end-to-end": end_to_end,
    "text": texts,
    "preference": preference,
    "decoding": decoding,
    "startup": startup,
}


def table() -> str:
    lines = [HEAD]
    for name, form in FORMS.items():
        found = read(name)
        if found is not None:
            lines += form(found)
    return "\n".join(lines)


def main() -> int:
    readme = ROOT / "README.md"
    text = readme.read_text()
    start, end = (re.escape(mark) for mark in MARKS)
    pattern = re.compile(f"{start}.*?{end}", re.DOTALL)
    if not pattern.search(text):
        print(f"{readme} lacks the marks {MARKS[0]} and {MARKS[1]}", file=sys.stderr)
        return 1
    readme.write_text(pattern.sub(lambda _: f"{MARKS[0]}\n{table()}\n{MARKS[1]}", text))
    print(readme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
