"""What is wrong with a network: rules that look at a trace, each with its threshold.

The rules are those of the page "When training fails" of the documentation, which says why.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from fastnn.data.rows import Array
from fastnn.inspection.trace import Trace

MOST_ROWS = 1000  # that are looked at

FEWEST_ROWS = 10  # of fewer nobody can say what a unit does for every row
DEAD_SHARE = 0.25  # of a layer's units, from which on it is a finding
FLAT, ALWAYS = 0.01, 0.95  # of the steepest slope; of the rows
SATURATED_SHARE = 0.25
VANISHING, EXPLODING = 1e-4, 1e3  # dL/dz of the first layer relative to that of the last
LARGE, SMALL, UNEQUAL = 30.0, 1e-3, 1e3  # columns of X: root mean squares, and their ratio
RISE = 0.1  # of the cost, by one step
LONGER = 1000.0  # a step that may be this much longer and still lower the cost in proportion
LITTLE = 0.01  # by which a loss is no better than that of a constant answer
LEARNED = 0.1  # of the loss of the constant answer, below which small slopes are no fault


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes
    ----------
    kind : str
        Such as "dead units".
    layer : int or None
        The number of the layer with weights, counted from 1; None of the network as a whole.
    figure : float
        The number measured.
    is_severe : bool
        Whether the network will hardly learn as it is.
    sentence, remedy : str
        What was found, and the line to change.
    """

    kind: str
    layer: int | None
    figure: float
    is_severe: bool
    sentence: str
    remedy: str

    def __str__(self) -> str:
        where = "" if self.layer is None else f" in layer {self.layer}"
        return f"{self.kind}{where}: {self.sentence}. {self.remedy}"


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `Sequential.diagnose` returns: its findings, the worst first.

    Attributes
    ----------
    findings : tuple of Finding
    n_rows : int
        How many rows were looked at.
    """

    findings: tuple[Finding, ...]
    n_rows: int

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    @property
    def severe(self) -> tuple[Finding, ...]:
        """The findings with which the network will hardly learn."""
        return tuple(finding for finding in self.findings if finding.is_severe)

    def __repr__(self) -> str:
        if not self.findings:
            return (
                f"nothing is wrong, as far as {self.n_rows} rows show: units, slopes, gradients, "
                f"inputs, the step, the loss"
            )
        return "\n".join(map(str, self.findings))


@dataclass(frozen=True)
class Costs:
    """Losses of the same rows, with what regularisers add but for `constant` and `plain`."""

    now: float
    plain: float  # without what regularisers add
    after: float | None  # after the next step of the optimiser; None if it makes none by itself
    longest: float  # how many times as long it may be and still lower the cost in proportion,
    far: float  # and the cost after such a step
    constant: float | None  # of the best constant answer; None if nobody has trained yet

    @property
    def has_learned(self) -> bool:
        """Whether the loss is low, so that small slopes and gradients are as they should be."""
        return self.constant is not None and self.plain < LEARNED * self.constant


def diagnosed(trace: Trace, costs: Costs, rate: str) -> Diagnosis:
    """All findings; `rate` is the line that sets the optimiser's learning rate."""
    findings = [
        *_symmetric_units(trace),
        *_dead_units(trace),
        *_zero_gradient(trace, costs),
        *_saturated_units(trace, costs),
        *_gradients_by_layer(trace, costs),
        *_inputs(trace),
        *_steps(costs, rate),
        *_loss(trace, costs),
    ]
    findings.sort(key=lambda finding: not finding.is_severe)
    return Diagnosis(tuple(findings), trace.n_rows)


def _hidden(trace: Trace) -> Iterator[tuple[int, str]]:
    """The numbers and activations of the hidden layers."""
    for number, layer in enumerate(trace.traced.layers[:-1], 1):
        yield number, layer.activation or "linear"


