"""The chain rule, term by term: each value of a trace with the formula that it follows from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from fastnn import losses
from fastnn.data.rows import Array
from fastnn.inspection.writing import Section, Step
from fastnn.layers import Dense
from fastnn.losses import Loss

# f'(z) of each activation, of the unit's z and a; a softmax has none of its own.
SLOPES = {
    "linear": "1",
    "relu": "1 if {z} > 0, else 0",
    "sigmoid": "{a} (1 - {a})",
    "tanh": "1 - {a}^2",
    "leaky_relu": "1 if {z} > 0, else 0.2",
    "elu": "1 if {z} > 0, else {a} + 1",
    "selu": "1.0507 if {z} > 0, else {a} + 1.7581",
    "softplus": "sigmoid({z})",
    "gelu": "Phi({z}) + {z} phi({z})",
    "silu": "sigmoid({z}) (1 + {z} (1 - sigmoid({z})))",
    "exponential": "{a}",
}
# dl/dyhat of each loss; what has a mean over the outputs divides by their number.
LOSS_SLOPES: dict[type[Loss], str] = {
    losses.HalfSquaredError: "yhat - y",
    losses.MeanSquaredError: "2 (yhat - y)",
    losses.MeanAbsoluteError: "sign(yhat - y)",
    losses.Huber: "yhat - y, cut off at -delta and delta",
    losses.Poisson: "1 - y / (yhat + 1e-7)",
    losses.HalfPoissonDeviance: "1 - y / yhat",
    losses.Hinge: "-y if y yhat < 1, else 0",
    losses.SquaredHinge: "-2 y max(1 - y yhat, 0)",
    losses.BinaryCrossentropy: "(1 - y) / (1 - yhat) - y / yhat",
    losses.CategoricalCrossentropy: "-y / yhat",
}
FUSED = (losses.BinaryCrossentropy, losses.CategoricalCrossentropy, losses.HalfPoissonDeviance)


@dataclass(frozen=True)
class Traced:
    """What an explanation needs to know beside the numbers."""

    layers: tuple[Dense, ...]
    loss: Loss
    n_rows: int
    share: float  # what the sum of w_i l_i is multiplied by: as a rule 1/n
    weighted: bool

    @property
    def is_fused(self) -> bool:
        """Whether the kernel computes dL/dz of the output layer in one step."""
        return isinstance(self.loss, FUSED)

    def output(self, number: int) -> str:
        """The name of a layer's outputs."""
        return "yhat" if number == len(self.layers) else f"a{number}"

    def inputs(self, number: int, values: Mapping[str, Array]) -> str:
        """The name of a layer's inputs, as its product takes them."""
        below = self.output(number - 1) if number > 1 else "a0" if "a0" in values else "x"
        return f"dropped {below}" if f"dropped {below}" in values else below


def chain_rule(values: Mapping[str, Array], traced: Traced) -> list[Section]:
    """The weights, the forward pass, and backpropagation, term by term."""
    weights = [Step(name, "", values[name]) for name in values if re.fullmatch(r"[Wb]\d+", name)]
    return [
        Section("The weights", "They stay as they are.", weights),
        Section(
            "The forward pass", "From the inputs x to the loss L.", [*_forward(values, traced)]
        ),
        Section(
            "Backpropagation",
            "The chain rule, from the loss L back to every weight: how L changes with each. "
            "No weight moves; that is the next step, gradient descent. A dot is the product of "
            "matrices, ∘ multiplies number by number, ᵀ turns a row into a column.",
            [*_backward(values, traced)],
        ),
    ]


def _forward(values: Mapping[str, Array], traced: Traced) -> Iterator[Step]:
    yield Step("x", "", values["x"])
    if "a0" in values:
        yield Step("mean", "", values["mean"])
        yield Step("deviation", "", values["deviation"])
        yield Step("a0", "(x - mean) / deviation", values["a0"])
    for number, layer in enumerate(traced.layers, 1):
        inputs, name, z = traced.inputs(number, values), traced.output(number), f"z{number}"
        if inputs.startswith("dropped "):
            below = inputs.removeprefix("dropped ")
            yield Step(f"mask {below}", "", values[f"mask {below}"], "Drawn by dropout.")
            yield Step(inputs, f"{below} ∘ mask {below}", values[inputs])
        bias = f" + b{number}" if f"b{number}" in values else ""
        yield Step(z, f"{inputs} · W{number}{bias}", values[z])
        activation = layer.activation or "linear"
        yield Step(name, z if activation == "linear" else f"{activation}({z})", values[name])
    if values["y"].dtype.kind in "fiub" and values["y"].ndim <= 2:  # of a custom loss anything
        yield Step("y", "", values["y"])
    yield Step("L", _loss_formula(values, traced), values["L"])


def _loss_formula(values: Mapping[str, Array], traced: Traced) -> str:
    mean = "" if traced.n_rows == 1 and not traced.weighted else "mean of "
    penalty = " + what the regularisers add" if any(map(_penalty, traced.layers)) else ""
    return f"{mean}{traced.loss.name}(yhat, y){penalty}"


def _penalty(layer: Dense) -> bool:
    return bool(layer.l1 or layer.l2 or layer.alpha)


