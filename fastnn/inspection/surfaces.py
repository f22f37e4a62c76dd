"""The cost over a plane of weights, and the paths that gradient descent takes on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnn.data.rows import Array
from fastnn.inspection.style import (
    COLOURS,
    INK,
    MARKERS,
    SIZE,
    axes_or_new,
    legend,
    new_figure,
    tidy,
)

Cost = Callable[[Array], float]  # of all weights in one row; infinite where it overflows

GRID, LEVELS = 41, 14
MARGIN = 0.25  # of the extent of the paths, around them
SPAN = 2.0  # around the present weights if there are no paths
FEW_STEPS = 60  # that are marked one by one


@dataclass(frozen=True)
class Plane:
    """Two directions in the space of all weights, through a centre.

    Attributes
    ----------
    centre : array of shape (n_weights,)
    directions : array of shape (2, n_weights)
        Of length 1, at right angles.
    labels : tuple of str
        Of the two axes.
    offsets : tuple of float
        What is added to the coordinates: the weights at the centre, if the axes are two of them.
    share : float
        How much of the paths' spread lies in the plane.
    """

    centre: Array
    directions: Array
    labels: tuple[str, str]
    offsets: tuple[float, float] = (0.0, 0.0)
    share: float = 1.0

    def coordinates(self, points: Array) -> Array:
        """Points, shape (n, n_weights), as places in the plane, shape (n, 2)."""
        places: Array = (points - self.centre) @ self.directions.T + np.array(self.offsets)
        return places

    def weights(self, place: Array) -> Array:
        """The weights at a place."""
        found: Array = self.centre + (place - np.array(self.offsets)) @ self.directions
        return found


def plane_of_weights(centre: Array, places: Sequence[int], labels: tuple[str, str]) -> Plane:
    """The plane of two single weights."""
    directions = np.zeros((2, centre.size))
    directions[[0, 1], places] = 1
    return Plane(centre, directions, labels, (float(centre[places[0]]), float(centre[places[1]])))


def principal_plane(paths: Sequence[Array]) -> Plane:
    """The plane through the paths' mean that holds as much of their spread as a plane can."""
    points = np.concatenate(paths).astype(np.float64)
    centre = points.mean(axis=0)
    _, sizes, directions = np.linalg.svd(points - centre, full_matrices=False)
    if len(directions) < 2 or sizes[0] == 0:
        raise ValueError(
            "the paths do not spread over a plane: record more steps, or choose two weights, e.g. "
            "weights=('W1[0,0]', 'b1[0]')"
        )
    share = float((sizes[:2] ** 2).sum() / (sizes**2).sum())
    return Plane(centre, directions[:2], ("first direction", "second direction"), share=share)


@dataclass(frozen=True)
class Surface:
    """Costs on a grid of a plane: x (n,), y (n,), costs (n, n) with one row for each y."""

    x: Array
    y: Array
    costs: Array

    @property
    def lowest(self) -> tuple[float, float, float]:
        """The place of the lowest cost, and the cost."""
        row, column = np.unravel_index(int(np.nanargmin(self.costs)), self.costs.shape)
        return float(self.x[column]), float(self.y[row]), float(self.costs[row, column])


def surface(plane: Plane, cost: Cost, places: Array | None, size: int = GRID) -> Surface:
    """The costs around some places of the plane, or around its centre."""
    if places is None:
        low, high = np.array(plane.offsets) - SPAN, np.array(plane.offsets) + SPAN
    else:
        low, high = places.min(axis=0), places.max(axis=0)
        margin = MARGIN * np.maximum(high - low, 0.2 * float((high - low).max()) or 1.0)
        low, high = low - margin, high + margin
    x, y = (np.linspace(low[i], high[i], size) for i in (0, 1))
    costs = [[cost(plane.weights(np.array([a, b]))) for a in x] for b in y]
    return Surface(x, y, np.array(costs))


# ---- drawing ------------------------------------------------------------------------------------


def drawn_surface(
    plane: Plane, found: Surface, cost: Cost, places: Mapping[str, Array], kind: str, ax: Any
) -> Any:
    """A surface with paths on it, as contours or in three dimensions."""
    is_3d = kind == "3d"
    ax = axes_or_new(ax, **({"projection": "3d"} if is_3d else {}))
    if is_3d and not hasattr(ax, "plot_surface"):
        raise ValueError(
            "kind='3d' needs Axes in three dimensions, e.g. figure.add_subplot(projection='3d')"
        )
    draw = _draw_3d if is_3d else _draw_contours
    draw(ax, found)
    for i, (name, path) in enumerate(places.items()):
        heights = [_heights(plane, path, cost)] if is_3d else []
        _draw_path(ax, np.column_stack([path, *heights]), name, i, is_first=i == 0)
    lowest = found.lowest if is_3d else found.lowest[:2]
    ax.plot(*([value] for value in lowest), "*", color=INK, markersize=13, label="lowest point",
            markeredgecolor="white", linestyle="none", zorder=5)  # fmt: skip
    title = (
        "cost" if plane.share > 0.9995 else f"cost (the plane holds {plane.share:.0%} of the paths)"
    )
    tidy(ax, title, *plane.labels, grid=False)
    if is_3d:
        ax.set_zlabel("L", fontsize=SIZE)
        ax.view_init(elev=35, azim=-60)
        ax.tick_params(labelsize=SIZE - 3)
        ax.locator_params(nbins=4)
    legend(ax, loc="upper left" if is_3d else "best")
    return ax


