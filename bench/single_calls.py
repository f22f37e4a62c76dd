"""What calls of their own cost: single rows beside `predict`, batches one by one beside `fit`, rows
in other forms beside arrays.

    python -m bench.single_calls [rounds]

All ways take turns within a round; the figures are medians of the rounds, with the quartiles of the
ratio. Both sides are checked to end in the same weights, or to answer the same.
"""

import sys
import time
from collections.abc import Callable
from statistics import quantiles

import numpy as np

from fastnn import L2, SGD, Adam, Dense, MLPClassifier, Sequential

BATCH, N_BATCHES = 32, 32
NETS = ((30, 64, 32, 1), (784, 128, 10), (784, 512, 512, 10))
ROW_CALLS = 2000
Way = Callable[[], None]


def model_for(net: tuple[int, ...], optimizer: SGD | Adam) -> Sequential:
    *hidden, last = net[1:]
    model = Sequential([*(Dense(n, "relu") for n in hidden), Dense(last)], seed=0)
    model.compile(optimizer, "mse")
    model.build(net[0])
    return model


def batches(net: tuple[int, ...], optimizer: SGD | Adam) -> dict[str, Way]:
    """One epoch of batches, in `fit` and in calls of their own."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(BATCH * N_BATCHES, net[0])).astype(np.float32)
    y = rng.normal(size=(len(X), net[-1])).astype(np.float32)
    pieces = [slice(start, start + BATCH) for start in range(0, len(X), BATCH)]
    models = [model_for(net, optimizer) for _ in range(3)]

    def fit() -> None:
        models[0].fit(X, y, batch_size=BATCH, shuffle=False, threads=1)

    def train_on_batch() -> None:
        for rows in pieces:
            models[1].train_on_batch(X[rows], y[rows])

    def three_calls() -> None:
        model = models[2]
        for rows in pieces:
            model.apply(model.backward((model.forward(X[rows]) - y[rows]) * (2 / y[rows].size)))

    ways = {"fit": fit, "train_on_batch": train_on_batch, "forward, backward, apply": three_calls}
    for way in ways.values():
        way()
    first, *others = (model.get_weights() for model in models)
    for other in others:
        assert all(np.allclose(W, V, atol=1e-4) for W, V in zip(first, other, strict=True))
    return ways


def predictions(net: tuple[int, ...]) -> dict[str, Way]:
    """One row and ten rows, as arrays and as lists."""
    model = model_for(net, SGD(0.1))
    X = np.random.default_rng(0).normal(size=(10, net[0])).astype(np.float32)
    forms = {"one row": X[:1], "a list": X[:1].tolist(), "ten rows": X, "ten as a list": X.tolist()}
    for rows in forms.values():
        assert model.predict(rows).tobytes() == model.predict(X)[: len(rows)].tobytes()

    def predict(rows: object) -> Way:
        def run() -> None:
            for _ in range(200):
                model.predict(rows)

        return run

    return {name: predict(rows) for name, rows in forms.items()}


def repeated(call: Callable[[], object]) -> Way:
    """As many calls as `ROW_CALLS`."""

    def run() -> None:
        for _ in range(ROW_CALLS):
            call()

    return run


def single_rows(n_outputs: int) -> dict[str, Way]:
    """A row of 30-64-32-n a call: predicted, and learnt from every form of its target.

    Steps of length 0 keep the weights, so that all calls are alike; what they compute is checked
    with a longer one.
    """
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 30)).astype(np.float32)

    def model_of(rate: float, regularizer: L2 | None = None) -> Sequential:
        last = Dense(n_outputs, "softmax") if n_outputs > 1 else Dense(1, "sigmoid")
        hidden = [Dense(n, "relu", kernel_regularizer=regularizer) for n in (64, 32)]
        model = Sequential([*hidden, last], seed=0)
        loss = "categorical_crossentropy" if n_outputs > 1 else "binary_crossentropy"
        model.compile(SGD(rate), loss)
        model.build(30)
        return model

    numbers = np.eye(max(n_outputs, 2), dtype=np.float32)[1:2, -n_outputs:]
    by_label, by_numbers, by_fit = (model_of(0.1) for _ in range(3))
    by_label.train_on_batch(x, 1)
    by_numbers.train_on_batch(x, numbers)
    by_fit.fit(x, [1], mode="stochastic")
    for model in (by_label, by_numbers):
        for W, V in zip(model.get_weights(), by_fit.get_weights(), strict=True):
            assert np.allclose(W, V, atol=1e-6)

    model, shrunk = model_of(0.0), model_of(0.0, L2(1e-4))
    W1, b1, W2, b2, W3, b3 = model.get_weights()

    def by_numpy() -> np.ndarray:
        a = np.maximum(np.maximum(x @ W1 + b1, 0) @ W2 + b2, 0)
        z = a @ W3 + b3
        e = np.exp(z - z.max()) if n_outputs > 1 else 1 / (1 + np.exp(-z))
        return e / e.sum() if n_outputs > 1 else e

    assert np.allclose(by_numpy(), model.predict(x), atol=1e-6)
    return {
        "predict": repeated(lambda: model.predict(x)),
        "NumPy's forward pass": repeated(by_numpy),
        "train_on_batch, label": repeated(lambda: model.train_on_batch(x, 1)),
        "train_on_batch, numbers": repeated(lambda: model.train_on_batch(x, numbers)),
        "train_on_batch, L2": repeated(lambda: shrunk.train_on_batch(x, 1)),
    }


def streams() -> dict[str, Way]:
    """A row a call for an estimator, beside `predict` of its model."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 30)).astype(np.float32)
    y, ways = (X[:, 0] > 0).astype(int), {}
    for alpha in (0.0, 1e-4):
        settings = {"solver": "sgd", "momentum": 0, "learning_rate_init": 1e-9, "alpha": alpha}
        found = MLPClassifier((64, 32), random_state=0, **settings)
        found.partial_fit(X, y, classes=[0, 1])
        assert found.predict_one(X[0]) == found.predict(X[:1])[0]
        if not ways:
            ways["predict of the model"] = repeated(lambda m=found.model_: m.predict(X[:1]))
            ways["predict_one"] = repeated(lambda c=found: c.predict_one(X[0]))
        ways[f"learn_one, alpha={alpha}"] = repeated(lambda c=found: c.learn_one(X[0], 1))
    return ways


def compare(title: str, ways: dict[str, Way], n_calls: int, n_rounds: int) -> None:
    """Print the time of a call of each way, and its ratio to the first."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(n_rounds):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            times[name].append((time.perf_counter() - began) / n_calls * 1e6)
    print(title)
    base = next(iter(times.values()))
    for name, own in times.items():
        low, middle, high = quantiles([t / b for t, b in zip(own, base, strict=True)], n=4)
        typical = quantiles(own, n=4)[1]
        print(f"  {name:<26}{typical:9.2f} us   {middle:5.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    for n_outputs in (1, 2, 10):
        compare(f"one row, 30-64-32-{n_outputs}", single_rows(n_outputs), ROW_CALLS, n_rounds)
    compare("one row, MLPClassifier 30-64-32-1", streams(), ROW_CALLS, n_rounds)
    for net in NETS:
        name = "-".join(map(str, net))
        for optimizer in (SGD(1e-3), Adam(1e-4)):
            ways = batches(net, optimizer)
            title = f"{name}, {type(optimizer).__name__}, batches of {BATCH}"
            compare(title, ways, N_BATCHES, n_rounds)
        compare(f"{name}, predict", predictions(net), 200, n_rounds)


if __name__ == "__main__":
    main()
