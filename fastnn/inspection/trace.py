"""A trace: every value of the forward pass and of backpropagation, by its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from fastnn._core import FROM_Z
from fastnn.custom import CustomLoss
from fastnn.data.checks import lookup, whole_number
from fastnn.data.rows import Array
from fastnn.engine.record import BACKWARD, FORWARD, Record
from fastnn.inspection.chain_rule import Traced, chain_rule
from fastnn.inspection.writing import FORMATS, Format, written
from fastnn.losses import Loss
from fastnn.native.backend import core

EVERY_KIND = (*FORWARD, *BACKWARD)


class Trace(Mapping[str, Array]):
    """What `Sequential.trace` returns: arrays by name, in the order in which they are computed.

    For n rows and layers 1, 2, ..., K of n_1, n_2, ..., n_K units:

    =========================  ====================  ===========================================
    name                       shape                 what it is
    =========================  ====================  ===========================================
    ``x``                      (n, n_features)       the rows as they were given
    ``mean``, ``deviation``    (n_features,)         of a Normalization layer: its statistics,
    ``a0``                     (n, n_features)       and with these (x - mean) / deviation
    ``W1``, ``b1``, ...        (n_in, n_1), (n_1,)   the weights
    ``z1``, ``z2``, ...        (n, n_k)              z_k = a_(k-1) W_k + b_k, where a_0 = x
    ``a1``, ``a2``, ...        (n, n_k)              a_k = f(z_k); of the last layer ``yhat``
    ``mask a1``                (n, n_1)              of dropout: its factors,
    ``dropped a1``             (n, n_1)              and a_1 times these
    ``y``                      (n, n_targets)        the targets
    ``l``, ``L``               (n,), ()              w_i l_i of each row, and the loss
    ``dL/dyhat``               (n, n_K)              how L changes with each output
    ``dL/dz1``, ``dL/da1``     (n, n_k)              the same of each z and each a
    ``dL/dW1``, ``dL/db1``     as W1 and b1          the gradient, with what regularisers add
    ``dL/dx``                  (n, n_features)       how L changes with each number of X
    ``dyhat/dz3``              (n, n_K)              the slope f'(z) of each unit; a softmax
    ``da1/dz1``                (n, n_k)              has none
    =========================  ====================  ===========================================

    L is the loss that training minimises: L = 1/n sum_i w_i l_i and what regularisers add. So every
    dL/d... of a batch holds the 1/n. The arrays are copies and cannot be written to.

    Examples
    --------
    >>> from fastnn import Dense, Sequential
    >>> model = Sequential([Dense(2, "tanh"), Dense(1, "sigmoid")], seed=0)
    >>> model.compile(loss="binary_crossentropy")
    >>> model.build(3)
    >>> t = model.trace([0.5, -1.0, 2.0], 1)
    >>> t["dL/dz2"].shape, t["dL/dW1"].shape
    ((1, 1), (3, 2))
    >>> bool((t["dL/dW2"] == t["a1"].T * t["dL/dz2"]).all())
    True
    """

    def __init__(self, arrays: dict[str, Array], traced: Traced) -> None:
        self._arrays = {name: read_only(array) for name, array in arrays.items()}
        self.traced = traced

    def __getitem__(self, name: str) -> Array:
        if name in self._arrays:
            return self._arrays[name]
        if name in self.slopes:
            return self._slope(self.slopes[name])
        raise KeyError(f"{name!r}; a trace of this model has {', '.join(self)}")

    def __iter__(self) -> Iterator[str]:
        return iter([*self._arrays, *self.slopes])

    def __len__(self) -> int:
        return len(self._arrays) + len(self.slopes)

    def __repr__(self) -> str:
        lines = [f"Trace of {self.n_rows} row{'s' * (self.n_rows > 1)}"]
        lines += [f"{name:<14} {self._arrays[name].shape}" for name in self._arrays]
        return "\n".join(lines)

    @property
    def n_rows(self) -> int:
        """How many rows were traced."""
        return len(self._arrays["x"])

    @property
    def slopes(self) -> dict[str, int]:
        """The names of the slopes f'(z), each with the number of its layer."""
        found, last = {}, len(self.traced.layers)
        for number, layer in enumerate(self.traced.layers, 1):
            if layer.activation != "softmax":
                a = "yhat" if number == last else f"a{number}"
                found[f"d{a}/dz{number}"] = number
        return found

    def _slope(self, number: int) -> Array:
        """f'(z) of a layer, by the kernel that backpropagation calls."""
        activation = self.traced.layers[number - 1].activation or "linear"
        a = "yhat" if number == len(self.traced.layers) else f"a{number}"
        kept = self._arrays[f"z{number}" if activation in FROM_Z else a]
        slopes = np.empty(kept.shape, kept.dtype)
        core(kept.dtype.name).activation_slopes(activation, np.ascontiguousarray(kept), slopes)
        return read_only(slopes)

    def explain(self, format: Format = "text", *, digits: int = 4) -> str:
        """The chain rule with these numbers, term by term, from the loss back to every weight.

        Of one row of a small network in full: each product that is shown multiplies out to what
        the kernel computed. Of larger networks, and of several rows, by shape and norm. Sigmoid,
        softmax and exponential outputs with the loss that belongs to them are computed in one
        step; both factors are shown with their product, as far as they exist and are finite.

        Parameters
        ----------
        format : {"text", "markdown", "latex"}
        digits : int
            How many significant digits numbers have, 1 to 17.

        Raises
        ------
        TypeError, ValueError
            If `format` is none of these, or `digits` no such number.

        Examples
        --------
        >>> from fastnn import Dense, Sequential
        >>> model = Sequential([Dense(1, kernel_initializer="ones")])
        >>> model.compile(loss="mean_squared_error")
        >>> model.build(2)
        >>> text = model.trace([1.0, 2.0], 5.0).explain()
        >>> print(text[text.index("dL/dyhat") :])  # doctest: +ELLIPSIS
        dL/dyhat  = 2 (yhat - y)
                  = 2 (3 - 5)
                  = -4
        ...
        dL/dW1    = xᵀ · dL/dz1
                  = [1  2]ᵀ · (-4)
                  = [[-4]
                     [-8]]
        ...
        """
        checked = lookup("format", format, FORMATS)
        digits = whole_number("digits", digits, minimum=1, maximum=17)
        return written(chain_rule(self, self.traced), checked, digits)


