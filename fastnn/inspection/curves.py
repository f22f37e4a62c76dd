"""Curves of a fit: the loss in several modes, and loss and metrics of one fit by epoch."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from fastnn.inspection.style import (
    COLOURS,
    INK,
    SIZE,
    checked_axes,
    legend,
    new_figure,
    tidy,
)

FEW_EPOCHS = 60


class Record(Protocol):
    """The numbers of a fit, such as a `History`."""

    epoch: list[int]
    history: dict[str, list[float]]
    params: dict[str, Any]

    @property
    def validated(self) -> list[int]:
        """The epochs after which the numbers of validation were taken."""


def loss_curves(histories: Mapping[str, Record], path: str | os.PathLike[str]) -> None:
    """Draw training loss (solid) and validation loss (dashed), over epochs and over seconds.

    Parameters
    ----------
    histories : mapping of str to History
        What to draw, by the name that the legend shows.
    path : path
        The image file; its suffix (.png, .svg, .pdf) decides the format.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    ValueError
        If a history has no epochs, or matplotlib does not know the suffix.
    """
    for name, history in histories.items():
        _refuse_empty(history, f"the history of {name!r}")
    path = os.fspath(path)
    figure = new_figure(10, 4)
    over_epochs, over_seconds = figure.subplots(1, 2, sharey=True)
    for (name, history), colour in zip(histories.items(), COLOURS * len(histories), strict=False):
        record = history.history
        seconds = np.cumsum(record.get("seconds", []))
        _draw(over_epochs, np.arange(1, len(seconds) + 1), history, name, colour)
        _draw(over_seconds, seconds, history, name, colour)
    for axes, label in ((over_epochs, "epochs"), (over_seconds, "seconds of training")):
        axes.set(xlabel=label, xscale="log")
        _plain_ticks(axes.xaxis, (1,))
        if _all_positive(histories.values()):
            axes.set(yscale="log")
            _plain_ticks(axes.yaxis, (1, 2, 5))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    over_epochs.set_ylabel("loss (solid: training, dashed: validation)")
    over_epochs.legend(frameon=False)
    figure.savefig(path)


def _all_positive(histories: Iterable[Record]) -> bool:
    """Whether a logarithmic axis shows every loss that a linear one does."""
    losses = [
        loss
        for history in histories
        for name in ("loss", "val_loss")
        for loss in history.history.get(name, [])
    ]
    return min(losses, default=0.0) > 0 and max(losses) < math.inf


def _plain_ticks(axis: Any, digits: tuple[int, ...]) -> None:
    """Label a logarithmic axis with plain numbers that begin with these digits."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(FormatStrFormatter("%g"))
    axis.set_minor_formatter(NullFormatter())


def _draw(axes: Any, x: Any, history: Record, name: str, colour: str) -> None:
    """One history on one pair of axes; dots for single epochs while there are few."""
    marker = "." if len(x) <= FEW_EPOCHS else ""
    record = history.history
    style = {"color": colour, "marker": marker, "markersize": 5, "linewidth": 1.5}
    axes.plot(x, record.get("loss", []), label=name, **style)
    if "val_loss" in record:
        axes.plot(
            x[np.isin(history.epoch, history.validated)],
            record["val_loss"],
            linestyle=(0, (4, 2)),
            alpha=0.8,
            **style,
        )


def _refuse_empty(history: Record, name: str) -> None:
    if not history.epoch:
        raise ValueError(
            f"{name} holds no epochs, so there is nothing to draw; train first, e.g. "
            f"history = model.fit(X, y, epochs=10)"
        )


# ---- loss and metrics of one fit ----------------------------------------------------------------

NOT_MEASURES = ("seconds", "samples_per_second", "learning_rate", "clipped_steps")


def history_curves(history: Record, ax: Any = None) -> Any:
    """Draw loss and metrics by epoch, training solid, validation dashed, the best epoch marked.

    Parameters
    ----------
    history : History
        What `fit` returned.
    ax : Axes, or two of them, optional
        Where to draw; two for loss and metrics. Unless given, a new figure.

    Returns
    -------
    Axes, or tuple of two
        The second if there are metrics, unless a single Axes was given for all.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If the history has no epochs, or `ax` is none.
    """
    if not hasattr(history, "epoch") or not hasattr(history, "history"):
        raise TypeError(
            f"history is {type(history).__name__}; expected what model.fit(X, y) returns"
        )
    _refuse_empty(history, "the history")
    metrics = [
        name for name in history.history
        if name not in (*NOT_MEASURES, "loss") and not name.startswith("val_")
    ]  # fmt: skip
    panels = _panels(ax, bool(metrics))
    best = _best_epoch(history)
    _measures(panels[0], history, ["loss"], best)
    if metrics:
        _measures(panels[-1], history, metrics, best)
    tidy(panels[0], ylabel="loss" if len(panels) > 1 or not metrics else "loss and metrics")
    tidy(
        panels[-1], xlabel="epoch", ylabel=panels[0].get_ylabel() if len(panels) == 1 else "metrics"
    )
    panels[0].set_title(_title(history, best), fontsize=SIZE + 1)
    for panel in panels:
        legend(panel)
    return panels[0] if len(panels) == 1 else tuple(panels)


def _panels(ax: Any, has_metrics: bool) -> list[Any]:
    if ax is None:
        figure = new_figure(6, 5.6 if has_metrics else 4.2)
        return list(figure.subplots(1 + has_metrics, 1, sharex=True, squeeze=False).flat)
    given = list(np.ravel(ax)) if isinstance(ax, tuple | list | np.ndarray) else [ax]
    return [checked_axes(one) for one in given[: 1 + has_metrics]]


def _best_epoch(history: Record) -> tuple[str, int, float]:
    """What is lowest, at which epoch: the loss of validation if there is one."""
    name = "val_loss" if history.history.get("val_loss") else "loss"
    epochs = history.validated if name == "val_loss" else history.epoch
    values = history.history[name]
    place = int(np.nanargmin(values)) if np.isfinite(values).any() else 0
    return name, epochs[place], values[place]


def _measures(ax: Any, history: Record, names: list[str], best: tuple[str, int, float]) -> None:
    """The curves of some names, of training and validation."""
    for name, colour in zip(names, COLOURS * len(names), strict=False):
        x = np.array(history.epoch) + 1
        marker = "." if len(x) <= FEW_EPOCHS else ""
        style = {"color": colour, "linewidth": 1.8, "marker": marker}
        ax.plot(x, history.history[name], label=name, **style)
        if validation := history.history.get(f"val_{name}"):
            x = np.array(history.validated) + 1
            ax.plot(x, validation, label=f"val_{name}", linestyle=(0, (4, 2)), **style)
    ax.axvline(best[1] + 1, color=INK, linewidth=1, linestyle=":")
    if best[0].removeprefix("val_") in names:
        ax.plot([best[1] + 1], [best[2]], marker="o", markersize=7, color=INK, fillstyle="none",
                linestyle="none")  # fmt: skip


def _title(history: Record, best: tuple[str, int, float]) -> str:
    mode = history.params.get("mode", "")
    said = f"best {best[0]} {best[2]:.4g}, epoch {best[1] + 1}"
    return f"{mode}: {said}" if mode else said
