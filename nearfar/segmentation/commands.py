"""Commands on folders of scenes: data check, stats, export, record, render; on pictures: count."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.cli.words import writable
from nearfar.common.parsers import Parser
from nearfar.system import Command, UsageError

SCENES = ("rgb", "leftImg8bit", "rgb_anon", "trainannot", "train_labels.npz")
"""What a folder of scenes, in our layout or a published one, has in it."""
FLAGS = ("--classes", "--stored", "--image-paths", "--label-paths")


def _names_scenes(words: Sequence[str]) -> bool:
    flags = any(word.partition("=")[0] in FLAGS for word in words)
    return flags or any((Path(word) / name).exists() for word in words for name in SCENES)


def _parse_check(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data check", description=COMMANDS["data check"].help)
    parser.add_argument("path", type=Path, help="folder of scenes, or a published data set")
    parser.add_argument("--classes", help="set that labels may use, for example carla4agt16")
    _add_layout(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return _check(parser.parse_args(words))


def _add_layout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stored", default="cityscapes19", help="set in whose numbers labels are stored")
    parser.add_argument("--image-paths", help="where pictures are: a pattern with {scene} and {appearance}")
    parser.add_argument("--label-paths", help="where label maps are: a pattern with {scene}")


def _layout(options: argparse.Namespace) -> dict[str, Any]:
    given = {"image_paths": options.image_paths, "label_paths": options.label_paths, "stored": options.stored}
    return {name: value for name, value in given.items() if value is not None}


def _check(options: argparse.Namespace) -> int:
    from nearfar.segmentation.data.checker import check

    report = check(options.path, classes=options.classes, **_layout(options))
    if options.json:
        findings = [vars(finding) for finding in report.findings]
        print(json.dumps({"scenes": report.scenes, "appearances": report.appearances, "findings": findings}))
    else:
        for finding in report.findings:
            print(finding)
        count = len(report.findings) or "no"
        print(f"{report.scenes} scenes in {', '.join(report.appearances) or 'no appearance'}: {count} findings")
    return 1 if report.findings else 0


def _parse_stats(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data stats", description=COMMANDS["data stats"].help)
    parser.add_argument("path", type=Path, help="folder of scenes")
    _add_layout(parser)
    return _stats(parser.parse_args(words))


def _stats(options: argparse.Namespace) -> int:
    from nearfar.segmentation.data import SceneFolder
    from nearfar.segmentation.data.statistics import count_classes, write_statistics

    folder = SceneFolder(options.path, **_layout(options))
    paths = [each.label for each in folder.files if each.label is not None]
    counts = count_classes(map(folder.stored_label, paths))
    write_statistics(options.path, paths, counts)
    print(f"{len(paths)} label maps counted in {options.path}", file=sys.stderr)
    return 0


def _parse_export(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data export", description=COMMANDS["data export"].help)
    parser.add_argument("name", choices=["street"], help="the embedded set")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--scenes", type=int, default=160, help="number of scenes for training; 40 more for validation")
    parser.add_argument("--size", type=int, default=128, help="height in pixels; the width is twice that")
    return _export(parser.parse_args(words))


def _export(options: argparse.Namespace) -> int:
    from nearfar.segmentation.data import Scenes, load
    from nearfar.segmentation.data.writing import write_scenes

    train = load(options.name, size=options.size, scenes=options.scenes)
    for split, part in (("train", train), ("val", train.splits()["seen appearances"])):
        assert isinstance(part, Scenes)
        names = write_scenes(part, options.out, split)
        print(f"{len(names)} scenes for {split} in {options.out}", file=sys.stderr)
    return 0


def _parse_record(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data record", description=COMMANDS["data record"].help)
    parser.add_argument("--town", default="Town10HD", help="name of the map")
    parser.add_argument("--scenes", type=int, default=100, help="number of scenes to record")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files; scenes in it are kept")
    parser.add_argument("--seed", type=int, default=0, help="seed of traffic, walkers and choices")
    parser.add_argument("--vehicles", type=int, default=60, help="number of other vehicles")
    parser.add_argument("--walkers", type=int, default=40, help="number of walkers")
    parser.add_argument("--width", type=int, default=2048, help="of the pictures, in pixels")
    parser.add_argument("--height", type=int, default=1024, help="of the pictures, in pixels")
    parser.add_argument("--fov", type=float, default=90.0, help="horizontal field of view in degrees")
    _add_server(parser)
    return _record(parser.parse_args(words))


def _add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="where the server runs")
    parser.add_argument("--port", type=int, default=2000, help="the server's port")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the server")


def _record(options: argparse.Namespace) -> int:
    from nearfar.segmentation.recorder.record import record_scenes
    from nearfar.segmentation.recorder.simulator import Camera, Simulator

    for name in ("scenes", "width", "height"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1, got {getattr(options, name)}")
    camera = Camera(width=options.width, height=options.height, fov=options.fov)
    with Simulator(options.host, options.port, timeout=options.timeout) as simulator:
        simulator.open(options.town, camera, seed=options.seed)
        simulator.populate(vehicles=options.vehicles, walkers=options.walkers)
        names = record_scenes(simulator, options.out, options.scenes, say=_say)
    print(f"{len(names)} scenes in {options.out}; check them with: nearfar data check {options.out}", file=sys.stderr)
    return 0


def _parse_render(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar data render", description=COMMANDS["data render"].help)
    parser.add_argument("configs", type=Path, nargs="+", help="configuration files of scenes")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    _add_server(parser)
    return _render(parser.parse_args(words))


def _render(options: argparse.Namespace) -> int:
    from nearfar.segmentation.recorder.config import SceneConfig
    from nearfar.segmentation.recorder.record import render_from_config
    from nearfar.segmentation.recorder.simulator import Simulator

    configs = {path.stem: SceneConfig.read(path) for path in options.configs}
    with Simulator(options.host, options.port, timeout=options.timeout) as simulator:
        for scene, config in configs.items():
            render_from_config(simulator, config, options.out, scene)
            _say(f"{scene}: rendered")
    return 0


def _count(words: Sequence[str]) -> int:
    parser = Parser(prog="nearfar count", description=COMMANDS["count"].help)
    parser.add_argument("run", help="a finished run's folder")
    parser.add_argument("pictures", nargs="+", type=Path, help="files")
    parser.add_argument("--phrase", action="append", required=True, help="what to count; may be given several times")
    parser.add_argument("-o", "--out", type=Path, help="a .csv or .parquet file for every point that was found")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    options = parser.parse_args(list(words))
    if options.out is not None:
        writable(options.out, options.overwrite, (".csv", ".parquet"))
    from nearfar import workflow
    from nearfar.cli.verbs import write_columns
    from nearfar.segmentation.counting.counted import count_in, table, trained_size
    from nearfar.segmentation.methods.c_rex import CREX

    entry, method, run = workflow.load_run(options.run)
    if not isinstance(method, CREX):
        raise UsageError(f"{entry.slug} counts nothing; train c-rex")
    found = count_in(method, options.pictures, options.phrase, trained_size(run.config.get("data", {})))
    for each in found:
        print(f"{each.picture}\t{each.phrase}\t{len(each.points)}")
    if options.out is not None:
        write_columns(options.out, table(found))
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


COMMANDS = {
    "count": Command("how many objects of a picture a phrase names, by a finished run", _count),
    "data check": Command(
        "decode every file and list what cannot be used; code 1 for any",
        _parse_check,
        default=True,
        meant=_names_scenes,
    ),
    "data stats": Command("count the pixels of each class, and say which samples have it", _parse_stats, default=True),
    "data export": Command("write embedded scenes into files, labels and splits too", _parse_export, default=True),
    "data record": Command("record scenes in four appearances with a CARLA server", _parse_record, default=True),
    "data render": Command("render recorded scenes again with a CARLA server", _parse_render, default=True),
}
