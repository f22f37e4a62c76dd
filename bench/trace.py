"""What a trace costs beside one forward and backward pass: `python -m bench.trace [repeats]`.

784-512-512-10 in float32 on 10,000 rows, one thread; the ways in turn, medians, and the ratio of
each round. Each timed call follows an untimed one, so that its memory is mapped
already. The gradients are compared first.
"""

import statistics
import sys
import time

import numpy as np

from bench.machine import description, use_one_thread
from fastnn import Dense, Sequential

ROWS, SIZES = 10_000, (784, 512, 512, 10)


def main() -> None:
    use_one_thread()
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    rng = np.random.default_rng(0)
    X = rng.random((ROWS, SIZES[0]), np.float32)
    y = rng.integers(0, SIZES[-1], ROWS)
    layers = [Dense(units, "relu") for units in SIZES[1:-1]]
    model = Sequential([*layers, Dense(SIZES[-1], "softmax")], seed=0)
    model.compile("SGD", "categorical_crossentropy")
    model.build(SIZES[0])

    def both_passes() -> dict[str, np.ndarray]:
        outputs = model.forward(X)
        target = np.zeros_like(outputs)
        target[np.arange(ROWS), y] = -1 / ROWS / outputs[np.arange(ROWS), y]
        return model.backward(target, inputs=True)

    ways = {
        "forward and backward": both_passes,
        "gradient": lambda: model.gradient(X, y, threads=1),
        "trace": lambda: model.trace(X, y, threads=1),
    }
    found = {name: way() for name, way in ways.items()}
    for name in ("dL/dW1", "dL/dW3"):
        for other in ("forward and backward", "gradient"):
            np.testing.assert_allclose(found["trace"][name], found[other][name], 1e-3, 1e-6)
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            way()
            began = time.perf_counter()
            way()
            times[name].append(time.perf_counter() - began)
    print("\n".join(description()))
    for name, seconds in times.items():
        ratios = [t / s for t, s in zip(times["trace"], seconds, strict=True)]
        print(
            f"{name:<22}{statistics.median(seconds):8.3f} s   trace / this: "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