def _symmetric_units(trace: Trace) -> Iterator[Finding]:
    """Units of a hidden layer that hold the same weights and so get the same gradient."""
    for number, _ in _hidden(trace):
        W, above = trace[f"W{number}"], trace[f"W{number + 1}"]
        n_units = W.shape[1]
        if n_units > 1 and (W == W[:, :1]).all() and (above == above[:1]).all():
            value = f"all {n_units} units hold the same weights, so they stay copies of one unit"
            remedy = "Draw them: Dense(units, kernel_initializer='glorot_uniform')"
            yield Finding("symmetric units", number, n_units, True, value, remedy)


def _dead_units(trace: Trace) -> Iterator[Finding]:
    """Units of relu that no row activates."""
    for number, activation in _hidden(trace):
        if activation != "relu" or trace.n_rows < FEWEST_ROWS:
            continue
        dead = (trace[f"a{number}"] == 0).all(axis=0)
        share = float(dead.mean())
        if share >= DEAD_SHARE and not (trace[f"W{number}"] == 0).all():
            remedy = "Take a lower learning rate from the start, or Dense(units, 'leaky_relu')"
            sentence = f"{dead.sum()} of {dead.size} units give 0 for every row and get no gradient"
            yield Finding("dead units", number, share, bool(dead.all()), sentence, remedy)


def _zero_gradient(trace: Trace, costs: Costs) -> Iterator[Finding]:
    """No weight W has a gradient, though the loss is not low."""
    layers = range(1, len(trace.traced.layers) + 1)
    if costs.has_learned or any(trace[f"dL/dW{number}"].any() for number in layers):
        return
    zero = [number for number in layers if not trace[f"W{number}"].any()]
    remedy = "Draw new weights: model.reset()"
    reason, layer = "every row ends where the loss is flat", None
    if zero:
        layer, reason = zero[0], "its weights are all 0, so that nothing passes through it"
        remedy = "Draw them: Dense(units, kernel_initializer='glorot_uniform')"
    elif dead := [finding.layer for finding in _dead_units(trace) if finding.is_severe]:
        layer, reason = dead[0], "all its units are dead, so that nothing passes through it"
    sentence = f"dL/dW is 0 in every layer: {reason}; training would never change that"
    yield Finding("zero gradient", layer, 0.0, True, sentence, remedy)


def _saturated_units(trace: Trace, costs: Costs) -> Iterator[Finding]:
    """Units whose slope f'(z) is nearly 0 for nearly all rows, while the loss is not low."""
    last = len(trace.traced.layers)
    for number, layer in enumerate(trace.traced.layers, 1):
        activation = layer.activation or "linear"
        if activation in ("linear", "relu", "leaky_relu", "softmax") or costs.has_learned:
            continue
        if number == last and trace.traced.is_fused:
            continue  # its slope cancels out
        if trace.n_rows < FEWEST_ROWS:
            continue
        name = "yhat" if number == last else f"a{number}"
        slopes = np.abs(trace[f"d{name}/dz{number}"])
        steepest = {"sigmoid": 0.25}.get(activation, 1.0)
        flat = (slopes < FLAT * steepest).mean(axis=0) >= ALWAYS
        if float(flat.mean()) >= SATURATED_SHARE:
            sentence = (
                f"{flat.sum()} of {flat.size} units of {activation} are saturated: their slope is "
                f"below {FLAT * steepest:g} for {ALWAYS:.0%} of the rows, so that hardly any "
                f"gradient passes"
            )
            remedy = "Scale the inputs (a Normalization layer first), or draw smaller weights"
            severe = bool(flat.all())
            yield Finding("saturated units", number, float(flat.mean()), severe, sentence, remedy)


