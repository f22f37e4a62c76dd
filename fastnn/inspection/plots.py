"""Pictures of training; needs matplotlib, which is imported only here."""

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np

# Three hues that stay apart for colour-blind readers (Okabe and Ito), then others of theirs.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
FEW_EPOCHS = 60


class Record(Protocol):
    """The numbers of a fit, such as a `History`."""

    epoch: list[int]
    history: dict[str, list[float]]

    @property
    def validated(self) -> list[int]:
        """The epochs after which the numbers of validation were taken."""


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ImportError("pictures need matplotlib: pip install matplotlib") from None
    return Figure(figsize=(10, 4), dpi=150, layout="constrained")


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
        if not history.epoch:
            raise ValueError(
                f"the history of {name!r} holds no epochs, so there is nothing to draw; train "
                f"first, e.g. history = model.fit(X, y, epochs=10)"
            )
    path = os.fspath(path)
    figure = _figure()
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
