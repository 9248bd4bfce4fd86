"""`make bench`: every benchmark, or those named, each with its table and its JSON in ``results/``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Script and arguments of each; those on request take long or need a machine that not everyone has.
BENCHMARKS = {
    "losses": ["losses.py"],
    "nt-xent": ["losses.py", "--losses", "nt_xent", "--sizes", "4096", "16384", "--threads", "2"],
    "loss-model": ["loss_model.py"],
    "ranks": ["ranks.py"],
    "communication": ["communication.py"],
    "views": ["views.py"],
    "folder-views": ["folder_views.py"],
    "shards": ["shards.py"],
    "scaling": ["scaling.py"],
    "startup": ["startup.py"],
    "end-to-end": ["end_to_end.py"],
    "gradient-cache": ["gradient_cache.py"],
    "embedding": ["embedding.py"],
    "inverted": ["inverted.py"],
    "control": ["control.py"],
    "log-mel": ["log_mel.py"],
    "text": ["text.py"],
    "preference": ["preference.py"],
    "decoding": ["decoding.py"],
    "lengths": ["lengths.py"],
}
ON_REQUEST = {
    "photos": ["photos.py"],
    "cranfield": ["cranfield.py", "--epochs", "2"],
    "relational": ["relational.py"],
    "series": ["series.py", "--sizes", "8x200", "8x1000", "32x1000"],
    "large-graph": ["large_graph.py"],
    "losses-65536": ["losses.py", "--losses", "nt_xent", "--sizes", "65536", "--ours", "--estimate"],
    "gpu-losses": ["gpu_losses.py"],
    "embedding-million": ["embedding.py", "--rows", "1000000", "--whole"],
}


def main() -> int:
    known = BENCHMARKS | ON_REQUEST
    chosen = sys.argv[1:] or list(BENCHMARKS)
    for name in chosen:
        if name not in known:
            print(f"there is no benchmark {name!r}; there are {', '.join(known)}", file=sys.stderr)
            return 2
    out = HERE / "results"
    out.mkdir(exist_ok=True)
    for name in chosen:
        script, *arguments = known[name]
        command = [sys.executable, str(HERE / script), *arguments, "--json", str(out / f"{name}.json")]
        code = subprocess.call(command)
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