def _gradients_by_layer(trace: Trace, costs: Costs) -> Iterator[Finding]:
    """dL/dz that shrinks or grows on its way back through the layers."""
    last = len(trace.traced.layers)
    if last < 2:
        return
    first, end = (_root_mean_square(trace[f"dL/dz{number}"]) for number in (1, last))
    if not first or not end:
        return
    ratio = first / end
    said = f"dL/dz is {first:.2g} on average in layer 1 and {end:.2g} in layer {last}"
    if ratio < VANISHING and not costs.has_learned:
        remedy = (
            "Take fewer layers, or 'relu' with kernel_initializer='he_normal' in the hidden ones"
        )
        yield Finding("vanishing gradient", 1, ratio, True, said, remedy)
    elif ratio > EXPLODING:
        remedy = "Draw smaller weights (kernel_initializer='glorot_uniform'), or clip: clipnorm=1.0"
        yield Finding("exploding gradient", 1, ratio, True, said, remedy)


def _root_mean_square(values: Array) -> float:
    largest = float(np.abs(values).max(initial=0.0))
    return largest * float(np.sqrt(np.mean((values / largest) ** 2))) if largest else 0.0


def _inputs(trace: Trace) -> Iterator[Finding]:
    """Columns of what the first layer gets that are far from 1, or far from each other."""
    x = trace["a0" if "a0" in trace else "x"].astype(np.float64)
    sizes = np.sqrt((x**2).mean(axis=0))
    deviations = x.std(axis=0)
    deviations = deviations[deviations > 1e-12 * sizes.max(initial=0.0)]
    largest, remedy = float(sizes.max()), "Put a Normalization layer first and adapt it: .adapt(X)"
    if "a0" in trace:
        remedy = "Adapt the Normalization layer to these rows: model.layers[0].adapt(X)"
    ratio = float(deviations.max() / deviations.min()) if len(deviations) else 1.0
    if largest > LARGE:
        said = f"column {int(sizes.argmax())} of X has numbers of about {largest:.3g}"
    elif largest < SMALL:
        said = f"the numbers of X are about {largest:.2g} at most"
    elif ratio > UNEQUAL:
        largest, said = ratio, f"one column of X varies {ratio:.2g} times as much as another"
    else:
        return
    yield Finding("inputs not scaled", None, largest, False, said, remedy)


def _steps(costs: Costs, rate: str) -> Iterator[Finding]:
    """A next step that raises the cost, or that could be a thousand times as long."""
    if costs.after is None:
        return
    reference = max(costs.now, 0.05 * (costs.constant or 0.0))
    if not costs.after - costs.now <= RISE * reference:
        said = f"the next step changes the loss of these rows from {costs.now:.3g} to"
        sentence, remedy = f"{said} {costs.after:.3g}", f"Take a lower one: {rate} / 10"
        yield Finding("learning rate too high", None, costs.after, True, sentence, remedy)
        return
    gain, far = costs.now - costs.after, costs.now - costs.far
    if costs.longest >= LONGER and far > LITTLE * costs.now and not costs.has_learned:
        sentence = (
            f"the next step lowers the loss of these rows by {gain:.2g}; one {costs.longest:g} "
            f"times as long would lower it by {far:.2g}"
        )
        remedy = f"Take a higher one: {rate} * {costs.longest / 10:g}"
        yield Finding("learning rate too low", None, costs.longest, False, sentence, remedy)


def _loss(trace: Trace, costs: Costs) -> Iterator[Finding]:
    """A loss that is hardly better than that of the best constant answer."""
    y = trace["y"]
    if y.ndim == 2 and len(y) > 1 and (y == y[:1]).all():
        sentence = "all rows have the same target, so there is nothing to learn"
        yield Finding("one target only", None, 1.0, True, sentence, "Take rows with other targets")
        return
    if costs.constant is None:
        return
    if not costs.plain < costs.constant - LITTLE * abs(costs.constant):
        sentence = (
            f"the loss, {costs.plain:.4g}, is not better than the {costs.constant:.4g} of always "
            f"giving the best constant answer (the mean, or the shares of the classes)"
        )
        remedy = "See the other findings; else train longer, or with columns that say more"
        yield Finding("no better than a constant", None, costs.plain, True, sentence, remedy)
