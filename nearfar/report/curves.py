"""Line charts as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WIDTH, HEIGHT, LEFT, BOTTOM = 320, 150, 46, 18


def curve(points: Sequence[tuple[float, float]]) -> str:
    """A line chart of (step, value) with its range written at the axes."""
    values = np.array(points, dtype=np.float64)
    (x0, y0), (x1, y1) = values.min(0), values.max(0)
    span_x, span_y = max(x1 - x0, 1e-12), max(y1 - y0, 1e-12)
    xs = LEFT + (values[:, 0] - x0) / span_x * (WIDTH - LEFT - 6)
    ys = 6 + (y1 - values[:, 1]) / span_y * (HEIGHT - BOTTOM - 12)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    floor = HEIGHT - BOTTOM
    return (
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' width='100%' role=img>"
        f"<line x1={LEFT} y1={floor} x2={WIDTH} y2={floor} stroke='var(--line)'/>"
        f"<polyline points='{path}' fill=none stroke='var(--accent)' stroke-width=1.8 stroke-linejoin=round />"
        f"<text x={LEFT - 6} y=14 text-anchor=end>{y1:.3g}</text>"
        f"<text x={LEFT - 6} y={floor} text-anchor=end>{y0:.3g}</text>"
        f"<text x={LEFT} y={HEIGHT - 4}>{x0:.0f}</text>"
        f"<text x={WIDTH - 2} y={HEIGHT - 4} text-anchor=end>step {x1:.0f}</text></svg>"
    )
