"""How many Python functions of fastnn a call of the user's walks through, and in how many files.

`python -m bench.calls` prints a line for each call: the first one of a new object, and one after
that. `python -m bench.calls fit` prints the walk itself, function after function.
"""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

import fastnn

PACKAGE = str(Path(fastnn.__file__).parent)
Walk = list[tuple[str, str]]  # file and function of each call


def walk(action: Callable[[], object]) -> Walk:
    """The calls of functions of fastnn, in their order; compiled functions are not among them."""
    found: Walk = []

    def note(frame, event, _):
        if event == "call" and frame.f_code.co_filename.startswith(PACKAGE):
            file = frame.f_code.co_filename[len(PACKAGE) + 1 :]
            found.append((file, frame.f_code.co_qualname))

    sys.setprofile(note)
    try:
        action()
    finally:
        sys.setprofile(None)
    return found


def actions() -> dict[str, tuple[Callable[[], object], Callable[[object], object]]]:
    """What to walk through: how to make the object, and the call."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 30)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)

    def model():
        layers = [fastnn.Dense(64, "relu"), fastnn.Dense(32, "relu"), fastnn.Dense(1, "sigmoid")]
        made = fastnn.Sequential(layers, seed=0)
        made.compile(fastnn.SGD(0.01), "binary_crossentropy")
        made.build(30)
        return made

    def classifier():
        return fastnn.MLPClassifier((64, 32), max_iter=1, batch_size=64, random_state=0)

    return {
        "predict, one row": (model, lambda m: m.predict(X[:1])),
        "train_on_batch, one row": (model, lambda m: m.train_on_batch(X[:1], 1)),
        "train_on_batch, 64 rows": (model, lambda m: m.train_on_batch(X, y)),
        "fit, one epoch, 64 rows": (model, lambda m: m.fit(X, y, batch_size=64)),
        "MLPClassifier.fit, one epoch, one batch": (classifier, lambda c: c.fit(X, y)),
    }


def main(wanted: str = "") -> None:
    warnings.simplefilter("ignore")
    print(f"{'call':42}{'calls':>7}{'files':>7}{'moves':>7}   (the second time)")
    for name, (make, call) in actions().items():
        made = make()
        counts = []
        for _ in range(2):
            steps = walk(lambda made=made, call=call: call(made))
            files = [file for file, _ in steps]
            moves = sum(a != b for a, b in zip(files, files[1:], strict=False))
            counts.append((len(steps), len(set(files)), moves))
        first, second = ("".join(f"{n:7}" for n in found) for found in counts)
        print(f"{name:42}{first}   {second}")
        if wanted and wanted in name:
            for file, function in steps:
                print(f"    {file:36}{function}")


if __name__ == "__main__":
    main(*sys.argv[1:])
