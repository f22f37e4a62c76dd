"""SGD("auto") in minibatches beside the best constant rate: `python -m bench.line_search`.

Plain SGD with 16 constant rates from 1e-4 to 10, each from the same initial weights in the same
batches as the line search; batches of 32, float32. Shown is the loss of all rows after training,
the mean over seeds, and the ratio to that of the best rate.
"""

import time

import numpy as np
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    make_moons,
)

from fastnn import SGD, Dense, Sequential

RATES, SEEDS, EPOCHS = np.geomspace(1e-4, 10, 16), range(10, 15), (50, 100)


def standardised(x: np.ndarray) -> np.ndarray:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def problems() -> dict[str, tuple]:
    """X, y, the layers and the loss of each."""
    digits, cancer, diabetes = load_digits(), load_breast_cancer(), load_diabetes()
    iris, (moons, moon) = load_iris(), make_moons(500, noise=0.2, random_state=0)
    return {
        "digits": (
            digits.data / 16, digits.target,
            [Dense(32, "relu"), Dense(10, "softmax")], "categorical_crossentropy",
        ),
        "breast cancer": (
            standardised(cancer.data), cancer.target,
            [Dense(16, "relu"), Dense(8, "relu"), Dense(1, "sigmoid")], "binary_crossentropy",
        ),
        "diabetes": (
            standardised(diabetes.data), standardised(diabetes.target),
            [Dense(32, "relu"), Dense(1)], "mean_squared_error",
        ),
        "iris": (
            standardised(iris.data), iris.target,
            [Dense(16, "relu"), Dense(3, "softmax")], "categorical_crossentropy",
        ),
        "half moons": (
            moons, moon, [Dense(16, "tanh"), Dense(1, "sigmoid")], "binary_crossentropy",
        ),
    }  # fmt: skip


def final_loss(problem: tuple, rate: object, epochs: int, seed: int) -> float:
    """The loss of all rows after training; infinite if it diverged."""
    X, y, layers, loss = problem
    model = Sequential(layers, seed=seed)
    model.compile(SGD(rate), loss)
    try:
        model.fit(X, y, epochs=epochs, batch_size=32)
    except FloatingPointError:
        return np.inf
    return model.evaluate(X, y)


def main() -> None:
    print(f"{'':<15}{'epochs':>7}{'best rate':>11}{'its loss':>11}{'auto':>11}{'ratio':>7}"
          f"{'its spread':>18}{'time of a fit':>15}")  # fmt: skip
    for name, problem in problems().items():
        for epochs in EPOCHS:
            grid = {
                rate: [final_loss(problem, float(rate), epochs, seed) for seed in SEEDS]
                for rate in RATES
            }
            best = min(grid, key=lambda rate: np.mean(grid[rate]))
            began = time.perf_counter()
            losses = [final_loss(problem, "auto", epochs, seed) for seed in SEEDS]
            between = time.perf_counter()
            for seed in SEEDS:
                final_loss(problem, float(best), epochs, seed)
            ratio = np.mean(losses) / np.mean(grid[best])
            slower = (between - began) / (time.perf_counter() - between)
            print(f"{name:<15}{epochs:>7}{best:>11.3g}{np.mean(grid[best]):>11.4g}"
                  f"{np.mean(losses):>11.4g}{ratio:>7.2f}{min(losses):>9.3g}{max(losses):>9.3g}"
                  f"{slower:>14.1f}x", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
