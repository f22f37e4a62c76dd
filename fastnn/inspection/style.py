"""How pictures look: one style, colours that colour-blind readers can tell apart, large letters.

matplotlib is imported here, when the first picture is drawn, and never its `pyplot`: pictures need
no display and change no global settings.
"""

from typing import Any

# Okabe and Ito's colours; the first three stay apart for all colour-blind readers.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "o^sDvP"
POSITIVE, NEGATIVE = COLOURS[0], COLOURS[1]
INK, FAINT = "#222222", "#BBBBBB"
SIZE = 11  # points: in a picture of 6 inches readable at 400 pixels
WIDTH, HEIGHT = 6.0, 4.2  # inches of a single picture


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Any:
    """An empty figure, or an error that says how to get matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError(
            'pictures need matplotlib: pip install "fastnn-cpu[plot]"', name="matplotlib"
        ) from None
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def axes_or_new(ax: Any, **settings: Any) -> Any:
    """The Axes given, or those of a new figure; what is no Axes is refused."""
    if ax is None:
        return new_figure().add_subplot(**settings)
    return checked_axes(ax)


def checked_axes(ax: Any) -> Any:
    """The Axes given; what is none is refused."""
    if not hasattr(ax, "plot") or not hasattr(ax, "get_figure"):
        raise TypeError(
            f"ax is {type(ax).__name__}; expected Axes of matplotlib, e.g. of "
            f"figure, ax = matplotlib.pyplot.subplots()"
        )
    return ax


def tidy(ax: Any, title: str = "", xlabel: str = "", ylabel: str = "", *, grid: bool = True) -> Any:
    """Labels, a faint grid, no box; returns the Axes."""
    ax.set_title(title, fontsize=SIZE + 1)
    ax.set_xlabel(xlabel, fontsize=SIZE)
    ax.set_ylabel(ylabel, fontsize=SIZE)
    ax.tick_params(labelsize=SIZE - 1)
    if grid:
        ax.grid(alpha=0.3)
    for side in ("top", "right"):
        if side in ax.spines:
            ax.spines[side].set_visible(False)
    return ax


def legend(ax: Any, **settings: Any) -> None:
    """A legend without a box, if anything has a name."""
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=SIZE - 1, **settings)
