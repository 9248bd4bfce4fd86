"""Charts by Bokeh, as its JSON: the page's script draws them with the library that the page carries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MOST_POINTS = 600
"""Of a line; longer ones keep the lowest and the highest point of every stretch."""

COLOURS = ("#2f5fd0", "#d9731a", "#2e8b57", "#a64ca6", "#b8860b", "#c0392b", "#1a8fa6", "#7a5c3e")
"""Of the runs, this one first."""

# fmt: off
LABELS = (
    "#2f5fd0", "#d9731a", "#2e9b57", "#c0392b", "#8a56c2", "#8c6239", "#d46aa8", "#1a9fb3", "#b5a51d", "#5b7f95",
    "#7ba7f0", "#f2b26b", "#8fd3a5", "#f0948a", "#c3a5e6", "#c9a98a", "#f0b3d2", "#8fd8e3", "#ddd37a", "#a9bcc8",
)
# fmt: on
"""Of the labels on a map; further ones are grey."""

GREY = "#8a93a3"
ZONES = {"bad": "#d64545", "poor": "#e0a030", "good": "#3fa66b"}


@dataclass(frozen=True)
class Line:
    """One run's values of one measure.

    Attributes:
        run: its name.
        steps, values: (n,) of equal length, finite.
        colour: its place among the runs.
    """

    run: str
    steps: np.ndarray
    values: np.ndarray
    colour: int = 0

    @property
    def untrained(self) -> float | None:
        return float(self.values[0]) if len(self.steps) and self.steps[0] == 0 else None


def library() -> str:
    """Bokeh's script, which the page carries."""
    import bokeh

    return (Path(bokeh.__file__).parent / "server" / "static" / "js" / "bokeh.min.js").read_text(encoding="utf-8")