def _backward(values: Mapping[str, Array], traced: Traced) -> Iterator[Step]:
    last = len(traced.layers)
    yield Step("dL/dyhat", _loss_slope(values, traced), values["dL/dyhat"], _remark(traced))
    for number in range(last, 0, -1):
        layer, z, a = traced.layers[number - 1], f"z{number}", traced.output(number)
        slope = f"d{a}/d{z}"
        if number < last:
            above = number + 1
            product = f"dL/dz{above} · W{above}ᵀ"
            if f"mask {a}" in values:
                product = f"({product}) ∘ mask {a}"
            yield Step(f"dL/d{a}", product, values[f"dL/d{a}"])
        if slope in values:
            formula = SLOPES[layer.activation or "linear"].format(a=a, z=z)
            yield Step(slope, formula, values[slope])
        yield _delta(values, traced, number)
        inputs = traced.inputs(number, values)
        yield Step(
            f"dL/dW{number}", f"{inputs}ᵀ · dL/d{z}{_added(traced, number)}",
            values[f"dL/dW{number}"],
        )  # fmt: skip
        if f"b{number}" in values:
            rows = "" if traced.n_rows == 1 else "sum over the rows of "
            yield Step(f"dL/db{number}", f"{rows}dL/d{z}", values[f"dL/db{number}"])
    product = "dL/dz1 · W1ᵀ"
    below = "a0" if "a0" in values else "x"
    if f"mask {below}" in values:
        product = f"({product}) ∘ mask {below}"
    if "a0" in values:
        product = f"({product}) / deviation"
    yield Step("dL/dx", product, values["dL/dx"])


def _slope_of(values: Mapping[str, Array], traced: Traced) -> str:
    """The formula of LOSS_SLOPES for this loss, empty for a custom one."""
    kinds = type(traced.loss).__mro__
    formula = next((LOSS_SLOPES[kind] for kind in kinds if kind in LOSS_SLOPES), "")
    return re.sub(r"\by\b", _target(values), formula) if formula else ""


def _target(values: Mapping[str, Array]) -> str:
    """The target of each output: y, or of a label 1 at its place and else 0."""
    return "y" if values["y"].shape[1] == values["yhat"].shape[1] else "onehot(y)"


def _factors(values: Mapping[str, Array], traced: Traced) -> list[str]:
    """What the slope of the loss is multiplied by: means over rows and over outputs."""
    n_outputs, factors = values["yhat"].shape[1], []
    if traced.weighted:
        factors.append("w / the sum of w" if traced.loss.by_weight else "w / n")
    elif traced.n_rows > 1:
        factors.append("1/n")
    is_mean = not isinstance(traced.loss, losses.HalfSquaredError)  # its slope is of the sum
    if is_mean and traced.loss.shares(n_outputs)[0] != 1:
        factors.append(f"1/{n_outputs}")
    return factors


def _loss_slope(values: Mapping[str, Array], traced: Traced) -> str:
    """dL/dyhat in terms of yhat and y."""
    formula = _slope_of(values, traced)
    if not formula:
        return "what the custom loss returned"
    factors = _factors(values, traced)
    return " · ".join([*factors, f"({formula})"]) if factors else formula


def _loss_slope_of_z(values: Mapping[str, Array], traced: Traced) -> str:
    """dL/dz of a loss and the activation that belongs to it, in one step."""
    difference, factors = f"yhat - {_target(values)}", _factors(values, traced)
    return " · ".join([*factors, f"({difference})"]) if factors else difference


def _remark(traced: Traced) -> str:
    smoothing = getattr(traced.loss, "label_smoothing", 0)
    return f"y stands for the target after label smoothing by {smoothing:g}." if smoothing else ""


def _added(traced: Traced, number: int) -> str:
    """What the regulariser of a layer adds to dL/dW."""
    layer, W = traced.layers[number - 1], f"W{number}"
    decay = 2 * layer.l2 + traced.share * layer.alpha
    added = f" + {decay:g} {W}" if decay else ""
    return f"{added} + {layer.l1:g} sign({W})" if layer.l1 else added


def _delta(values: Mapping[str, Array], traced: Traced, number: int) -> Step:
    """dL/dz of a layer: dL/da times the slope, but of a softmax and of saturated outputs."""
    a, name = traced.output(number), f"dL/dz{number}"
    slope, da, value = f"d{a}/dz{number}", f"dL/d{a}", values[f"dL/dz{number}"]
    fused = traced.is_fused and number == len(traced.layers)
    one_step = _loss_slope_of_z(values, traced) if fused else ""
    if slope not in values:
        if fused:
            remark = (
                "A softmax mixes the units, so dyhat/dz is a Jacobian, yhat_i ([i = j] - yhat_j), "
                "and no factor of each unit; with this loss the product is this difference."
            )
            return Step(name, one_step, value, remark)
        remark = "A softmax mixes the units: its derivative is a Jacobian, a_i ([i = j] - a_j)."
        return Step(name, f"{a} ∘ ({da} - sum of {a} ∘ {da})", value, remark)
    if not fused:
        return Step(name, f"{da} ∘ {slope}", value)
    if np.isfinite(values[da]).all():
        remark = (
            f"The kernel computes this product in one step, as {one_step}, which stays exact where "
            f"yhat rounds to 0 or 1."
        )
        return Step(name, f"{da} ∘ {slope}", value, remark)
    remark = (
        f"yhat has rounded so far that {da} ∘ {slope} would be infinity times 0; their product in "
        f"one step is exact."
    )
    return Step(name, one_step, value, remark)
