"""What a fit did, epoch by epoch."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 5  # first and last epochs in a table


@dataclass(repr=False)
class History:
    """The record of a fit, with Keras's names.

    Attributes
    ----------
    history : dict of str to list of float
        One number for each finished epoch: ``"loss"``, each metric, both again as ``"val_..."`` if
        there was validation data (for each validated epoch, with ``validation_freq``), and
        ``"seconds"`` (of training, callbacks within the epoch and the wait for chunks included,
        validation not) and ``"samples_per_second"``;
        ``"learning_rate"``, that of the epoch's last step, unless the optimiser has none;
        ``"clipped_steps"``, the number of steps whose gradient was clipped, if the optimiser clips.

        The loss is the running mean of the epoch, sum_i w_i l_i / n with each l_i taken before the
        update of its step; so are the metrics. Validation numbers are taken after the epoch.
    epoch : list of int
        The numbers of the epochs, from `initial_epoch` on, 0 as a rule.
    params : dict
        epochs, steps (weight updates in an epoch), samples, mode, batch_size, seed, verbose,
        initial_epoch, validation_freq, and metrics: the names of all numbers recorded, each with
        the direction in which it gets better, "min", "max", or "" if nobody knows. Of rows in
        chunks steps is `steps_per_epoch`, samples None, and mode and batch_size are those of the
        first.
    monitored : dict of str to list of float
        What callbacks have measured after each epoch, such as `GradientMonitor`.
    """

    params: dict[str, Any] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    history: dict[str, list[float]] = field(default_factory=dict)
    monitored: dict[str, list[float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """How many epochs, and what the losses were in the first and the last."""
        n = len(self.epoch)
        parts = [f"{n} epoch{'s' * (n != 1)}"]
        for name in ("loss", "val_loss"):
            if values := self.history.get(name):
                last = f" -> {_shown(values[-1])}" * (len(values) > 1)
                parts.append(f"{name} {_shown(values[0])}{last}")
        return f"History({', '.join(parts)})"

    def last(self) -> dict[str, float]:
        """What was recorded of the last epoch, which need not have been validated."""
        validated = self.validated[-1:] == self.epoch[-1:]
        last = {}
        for name, values in self.history.items():
            if values and (validated or not name.startswith("val_")):
                last[name] = values[-1]
        return last

    def _epochs_of(self, name: str) -> list[int]:
        """The epochs that have a number of that name."""
        return self.validated if name.startswith("val_") else self.epoch

    @property
    def validated(self) -> list[int]:
        """The epochs after which the numbers of validation were taken, if there are any."""
        every = self.params.get("validation_freq", 1)
        return [epoch for epoch in self.epoch if (epoch + 1) % every == 0]

    def to_dict(self) -> dict[str, Any]:
        """A copy in plain dictionaries, lists and numbers, for JSON and the like.

        Returns
        -------
        dict
            "params", "epoch", "history" and "monitored", as the attributes.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="zeros")])
        >>> model.compile(loss="mean_squared_error")
        >>> record = model.fit([[1.0]], [1.0], epochs=1).to_dict()
        >>> record["epoch"], record["history"]["loss"]
        ([0], [1.0])
        """
        return asdict(self)

    def _repr_html_(self) -> str:
        """A table of the first and the last epochs, counted from 1, for notebooks."""
        columns = {
            name: dict(zip(self._epochs_of(name), values, strict=False))
            for name, values in self.history.items()
        }
        lines = [_line("td", _cells(epoch, columns.values())) for epoch in self.epoch]
        if len(lines) > 2 * SHOWN + 1:  # in place of a single row a gap would save nothing
            gap = _line("td", ["&#8230;"] * (1 + len(columns)))
            lines = [*lines[:SHOWN], gap, *lines[-SHOWN:]]
        head = _line("th", ["epoch", *map(html.escape, columns)])
        return f"<table>{head}{''.join(lines)}</table>"

    def plot(self, path: str | os.PathLike[str] | None = None, *, ax: Any = None) -> Any:
        """Draw loss and metrics by epoch, the best epoch marked; needs matplotlib.

        Parameters
        ----------
        path : path, optional
            An image file to write; its suffix (.png, .svg, .pdf) decides the format.
        ax : Axes, or two of them, optional
            Where to draw instead of in a new figure, see `fastnn.plot.history`.

        Returns
        -------
        Axes, or tuple of two
            Of the loss and, if there are any, of the metrics.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        TypeError, ValueError
            If there are no epochs yet, matplotlib does not know the suffix, or `ax` is no Axes.
        """
        from fastnn.inspection.curves import history_curves

        drawn = history_curves(self, ax)
        if path is not None:
            first = drawn[0] if isinstance(drawn, tuple) else drawn
            first.get_figure().savefig(os.fspath(path))
        return drawn


def _line(tag: str, cells: Iterable[str]) -> str:
    """A row of a table of HTML."""
    return f"<tr>{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells)}</tr>"


def _cells(epoch: int, columns: Iterable[Mapping[int, float]]) -> list[str]:
    """What a row says of an epoch; of each column there is a number for some epochs."""
    return [str(epoch + 1), *(_shown(column.get(epoch)) for column in columns)]


def _shown(number: float | None) -> str:
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 10_000 else f"{number:.4g}"