def thinned(steps: np.ndarray, values: np.ndarray, most: int = MOST_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` points that have the ends of a line and the extremes of its stretches."""
    if len(steps) <= most:
        return steps, values
    kept = {0, len(steps) - 1}
    for part in np.array_split(np.arange(len(steps)), (most - 2) // 2):
        kept |= {int(part[values[part].argmin()]), int(part[values[part].argmax()])}
    rows = np.array(sorted(kept))
    return steps[rows], values[rows]


def honest_range(values: Sequence[float], *, share: bool = False) -> tuple[float, float]:
    """The ends of an axis on which a small change looks small.

    It begins at 0 where the values come from a wide range above it, and otherwise spans at least a fifth of what the
    values are, so that noise fills no chart. A share's axis is [0, 1].
    """
    if share:
        return 0.0, 1.0
    low, high = float(min(values)), float(max(values))
    if low >= 0 and low < 0.6 * high:
        return 0.0, high * 1.08
    size = max(abs(low), abs(high), 1e-9)
    missing = max(0.2 * size - (high - low), 0.0) / 2
    edge = 0.06 * (high - low + 2 * missing)
    low, high = low - missing - edge, high + missing + edge
    return (low, high) if math.isfinite(low) and math.isfinite(high) and high > low else (low - 1, low + 1)


def curve(name: str, lines: Sequence[Line], *, share: bool = False, healthy: float | None = None) -> dict[str, Any]:
    """A chart of one measure over the steps, of one run or several, with each one's untrained level.

    Args:
        name: of the measure, for the axis.
        lines: of the runs.
        share: the axis is [0, 1].
        healthy: the level below which the measure is not healthy any more; what lies under it is tinted.
    """
    from bokeh.models import HoverTool
    from bokeh.models.annotations.geometry import BoxAnnotation, Span

    every = np.concatenate([line.values for line in lines])
    low, high = honest_range([*every, *([] if healthy is None else [healthy])], share=share)
    figure = _figure(
        tools="pan,box_zoom,xwheel_zoom,reset",
        active_drag="box_zoom",
        x_axis_label="step",
        y_range=(low, high),
        height=230,
    )
    if healthy is not None:
        zone: dict[str, Any] = {"fill_color": ZONES["bad"], "fill_alpha": 0.09, "line_alpha": 0, "level": "underlay"}
        figure.add_layout(BoxAnnotation(top=healthy, **zone))
    hovered = []
    for line in lines:
        steps, values = thinned(line.steps, line.values)
        source = {"x": steps.tolist(), "y": values.tolist(), "run": [line.run[:60]] * len(steps)}
        colour = COLOURS[line.colour % len(COLOURS)]
        drawn = figure.line("x", "y", source=source, color=colour, line_width=2, line_join="round", name=line.run[:60])
        figure.scatter("x", "y", source=drawn.data_source, color=colour, size=4 if len(steps) < 60 else 1.5)
        hovered.append(drawn)
        if line.untrained is not None:
            level: dict[str, Any] = {
                "dimension": "width",
                "line_color": colour,
                "line_dash": "dotted",
                "line_alpha": 0.7,
            }
            figure.add_layout(Span(location=line.untrained, **level))
    figure.add_tools(
        HoverTool(
            renderers=hovered,
            mode="vline",
            point_policy="snap_to_data",
            line_policy="nearest",
            tooltips=[*([("run", "@run")] if len(lines) > 1 else []), ("step", "@x{0,0}"), (name[:40], "@y{0.0000}")],
        )
    )
    return as_json(figure)


def forest(rows: Sequence[tuple[str, float, float, float]], *, label: str) -> dict[str, Any]:
    """Differences with their intervals around the line of none, one a row from the top.

    Args:
        rows: (name, difference, low, high); an infinite end is drawn to the chart's edge.
        label: of the axis.
    """
    from bokeh.models import HoverTool
    from bokeh.models.annotations.geometry import Span

    names = [f"{name[:48]}{' ' * i}" for i, (name, *_) in enumerate(rows)]  # rows of one name are told apart
    ends = np.array([[low, high, mean] for _, mean, low, high in rows], dtype=float)
    finite = ends[np.isfinite(ends)]
    reach = max(float(np.abs(finite).max()) if finite.size else 0.0, 1e-6) * 1.15
    ends = np.clip(ends, -reach, reach)
    figure = _figure(
        tools="xpan,xwheel_zoom,reset",
        active_drag=None,
        x_axis_label=label,
        x_range=(-reach, reach),
        y_range=names[::-1],
        height=56 + 30 * len(rows),
    )
    figure.add_layout(Span(location=0, dimension="height", line_color=GREY, line_dash="dashed"))
    sure = [COLOURS[0] if low > 0 else ZONES["bad"] if high < 0 else GREY for _, _, low, high in rows]
    table = {
        "y": names,
        "x": ends[:, 2].tolist(),
        "low": ends[:, 0].tolist(),
        "high": ends[:, 1].tolist(),
        "colour": sure,
        "said": [f"{mean:+.4g} [{low:+.4g}, {high:+.4g}]" for _, mean, low, high in rows],
    }
    figure.segment("low", "y", "high", "y", source=table, color="colour", line_width=2.5)
    dots = figure.scatter("x", "y", source=dict(table), color="colour", size=10)
    figure.add_tools(HoverTool(renderers=[dots], tooltips=[("", "@y"), ("difference", "@said")]))
    return as_json(figure)


def _figure(**options: Any) -> Any:
    from bokeh.plotting import figure

    found = figure(
        sizing_mode="stretch_width",
        toolbar_location="above",
        output_backend="canvas",
        min_border_right=12,
        min_border_left=4,
        background_fill_color=None,
        border_fill_color=None,
        **options,
    )
    found.toolbar.logo = None
    found.toolbar.autohide = True
    found.outline_line_color = None
    found.xgrid.grid_line_color = None
    for axis in (found.xaxis, found.yaxis):
        axis.minor_tick_line_color = None
        axis.axis_label_text_font_style = "normal"
        axis.major_label_text_font_size = "11px"
        axis.axis_label_text_font_size = "11px"
    return found


def as_json(model: Any) -> dict[str, Any]:
    """A model as the page's script takes it."""
    from bokeh.embed import json_item

    return {**json_item(model)}


def scatter(table: Mapping[str, Sequence[Any]], *, pictures: tuple[int, int] | None = None) -> dict[str, Any]:
    """A map of examples, one a point, that shows the one under the mouse.

    Args:
        table: columns ``x``, ``y``, ``id``, ``label``, ``text``, ``colour``, ``alpha``, and ``left`` and ``top``, where
            its thumbnail lies in the page's sheet of them.
        pictures: pixels of a thumbnail's side and of the sheet's width, as shown; ``None`` where there are none.
    """
    from bokeh.models import HoverTool, TapTool

    figure = _figure(
        tools="pan,box_zoom,wheel_zoom,reset", active_drag="pan", height=460, match_aspect=True, name="map"
    )
    figure.axis.visible = False
    figure.grid.visible = False
    dots = figure.scatter(
        "x",
        "y",
        source=dict(table),
        size=8,
        fill_color="colour",
        fill_alpha="alpha",
        line_color=None,
        selection_line_color="#ff8c1a",
        selection_line_width=4,
        selection_fill_alpha=1.0,
        nonselection_fill_alpha="alpha",
        nonselection_line_color=None,
    )
    side, width = pictures or (0, 0)
    drawing = (
        f'<div style="width:{side}px;height:{side}px;background-image:var(--sheet);background-size:{width}px auto;'
        'background-position:@{left}px @{top}px;image-rendering:pixelated"></div>'
        if pictures
        else ""
    )
    words = (
        '<div style="max-width:240px;white-space:normal"><b>@label</b> @text <span style="opacity:.7">@id</span></div>'
    )
    figure.add_tools(
        HoverTool(renderers=[dots], tooltips=drawing + words, point_policy="follow_mouse", attachment="horizontal"),
        TapTool(renderers=[dots]),
    )
    return as_json(figure)