def read_only(array: Array) -> Array:
    """The same array, which can no longer be written to."""
    array.flags.writeable = False
    return array


def trace_of(record: Record, loss: Loss) -> Trace:
    """Pass the rows of a record of every kind forward and back, and name what was kept."""
    network, rows = record.network, record.rows
    flat, share = network.new_gradient(), record.share(loss)
    value = record.backpropagate(loss, flat) + network.penalty(share)
    network.add_penalty_gradient(flat, share)
    network.refuse_overflow("the gradient", flat)
    values = {**_going_forward(record), "y": rows.y.copy()}
    if not isinstance(loss, CustomLoss):
        values["l"] = record.row_losses
    values["L"] = np.array(value)
    values |= _going_back(record, network.views(flat))
    traced = Traced(network.layers, loss, rows.n_rows, share, len(rows.sample_weight) > 0)
    return Trace(values, traced)


def _going_forward(record: Record) -> dict[str, Array]:
    """Rows, weights, and the values of all layers, from the first to the last."""
    network = record.network
    weights, table = network.views(network.parameters), network.normalization_table
    found: dict[str, Array] = {}
    below = "a0" if len(table) else "x"
    if len(table):
        found |= {"x": _rounded(record), "mean": table[0].copy(), "deviation": 1 / table[1]}
        if record.keeps("mask", 1):  # dropout makes its own of them at once
            undropped = Record(network, record.rows, ("x",), number=1)
            undropped.forward()
            found["a0"] = undropped.of("x", 1)
    elif record.keeps("mask", 1):
        found["x"] = _rounded(record)
    for number in range(1, len(network.layers) + 1):
        if record.keeps("mask", number):
            found[f"mask {below}"] = record.of("mask", number)
            found[f"dropped {below}"] = record.of("x", number)
        elif number == 1:
            found[below] = record.of("x", number)
        for name in (f"W{number}", f"b{number}"):
            if name in weights:
                found[name] = weights[name].copy()
        below = "yhat" if number == len(network.layers) else f"a{number}"
        found[f"z{number}"], found[below] = record.of("z", number), record.of("a", number)
    return found


def _rounded(record: Record) -> Array:
    """The rows as they were given, in the type of the network."""
    return record.rows.X.astype(record.network.dtype)


def _going_back(record: Record, gradient: Mapping[str, Array]) -> dict[str, Array]:
    """The derivatives of L, from the outputs back to the inputs."""
    found, last = {}, len(record.network.layers)
    for number in range(last, 0, -1):
        a = "yhat" if number == last else f"a{number}"
        found[f"dL/d{a}"], found[f"dL/dz{number}"] = (
            record.of("da", number),
            record.of("dz", number),
        )
        for name in (f"W{number}", f"b{number}"):
            if name in gradient:
                found[f"dL/d{name}"] = np.ascontiguousarray(gradient[name])
    found["dL/dx"] = record.of("dx", 1)
    return found
