"""Embedding on a Ray cluster: the files of a folder are the rows of a Ray Data pipeline, workers make them."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from nearfar.common.extras import needed
from nearfar.evaluation.embeddings.shards import Shards
from nearfar.training.embed import Written, make_part
from nearfar.workflow.embedding import embedder


def embed_on_ray(described: dict[str, Any], shards: Shards, *, workers: int = 0) -> Written:
    """Make the files of ``shards`` that are missing, on the cluster that ``RAY_ADDRESS`` names or on this machine.

    A worker opens the run once and makes file after file, each of which appears whole or not at all. Ray starts a
    worker anew that was killed, and gives what it was making to another; what had appeared already is left. So every
    row is there once, whichever workers or machines are lost, and a whole cluster that was lost is called again.
    Machines have to see the run, the data and the folder under the same names.

    Args:
        described: what :func:`nearfar.workflow.embedding.embedder` takes.
        shards: the folder.
        workers: how many, a GPU each where there are any and otherwise a processor; as many as there are when 0.

    Raises:
        ImportError: Ray is not installed. ValueError: more workers are asked for than the cluster has room for.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray: Any = needed("ray", "ray", "--engine ray")
    ray_data: Any = needed("ray.data", "ray", "--engine ray")
    ours = not ray.is_initialized()
    if ours:
        local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers or None, "include_dashboard": False}
        ray.init(log_to_driver=False, logging_level="ERROR", **local)
    try:
        there = ray.cluster_resources()
        gpus = int(there.get("GPU", 0))
        room = gpus or int(there.get("CPU", 1))
        if workers > room:
            raise ValueError(
                f"{workers} workers are asked for, and the cluster has {room} {'GPUs' if gpus else 'processors'}; give "
                "--workers fewer"
            )
        parts = [{"start": part.start, "stop": part.stop} for part in shards.missing()]
        ray_data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells every plan and where its logs are
        made = ray_data.from_items(parts, override_num_blocks=min(len(parts), 4096)).map_batches(
            Worker,
            fn_constructor_args=(described, shards, str(Path.cwd())),
            batch_size=1,
            compute=ray_data.ActorPoolStrategy(size=min(workers or room, len(parts))),
            num_cpus=0 if gpus else 1,
            num_gpus=1 if gpus else 0,
        )
        for _ in made.iter_rows():
            pass
    finally:
        if ours:
            ray.shutdown()
    return Written(*shards.shape())


class Worker:
    """One process of the cluster, with the run open: parts of the collection in, files out."""

    def __init__(self, described: dict[str, Any], shards: Shards, folder: str) -> None:
        import torch

        if Path(folder).is_dir():  # names of runs and data may be relative to where the command was given
            os.chdir(folder)
        _, self.method, self.data = embedder(**described)
        if torch.cuda.is_available():
            self.method.cuda()
        self.ids = self.data.ids
        self.shards = shards

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for start, stop in zip(batch["start"].tolist(), batch["stop"].tolist(), strict=True):
            make_part(self.method, self.data, self.shards, slice(start, stop), self.ids)
        return batch
