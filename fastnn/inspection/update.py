"""A step of gradient descent in words and numbers, apart from the backpropagation before it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from textwrap import wrap

import numpy as np

from fastnn.data.rows import Array
from fastnn.engine.network import Network
from fastnn.inspection.writing import COLUMNS, MOST_WEIGHTS, in_latex, shown_number
from fastnn.optimizers import Optimizer, State

SHOWN = 3  # weights of each array of a larger network: those with the largest gradients

# The formulas of each method, in the order in which they are computed, with g = dL/dW. All but the
# last set what the method keeps for every weight, slot after slot.
FORMULAS = {
    "plain": ["W := W - rate · g"],
    "momentum": ["v := momentum · v - rate · g", "W := W + v"],
    "nesterov": ["v := momentum · v - rate · g", "W := W + momentum · v - rate · g"],
    "adam": [
        "m := m + (1 - beta_1) · (g - m)",
        "v := v + (1 - beta_2) · (g^2 - v)",
        "W := W - corrected · m / (sqrt(v) + epsilon)",
    ],
    "amsgrad": [
        "m := m + (1 - beta_1) · (g - m)",
        "v := v + (1 - beta_2) · (g^2 - v)",
        "top := max(top, v)",
        "W := W - corrected · m / (sqrt(top) + epsilon)",
    ],
    "rmsprop": ["v := v + (1 - rho) · (g^2 - v)", "W := W - rate · g / sqrt(v + epsilon)"],
    "rmsprop with momentum": [
        "v := v + (1 - rho) · (g^2 - v)",
        "u := momentum · u + rate · g / sqrt(v + epsilon)",
        "W := W - u",
    ],
    "adagrad": ["v := v + g^2", "W := W - rate · g / sqrt(v + epsilon)"],
}


@dataclass(frozen=True)
class Moved:
    """A step on a copy of a model: weights and what the optimiser keeps, before and after."""

    network: Network  # before the step
    optimizer: Optimizer
    gradient: Mapping[str, Array]  # "dL/dW1", ..., clipped as the core clips it
    before: State
    after: State
    weights: Mapping[str, Array]  # "W1", ..., after the step

    @property
    def formulas(self) -> list[str]:
        """The formulas of the optimiser's method."""
        nesterov = getattr(self.optimizer, "nesterov", False) and self.optimizer.method != "plain"
        return FORMULAS["nesterov" if nesterov else self.optimizer.method]

    def slots(self, state: State) -> list[Mapping[str, Array]]:
        """What the optimiser keeps, array by array."""
        return [self.network.views(slot) for slot in state.slots]


def explained(moved: Moved, format: str, digits: int) -> str:
    """The step in one of the formats."""
    number = partial(shown_number, digits=digits)
    sentences, formulas = [*_sentences(moved, number)], [*_formulas(moved)]
    blocks = [*_blocks(moved, number)]
    if format == "latex":
        lines = [in_latex(line).replace(":=", "&:=") for line in formulas]
        for block in blocks:
            lines += [in_latex(line).replace(":=", "&:=") for line in block]
        body = " \\\\\n".join(lines)
        said = " ".join(sentences).replace("_", r"\_")
        return f"\\textbf{{Gradient descent.}} {said}\n\\begin{{align*}}\n{body}\n\\end{{align*}}"
    wide = len(moved.formulas) > 1
    numbers = ("\n\n" if wide else "\n").join("\n".join(block) for block in blocks)
    rules = "\n".join(formulas)
    said = "\n".join(sentences)
    if format == "markdown":
        return f"## Gradient descent\n\n{said}\n\n```text\n{rules}\n\n{numbers}\n```"
    wrapped = "\n".join(line for sentence in sentences for line in wrap(sentence, COLUMNS))
    return f"GRADIENT DESCENT\n{wrapped}\n\n{rules}\n\n{numbers}"


