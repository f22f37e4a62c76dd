"""Pictures of a network itself: its units and weights, its first layer, its decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastnn.data.rows import Array
from fastnn.inspection.style import (
    COLOURS,
    INK,
    MARKERS,
    NEGATIVE,
    POSITIVE,
    SIZE,
    axes_or_new,
    legend,
    new_figure,
    tidy,
)

MOST_UNITS = 9  # of a layer that are drawn; of more the first and the last, and a gap
THICKEST = 3.0  # points of the largest weight
REGION_COLOURS = 0.25  # how strong


def shown_units(n_units: int) -> list[int | None]:
    """Which units of a layer are drawn; None is the gap."""
    if n_units <= MOST_UNITS:
        return list(range(n_units))
    half = MOST_UNITS // 2
    return [*range(half), None, *range(n_units - half, n_units)]


def _heights(units: Sequence[int | None]) -> dict[int, float]:
    """Where each unit is drawn, from top to bottom."""
    middle = (len(units) - 1) / 2
    return {unit: middle - i for i, unit in enumerate(units) if unit is not None}


def network_diagram(
    weights: Sequence[Array],
    names: Mapping[int, str],
    activations: Sequence[str],
    ax: Any,
    *,
    title: str,
    backward: bool = False,
) -> Any:
    """Units as rings, the numbers between them as lines: colour is the sign, width the size.

    weights are arrays of shape (n_in, n_out), layer by layer; names are those of inputs.
    """
    ax = axes_or_new(ax)
    sizes = [weights[0].shape[0], *(W.shape[1] for W in weights)]
    heights = [_heights(shown_units(n)) for n in sizes]
    for k, W in enumerate(weights):
        largest = float(np.abs(W).max()) or 1.0
        for i, low in heights[k].items():
            for j, high in heights[k + 1].items():
                value = float(W[i, j]) / largest
                ax.plot([k, k + 1], [low, high], color=POSITIVE if value > 0 else NEGATIVE,
                        linewidth=THICKEST * abs(value), alpha=0.25 + 0.65 * abs(value), zorder=1,
                        solid_capstyle="round")  # fmt: skip
    tallest = max(map(len, heights))
    for k, units in enumerate(heights):
        ring = max(4.0, 20.0 - tallest)
        ax.plot([k] * len(units), list(units.values()), "o", markersize=ring, color="white",
                markeredgecolor=INK, markeredgewidth=1.4, zorder=2)  # fmt: skip
        if len(units) < sizes[k]:
            ax.text(k, 0, "⋮", ha="center", va="center", fontsize=SIZE + 4)
        kind = "inputs" if k == 0 else activations[k - 1]
        bottom = -max(sizes_drawn / 2 for sizes_drawn in map(len, heights)) - 0.3
        ax.text(k, bottom, f"{sizes[k]}\n{kind}", ha="center", va="top", fontsize=SIZE - 1)
    for unit, height in heights[0].items():
        if unit in names:
            ax.text(-0.15, height, names[unit], ha="right", va="center", fontsize=SIZE - 2)
    arrow = "<|-" if backward else "-|>"
    top = max(len(units) for units in heights) / 2 + 0.4
    ax.annotate("", (len(weights), top), (0, top),
                arrowprops={"arrowstyle": arrow, "color": INK, "linewidth": 1.2})  # fmt: skip
    for sign, colour in (("positive", POSITIVE), ("negative", NEGATIVE)):
        ax.plot([], [], color=colour, linewidth=2, label=sign)
    ax.set_ylim(bottom - 1.6, top + 0.6)
    ax.set_xlim(-0.6, len(weights) + 0.4)
    ax.set_title(title, fontsize=SIZE + 1)
    ax.set_axis_off()
    legend(ax, loc="upper center", ncols=2, bbox_to_anchor=(0.5, 0.02))
    return ax


def two_panels() -> list[Any]:
    """Two pairs of axes, one above the other."""
    return list(new_figure(6, 8).subplots(2, 1))


def filters(W: Array, shape: tuple[int, int], n_shown: int, ax: Any) -> Any:
    """The weights of each unit as an image of its inputs, side by side."""
    ax = axes_or_new(ax)
    n_units = min(n_shown, W.shape[1])
    columns = int(np.ceil(np.sqrt(n_units)))
    rows = -(-n_units // columns)
    height, width = shape
    picture = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for unit in range(n_units):
        top, left = unit // columns * (height + 1), unit % columns * (width + 1)
        picture[top : top + height, left : left + width] = W[:, unit].reshape(shape)
    largest = float(np.nanmax(np.abs(picture))) or 1.0
    image = ax.imshow(picture, cmap="RdBu", vmin=-largest, vmax=largest, interpolation="nearest")
    bar = ax.get_figure().colorbar(image, ax=ax, shrink=0.8)
    bar.ax.tick_params(labelsize=SIZE - 2)
    shown = f"{n_units} of {W.shape[1]}" if n_units < W.shape[1] else f"all {n_units}"
    ax.set_title(f"weights of {shown} units", fontsize=SIZE + 1)
    ax.set_axis_off()
    return ax


def regions(
    x: Array, y: Array, answers: Array, points: Array, labels: Array, names: Sequence[str],
    axis_names: Sequence[str], ax: Any,
) -> Any:  # fmt: skip
    """Which class a network gives at each place, and the rows with their own classes."""
    from matplotlib.colors import ListedColormap

    ax = axes_or_new(ax)
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(names))]
    levels = np.arange(len(names) + 1) - 0.5
    ax.contourf(x, y, answers, levels=levels, cmap=ListedColormap(colours), alpha=REGION_COLOURS)
    if len(names) > 1:
        ax.contour(x, y, answers, levels=levels[1:-1], colors=INK, linewidths=1.2)
    for i, name in enumerate(names):
        chosen = points[labels == i]
        ax.plot(*chosen.T, MARKERS[i % len(MARKERS)], color=colours[i], markersize=5, label=name,
                markeredgecolor="white", markeredgewidth=0.6, linestyle="none")  # fmt: skip
    tidy(ax, "decisions", *axis_names, grid=False)
    legend(ax)
    return ax


def heights_map(
    x: Array, y: Array, answers: Array, points: Array, targets: Array, axis_names: Sequence[str],
    ax: Any,
) -> Any:  # fmt: skip
    """The number that a network gives at each place, and the rows with their own."""
    ax = axes_or_new(ax)
    low = float(min(answers.min(), targets.min()))
    high = float(max(answers.max(), targets.max())) or low + 1
    levels = np.linspace(low, high if high > low else low + 1, 15)
    drawn = ax.contourf(x, y, answers, levels=levels, cmap="cividis", alpha=0.85)
    ax.scatter(*points.T, c=targets, cmap="cividis", vmin=levels[0], vmax=levels[-1], s=18,
               edgecolors="white", linewidths=0.6)  # fmt: skip
    ax.get_figure().colorbar(drawn, ax=ax).ax.tick_params(labelsize=SIZE - 2)
    return tidy(ax, "predictions", *axis_names, grid=False)
