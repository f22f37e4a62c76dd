"""Pictures of the page `plots.md` and of the chain rule's, into docs/images.

``python -m docs.network_pictures`` draws them, each by the line that the page shows, from real
fits: the 3-8-4-1 network of examples/chain_rule.py, two half moons, scikit-learn's digits.
"""

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits, make_moons

from fastnn import L2, SGD, Adam, Dense, PathRecorder, Sequential, plot

IMAGES = Path(__file__).with_name("images")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 3))
Y = (X[:, 0] * X[:, 1] + X[:, 2] > 0).astype(int)


def network(rate: float) -> Sequential:
    """The network of the example, with its first weights."""
    model = Sequential([Dense(8, "tanh"), Dense(4, "tanh"), Dense(1, "sigmoid")], seed=0)
    model.compile(SGD(rate), "binary_crossentropy", ["accuracy"])
    model.build(n_features=3)
    return model


def save(drawn: Any, name: str) -> None:
    """Write the figure that some Axes belong to."""
    axes = drawn[0] if isinstance(drawn, tuple) else drawn
    axes.get_figure().savefig(IMAGES / f"plot_{name}.png", dpi=110)


def paths() -> dict[str, np.ndarray]:
    """The path of each mode, from the same first weights."""
    found = {}
    for mode, rate, epochs in (("batch", 1.0, 100), ("minibatch", 0.3, 25), ("stochastic", 0.1, 8)):
        recorder = PathRecorder()
        network(rate).fit(X, Y, epochs=epochs, mode=mode, callbacks=[recorder])
        found[mode] = recorder.path
    return found


def main() -> None:
    model, of_modes = network(0.1), paths()
    history = network(0.3).fit(X, Y, epochs=60, validation_split=0.3)
    save(plot.history(history), "history")
    save(plot.cost_surface(model, X, Y, paths=of_modes), "surface")
    save(plot.cost_surface(model, X, Y, paths=of_modes, kind="3d"), "surface_3d")
    save(plot.learning_rates(model, X, Y, rates=(0.05, 1.0, 20.0), epochs=40), "learning_rates")
    save(plot.one_weight(model, X, Y, "W3[0,0]", rate=8.0), "one_weight")
    save(plot.network(model, model.gradient(X, Y)), "network")
    plot.animate(model, X, Y, of_modes, IMAGES / "plot_descent.gif")

    moons, labels = make_moons(200, noise=0.2, random_state=0)
    moon_model = Sequential([Dense(16, "tanh"), Dense(1, "sigmoid")], seed=0)
    moon_model.compile(Adam(0.02), "binary_crossentropy")
    moon_model.fit(moons, labels, epochs=150)
    save(plot.decision_boundary(moon_model, moons, labels), "boundary")

    digits = load_digits()
    filters = Sequential(
        [Dense(16, "relu", kernel_regularizer=L2(0.003)), Dense(10, "softmax")], seed=1
    )
    filters.compile(Adam(), "categorical_crossentropy")
    filters.fit(digits.data / 16, digits.target, epochs=60)
    save(plot.weights(filters), "weights")


if __name__ == "__main__":
    main()