def _sentences(moved: Moved, number: Callable[[float], str]) -> Iterator[str]:
    optimizer, n_shown = moved.optimizer, sum(w.size for w in moved.weights.values())
    yield (
        f"The step of {optimizer}. Backpropagation has computed the gradient g = dL/dW; now every "
        f"weight moves against its own g."
    )
    if optimizer.clips:
        yield "The gradient is clipped before the step; g is what is left of it."
    if optimizer.use_ema:
        yield "A running average of the weights is kept beside them."
    frozen = [str(i) for i, layer in enumerate(moved.network.layers, 1) if not layer.rate_factor]
    if frozen:
        yield f"Not trained, and left as they are: the weights of layer {', '.join(frozen)}."
    if n_shown > MOST_WEIGHTS:
        yield f"Of each array the {SHOWN} weights with the largest gradients are shown."
    if optimizer.method in ("adam", "amsgrad"):
        step = moved.before.step + 1
        plain, corrected = optimizer.rate(step - 1), float(_step(moved)["rate"])
        yield (
            f"It is step {step}, so corrected = {number(plain)} · sqrt(1 - beta_2^{step}) / "
            f"(1 - beta_1^{step}) = {number(corrected)}."
        )


def _step(moved: Moved) -> Array:
    step: Array = moved.optimizer.steps(moved.before.step, 1)[0]
    return step


def _formulas(moved: Moved) -> Iterator[str]:
    """The method's formulas, with weight decay as the core applies it."""
    decays = moved.optimizer.weight_decay > 0
    for formula in moved.formulas:
        if decays and formula.startswith("W := W"):
            formula = formula.replace("W := W", "W := (1 - rate · decay) · W", 1)
        yield formula


def _blocks(moved: Moved, number: Callable[[float], str]) -> Iterator[list[str]]:
    """The formulas with numbers, weight by weight, of the layers that are trained."""
    full = sum(w.size for w in moved.weights.values()) <= MOST_WEIGHTS
    for name in moved.weights:
        if not _factor(moved, name):
            continue
        gradient = moved.gradient[f"dL/d{name}"]
        order = np.arange(gradient.size)
        if not full:
            order = np.argsort(-np.abs(gradient), axis=None, kind="stable")[:SHOWN]
        for at in order:
            place = tuple(int(i) for i in np.unravel_index(at, gradient.shape))
            yield _lines(moved, name, place, number)


def _lines(
    moved: Moved, name: str, place: tuple[int, ...], number: Callable[[float], str]
) -> list[str]:
    """The formulas with the numbers of one weight, each with what the kernel made of it."""
    old, new = moved.slots(moved.before), moved.slots(moved.after)
    known = _constants(moved, _factor(moved, name))
    known["g"] = float(moved.gradient[f"dL/d{name}"][place])
    known["W"] = float(moved.network.views(moved.network.parameters)[name][place])
    lines = []
    for i, formula in enumerate(_formulas(moved)):
        kept, rule = formula.split(" := ")
        if kept == "W":
            result, label = (
                float(moved.weights[name][place]),
                f"{name}[{','.join(map(str, place))}]",
            )
        else:
            known[kept], result, label = (
                float(old[i][name][place]),
                float(new[i][name][place]),
                kept,
            )
        lines.append(f"{label} := {_substituted(rule, known, number)} = {number(result)}")
        if kept != "W":
            known[kept] = result
    return lines


def _factor(moved: Moved, name: str) -> float:
    """What the learning rate of a weight's layer is multiplied by."""
    return float(moved.network.layers[int(name[1:]) - 1].rate_factor)


def _constants(moved: Moved, factor: float) -> dict[str, float]:
    """The numbers that the formulas name; `factor` is that of a layer's learning rate."""
    step, optimizer = _step(moved), moved.optimizer
    known = {
        "rate": optimizer.rate(moved.before.step) * factor,
        "corrected": float(step["rate"]) * factor,
        "decay": optimizer.weight_decay,
    }
    for name in ("momentum", "beta_1", "beta_2", "rho", "epsilon"):
        if hasattr(optimizer, name):
            known[name] = getattr(optimizer, name)
    return known


def _substituted(rule: str, known: Mapping[str, float], number: Callable[[float], str]) -> str:
    """A formula with numbers in the place of names, negative ones in brackets."""

    def shown(word: re.Match[str]) -> str:
        value = known.get(word[0])
        if value is None:
            return word[0]
        return f"({number(value)})" if value < 0 and word.start() else number(value)

    return re.sub(r"[a-zA-Z]\w*", shown, rule)
