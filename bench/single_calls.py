"""What calls of their own cost: batches one by one beside `fit`, rows in other forms beside arrays.

    python -m bench.single_calls [rounds]

All ways take turns within a round; the figures are medians of the rounds, with the quartiles of the
ratio. Both sides are checked to end in the same weights, or to answer the same.
"""

import sys
import time
from collections.abc import Callable
from statistics import quantiles

import numpy as np

from fastnn import SGD, Adam, Dense, Sequential

BATCH, N_BATCHES = 32, 32
NETS = ((30, 64, 32, 1), (784, 128, 10), (784, 512, 512, 10))
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
        print(f"  {name:<26}{typical:9.1f} us   {middle:5.2f} ({low:.2f} to {high:.2f})")


def main() -> None:
    n_rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    for net in NETS:
        name = "-".join(map(str, net))
        for optimizer in (SGD(1e-3), Adam(1e-4)):
            ways = batches(net, optimizer)
            title = f"{name}, {type(optimizer).__name__}, batches of {BATCH}"
            compare(title, ways, N_BATCHES, n_rounds)
        compare(f"{name}, predict", predictions(net), 200, n_rounds)


if __name__ == "__main__":
    main()
