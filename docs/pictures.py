"""Pictures of the documentation: schedules.png, activations.png, training.png, into docs/images.

``python -m docs.pictures`` draws them. They need matplotlib. The activations are
what `predict` and `gradient` return, one number at a time: what is drawn is what trains.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fastnn import Adam, Dense, EarlyStopping, History, ReduceLROnPlateau, Sequential, schedules
from fastnn.activations import ACTIVATIONS
from fastnn.inspection.style import COLOURS

IMAGES = Path(__file__).with_name("images")
STEPS = 1000
Z = np.linspace(-4, 4, 402)  # without 0, where relu has a corner


def grid(n_panels: int, columns: int, height: float) -> tuple[Figure, list]:
    """A figure with `n_panels` panels; `height` is that of a row."""
    rows = -(-n_panels // columns)
    figure = Figure(figsize=(10, height * rows), dpi=150, layout="constrained")
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True).flat)
    for axes in panels[n_panels:]:
        axes.remove()
    for axes in panels[:n_panels][-columns:]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
    for axes in panels:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels[:n_panels]


def label(axes, text: str, x: float, y: float, colour: str) -> None:
    """The name of a curve, beside it."""
    axes.text(x, y, text, color=colour, fontsize=9)


# ---- schedules --------------------------------------------------------------------------------

# A panel: its title, then every curve with its name and where the name stands. The highest rate is
# 1 throughout.
SCHEDULES = [
    (
        "PiecewiseConstantDecay",
        (schedules.PiecewiseConstantDecay([299, 599], [1.0, 0.5, 0.1]), "", 0, 0),
    ),
    (
        "ExponentialDecay",
        (schedules.ExponentialDecay(1.0, 200, 0.5), "", 0, 0),
        (schedules.ExponentialDecay(1.0, 200, 0.5, staircase=True), "staircase", 230, 0.56),
    ),
    (
        "InverseTimeDecay",
        (schedules.InverseTimeDecay(1.0, 200, 1.0), "", 0, 0),
        (schedules.InverseTimeDecay(1.0, 200, 1.0, staircase=True), "staircase", 230, 0.56),
    ),
    (
        "InverseScaling",
        (schedules.InverseScaling(1.0, 0.25), "power=0.25", 200, 0.31),
        (schedules.InverseScaling(1.0), "power=0.5", 170, 0.115),
    ),
    (
        "PolynomialDecay",
        (schedules.PolynomialDecay(1.0, 800, 0.1), "power=1", 290, 0.72),
        (schedules.PolynomialDecay(1.0, 800, 0.1, power=3.0), "power=3", 310, 0.02),
        (schedules.PolynomialDecay(1.0, 300, 0.1, cycle=True), "cycle", 630, 0.42),
    ),
    (
        "CosineDecay",
        (schedules.CosineDecay(1.0, 800), "", 0, 0),
        (
            schedules.CosineDecay(0.0, 700, 0.2, warmup_target=1.0, warmup_steps=200),
            "warm-up,\nalpha=0.2",
            600,
            0.72,
        ),
    ),
    (
        "CosineDecayRestarts",
        (schedules.CosineDecayRestarts(1.0, 143), "", 0, 0),
        (schedules.CosineDecayRestarts(1.0, 143, m_mul=0.6), "m_mul=0.6", 450, 0.03),
    ),
    ("OneCycle", (schedules.OneCycle(1.0, STEPS), "", 0, 0)),
]


def draw_schedules(path: Path) -> None:
    """One panel for each schedule, its options as further curves."""
    figure, panels = grid(len(SCHEDULES), 4, height=2.1)
    steps = np.arange(STEPS)
    for axes, (title, *curves) in zip(panels, SCHEDULES, strict=True):
        for (schedule, name, x, y), colour in zip(curves, COLOURS, strict=False):
            axes.plot(steps, schedule.rates(steps), color=colour, linewidth=1.8)
            label(axes, name, x, y, colour)
        axes.set_title(title, fontsize=10, loc="left")
        axes.set(xlim=(-10, STEPS), ylim=(0, 1.05), xticks=[0, 400, 800], yticks=[0, 0.5, 1])
    figure.supxlabel("step", fontsize=10)
    figure.supylabel("learning rate, highest = 1", fontsize=10)
    figure.savefig(path)


# ---- activations ------------------------------------------------------------------------------


def function_and_derivative(name: str) -> tuple[np.ndarray, np.ndarray]:
    """f and f' at Z, by running a unit with weight 1."""
    model = Sequential([Dense(1, name, use_bias=False)], dtype="float64")
    model.compile(loss="mean_squared_error")
    model.build(1)
    model.set_weights([np.ones((1, 1))])
    f = model.predict(Z[:, None])
    y = f - 0.5  # so that dL/da = 2 (a - y) is 1, and dL/dW = f'(z) z
    slopes = [model.gradient([[z]], [t])["dL/dW1"].item() / z for z, t in zip(Z, y, strict=True)]
    return f.ravel(), np.array(slopes)


