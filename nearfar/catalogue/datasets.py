"""Data sets that the library reads, writes or records, where a paper's contribution is the data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A data set of the library.

    Attributes:
        slug: its name in ``nearfar list`` and ``nearfar show``.
        name: its name in prose.
        field: the package it lives in.
        paper: authors, year and arXiv number or venue.
        target: ``module:Class`` of its reader.
        summary: one sentence.
        commands: what to do with it, by what it does.
    """

    slug: str
    name: str
    field: str
    paper: str
    target: str
    summary: str
    commands: tuple[tuple[str, str], ...]


DATA_SETS = (
    DataSet(
        slug="carla4agt",
        name="CARLA-4AGT",
        field="segmentation",
        paper="2024, arXiv 2412.16592",
        target="nearfar.segmentation.data.folder:SceneFolder",
        summary="Street scenes in four appearances with one label map and a configuration that reproduces each.",
        commands=(
            ("train on", "nearfar train aligned-segmentation --data FOLDER"),
            ("check", "nearfar data check FOLDER --classes carla4agt16"),
            ("record", "nearfar data record --town Town10HD --scenes 100 --out FOLDER"),
            ("make small", "nearfar data export street --out FOLDER"),
        ),
    ),
)
