"""Formulas with their numbers, written down as text, Markdown or LaTeX."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Literal, get_args

import numpy as np

from fastnn.data.rows import Array

Format = Literal["text", "markdown", "latex"]
FORMATS: dict[str, Format] = {name: name for name in get_args(Format)}
COLUMNS = 90  # of the sentences in a text
WIDEST, MOST_WEIGHTS = 12, 200  # of a network that is written out number by number

# The names of values in formulas: dL/dz3, dropped a1, W2, yhat ...
PART = r"(?:yhat|[xyL]|[abzW]\d+)"
NAME = re.compile(rf"d{PART}/d{PART}|(?:mask|dropped) {PART}|\b(?:mean|deviation|{PART})(?![a-z(])")
WORD = re.compile(r"[A-Za-z]\w+")
SIGNS = {"·": r"\,", "∘": r"\odot", "ᵀ": r"^{\top}"}


@dataclass(frozen=True)
class Step:
    """A value with the formula that it follows from and, if there is need, a remark."""

    name: str
    formula: str
    value: Array
    remark: str = ""


@dataclass(frozen=True)
class Section:
    """Steps under a heading."""

    title: str
    sentence: str
    steps: list[Step]


def written(sections: list[Section], format: str, digits: int) -> str:
    """All sections in one of the formats; number by number if that is readable."""
    values = {step.name: step.value for section in sections for step in section.steps}
    n_weights = sum(step.value.size for step in sections[0].steps)
    widest = max(value.shape[-1] if value.ndim else 1 for value in values.values())
    full = len(values["x"]) == 1 and widest <= WIDEST and n_weights <= MOST_WEIGHTS
    write = {"text": _text, "markdown": _markdown, "latex": _latex}[format]
    return write(sections, Numbers(values, full, digits))


def shown_number(number: float, digits: int) -> str:
    """A number with `digits` significant digits; -0 is 0."""
    return f"{float(number) + 0.0:.{digits}g}"


@dataclass(frozen=True)
class Numbers:
    """How values are written: those of a small network number by number, so are other short ones.

    Of the others shape and norm are written.
    """

    values: Mapping[str, Array]
    full: bool
    digits: int

    def one(self, number: float) -> str:
        """A number."""
        return shown_number(number, self.digits)

    def shows(self, value: Array) -> bool:
        """Whether a value is written number by number."""
        return self.full or value.size <= WIDEST

    def lines(self, value: Array) -> list[str]:
        """A value, one line for each row of a matrix."""
        if value.size == 1:
            return [self.one(value.item())]
        if not self.shows(value):
            return [f"shape {value.shape}, norm {self.one(float(np.linalg.norm(value)))}"]
        if value.ndim == 1 or len(value) == 1:
            return [f"[{'  '.join(map(self.one, value.reshape(-1)))}]"]
        cells = [[self.one(number) for number in row] for row in value]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        rows = ["  ".join(map(str.rjust, row, widths)) for row in cells]
        return [f"[[{rows[0]}]", *(f" [{row}]" for row in rows[1:-1]), f" [{rows[-1]}]]"]

    def substituted(self, formula: str) -> str:
        """A formula of vectors with numbers in the place of names; otherwise empty."""
        names = NAME.findall(formula)
        if not names or WORD.search(NAME.sub("", formula)):
            return ""
        vectors = [self.values[name] for name in names if name in self.values]
        if len(vectors) < len(names) or not all(map(self.shows, vectors)):
            return ""
        if any(value.ndim == 2 and len(value) > 1 for value in vectors):
            return ""
        return NAME.sub(lambda found: self._in_formula(self.values[found[0]]), formula)

    def _in_formula(self, value: Array) -> str:
        """A vector, or a number, in brackets if it is negative."""
        text = self.lines(value)[0]
        return f"({text})" if text[0] == "-" else text

    def sides(self, step: Step) -> list[list[str]]:
        """What stands behind each sign of equality: formula, numbers in it, value."""
        value, substituted = self.lines(step.value), self.substituted(step.formula)
        between = [] if substituted.strip("()") in ("", value[0]) else [[substituted]]
        return [*([[step.formula]] if step.formula else []), *between, value]


# ---- text and Markdown --------------------------------------------------------------------------


def _text(sections: list[Section], numbers: Numbers) -> str:
    lines: list[str] = []
    for section in sections:
        lines += [section.title.upper(), *wrap(section.sentence, COLUMNS), ""]
        width = max(len(step.name) for step in section.steps)
        for step in section.steps:
            for i, (first, *more) in enumerate(numbers.sides(step)):
                lines.append(f"{'' if i else step.name:<{width}} = {first}")
                lines += [f"{'':<{width}}   {line}" for line in more]
            if step.remark:
                indent = " " * (width + 3)
                lines += wrap(f"({step.remark})", COLUMNS, initial_indent=indent,
                              subsequent_indent=indent)  # fmt: skip
        lines.append("")
    return "\n".join(lines).rstrip()


def _markdown(sections: list[Section], numbers: Numbers) -> str:
    lines: list[str] = []
    for section in sections:
        lines += [f"## {section.title}", "", section.sentence, ""]
        for step in section.steps:
            sides = numbers.sides(step)
            formula = f" = `{sides.pop(0)[0]}`" if step.formula else ""
            block = []
            for first, *more in sides:
                block += [f"= {first}", *(f"  {line}" for line in more)]
            lines += [f"**{step.name}**{formula}", ""]
            lines += [step.remark, ""] if step.remark else []
            lines += ["```text", *block, "```", ""]
    return "\n".join(lines).rstrip()


# ---- LaTeX --------------------------------------------------------------------------------------


def _latex(sections: list[Section], numbers: Numbers) -> str:
    lines: list[str] = []
    for section in sections:
        sentence = escaped(section.sentence).replace("ᵀ", r"$^{\top}$")
        lines += [rf"\textbf{{{section.title}.}} {sentence}", r"\begin{align*}"]
        for step in section.steps:
            sides = [in_latex(step.formula)] if step.formula else []
            sides.append(_latex_value(step.value, numbers))
            lines.append(rf"{in_latex(step.name)} &= " + r" \\ &= ".join(sides) + r" \\")
            if step.remark:
                lines.append(rf"& \text{{{escaped(step.remark)}}} \\")
        lines += [r"\end{align*}", ""]
    return "\n".join(lines).rstrip()


def _latex_value(value: Array, numbers: Numbers) -> str:
    text = numbers.lines(value)[0]
    if value.size == 1:
        return text
    if not numbers.shows(value):
        return rf"\text{{{text}}}"
    rows = [" & ".join(map(numbers.one, row)) for row in np.atleast_2d(value)]
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


def in_latex(formula: str) -> str:
    """A formula, its names in mathematical notation and its words as text."""
    parts, end = [], 0
    for found in NAME.finditer(formula):
        parts += [_words_in_latex(formula[end : found.start()]), _name_in_latex(found[0])]
        end = found.end()
    return "".join([*parts, _words_in_latex(formula[end:])])


def _words_in_latex(text: str) -> str:
    """What stands between the names: words as text, the signs of products in LaTeX."""
    words = rf"{WORD.pattern}(?: {WORD.pattern})*"
    text = re.sub(words, lambda found: rf"\text{{{escaped(found[0])}}}", text)
    for sign, command in SIGNS.items():
        text = text.replace(sign, command)
    return text


def _name_in_latex(name: str) -> str:
    if name.startswith(("mask ", "dropped ")):
        word, of = name.split(" ")
        return rf"\mathrm{{{word}}}\,{_name_in_latex(of)}"
    if "/" in name:
        above, below = (_name_in_latex(part[1:]) for part in name.split("/"))
        return rf"\frac{{\partial {above}}}{{\partial {below}}}"
    if name in ("mean", "deviation"):
        return rf"\mathrm{{{name}}}"
    return r"\hat{y}" if name == "yhat" else re.sub(r"(\d+)", r"_{\1}", name)


def escaped(text: str) -> str:
    """Text in which LaTeX finds no commands."""
    return text.replace("_", r"\_").replace("^", r"\^{}").replace("∘", r"$\odot$")