def with_gaps(slopes: np.ndarray) -> np.ndarray:
    """The slopes, broken where they jump, so that no line joins the two sides."""
    jumps = np.flatnonzero(abs(np.diff(slopes)) > 0.1)
    slopes = slopes.copy()
    slopes[jumps] = np.nan
    return slopes


def draw_activations(path: Path) -> None:
    """One panel for each activation of single units: f solid, f' dashed."""
    names = [name for name in ACTIVATIONS if name != "softmax"]
    figure, panels = grid(len(names), 5, height=2.1)
    for axes, name in zip(panels, names, strict=True):
        f, slopes = function_and_derivative(name)
        axes.plot(Z, f, color=COLOURS[0], linewidth=1.8)
        axes.plot(Z, with_gaps(slopes), color=COLOURS[1], linewidth=1.8, linestyle=(0, (4, 2)))
        axes.set_title(name, fontsize=10, loc="left")
        axes.set(xlim=(Z[0], Z[-1]), ylim=(-2.2, 3.2), xticks=[-2, 0, 2])
    label(panels[0], "f(z)", 0.9, 2.2, COLOURS[0])
    label(panels[0], "f'(z)", -3.8, 1.25, COLOURS[1])
    figure.supxlabel("z", fontsize=10)
    figure.savefig(path)


# ---- training ---------------------------------------------------------------------------------


def watched_fit() -> tuple[History, int]:
    """A fit like that of docs/training.md, and the epoch whose weights it keeps."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 8))
    y = (X[:, 0] * X[:, 1] + 0.6 * rng.normal(size=600) > 0.4).astype(int)
    model = Sequential([Dense(32, "relu"), Dense(1, "sigmoid")], seed=0)
    model.compile(Adam(0.003), "binary_crossentropy")
    stopping = EarlyStopping(patience=15)
    history = model.fit(
        *(X[:400], y[:400]),
        epochs=1000,
        validation_data=(X[400:], y[400:]),
        callbacks=[stopping, ReduceLROnPlateau(factor=0.5, patience=8)],
        train_metrics="end",
    )
    return history, stopping.best_epoch


def draw_training(path: Path) -> None:
    """Both losses with the epoch that is kept, over the learning rate."""
    history, best = watched_fit()
    figure = Figure(figsize=(8, 4), dpi=150, layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    epochs = np.array(history.epoch) + 1
    for name, text, colour in zip(
        ("loss", "val_loss"), ("training rows", "validation rows"), COLOURS, strict=False
    ):
        curve = history.history[name]
        losses.plot(epochs, curve, color=colour, linewidth=1.8)
        label(losses, text, epochs[-1] + 0.5, curve[-1], colour)
    rates.step(epochs, history.history["learning_rate"], color=COLOURS[2], where="mid")
    for axes in (losses, rates):
        axes.axvline(best + 1, color="0.4", linewidth=1, linestyle=(0, (4, 2)))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    losses.annotate(
        "weights kept",
        (best + 1, losses.get_ylim()[1]),
        xytext=(4, -10),
        fontsize=9,
        textcoords="offset points",
        color="0.3",
    )
    losses.set_ylabel("loss")
    rates.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None), xlim=(0, epochs[-1] * 1.2))
    figure.savefig(path)


if __name__ == "__main__":
    draw_schedules(IMAGES / "schedules.png")
    draw_activations(IMAGES / "activations.png")
    draw_training(IMAGES / "training.png")