def _heights(plane: Plane, path: Array, cost: Cost) -> Array:
    """The surface's costs where the points of a path lie in the plane."""
    return np.array([cost(plane.weights(place)) for place in path])


def _levels(costs: Array) -> Array:
    """Contours that divide the plane into pieces of about the same size."""
    finite = costs[np.isfinite(costs)]
    levels = np.unique(np.quantile(finite, np.linspace(0, 1, LEVELS)))
    return levels if len(levels) > 1 else np.array([levels[0], levels[0] + 1])


def _draw_contours(ax: Any, found: Surface) -> None:
    levels = _levels(found.costs)
    costs = np.where(np.isfinite(found.costs), found.costs, levels[-1])
    ax.contourf(found.x, found.y, costs, levels=levels, cmap="Greys", alpha=0.55)
    ax.contour(found.x, found.y, costs, levels=levels, colors="white", linewidths=0.6)


def _draw_3d(ax: Any, found: Surface) -> None:
    top = float(np.quantile(found.costs[np.isfinite(found.costs)], 0.98))
    costs = np.where(np.isfinite(found.costs), np.minimum(found.costs, top), top)
    x, y = np.meshgrid(found.x, found.y)
    ax.plot_surface(x, y, costs, cmap="Greys", alpha=0.55, linewidth=0, rstride=1, cstride=1)


def _draw_path(ax: Any, points: Array, name: str, number: int, *, is_first: bool) -> None:
    """A path with its steps, and a ring where it begins."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    few = len(points) <= FEW_STEPS
    ax.plot(*points.T, color=colour, linewidth=1.8, label=name, marker="." if few else "",
            markersize=5, zorder=3)  # fmt: skip
    ax.plot(*points[-1:].T, color=colour, marker=marker, markersize=8, markeredgecolor="white",
            linestyle="none", zorder=4)  # fmt: skip
    start = {"label": "initial weights"} if is_first else {}
    ax.plot(*points[:1].T, color=INK, marker="o", markersize=9, fillstyle="none", zorder=4,
            markeredgewidth=1.6, linestyle="none", **start)  # fmt: skip


def drawn_slope(
    x: Array,
    costs: Array,
    points: Array,
    heights: Array,
    slope: float,
    rate: float,
    label: str,
    ax: Any,
) -> Any:
    """The cost against one weight, with the tangent, the step, and the points of the descent."""
    ax = axes_or_new(ax)
    w, L = points[0], heights[0]
    ax.plot(x, costs, color=INK, linewidth=2)
    reach = 0.3 * (x[-1] - x[0])
    tangent = np.array([w - reach, w + reach])
    ax.plot(tangent, L + slope * (tangent - w), color=COLOURS[1], linewidth=1.8,
            label=f"tangent: dL/dw = {slope:.3g}")  # fmt: skip
    low, high = float(np.min(costs)), float(np.max(costs))
    base = low - 0.12 * (high - low)
    ax.annotate(
        "",
        (points[1], base),
        (w, base),
        arrowprops={
            "arrowstyle": "-|>",
            "color": COLOURS[0],
            "linewidth": 2,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
    ax.plot([], [], color=COLOURS[0], linewidth=2,
            label=f"step: -{rate:g} · dL/dw = {points[1] - w:.3g}")  # fmt: skip
    for place, height in ((w, L), (points[1], heights[1])):
        ax.plot([place, place], [base, height], color=COLOURS[0], linewidth=1, linestyle=":")
    ax.plot(points, heights, color=COLOURS[2], marker="o", markersize=6, linewidth=1.2,
            label="gradient descent")  # fmt: skip
    ax.set_ylim(base - 0.08 * (high - low), high + 0.08 * (high - low))
    ax.set_xlim(x[0], x[-1])
    tidy(ax, "gradient descent in one weight", label, "cost L")
    legend(ax)
    return ax


def animated(
    draw: Callable[[Any, int], None], n_frames: int, path: str | os.PathLike[str], seconds: float
) -> None:
    """Write frames that `draw(axes, frame)` draws as a GIF, the last one a while longer."""
    figure = new_figure(5, 3.8)
    figure.set_dpi(100)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas: Any = FigureCanvasAgg(figure)
    frames = []
    for frame in range(n_frames):
        figure.clear()
        draw(figure.add_subplot(), frame)
        canvas.draw()
        image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
        frames.append(image.quantize(96))
    duration = [int(1000 * seconds / n_frames)] * (n_frames - 1) + [1500]
    frames[0].save(
        os.fspath(path), save_all=True, append_images=frames[1:], duration=duration, loop=0
    )
