"""MNIST from a file, the order in which its rows are visited, and the one judge of accuracy."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from bench.workloads import Array, Net

Labels = NDArray[np.int64]

# Accuracy is measured after each part: a sixth of an epoch, and whole batches of up to 256 rows.
PART = 10_240


class DigitsError(Exception):
    """The file does not hold what is needed."""


@dataclass(frozen=True)
class Digits:
    """Pixels in [0, 1] as float32, labels from 0 on."""

    X: Array
    y: Labels
    X_test: Array
    y_test: Labels

    @cached_property
    def net(self) -> Net:
        return Net((self.X.shape[1], 128, int(self.y.max()) + 1), n_rows=len(self.X))

    def part(self, k: int, seed: int) -> tuple[Array, Labels]:
        """The k-th part of an endless run of epochs, each in an order of its own."""
        rows = rows_of_part(len(self.X), k, seed)
        return self.X[rows], self.y[rows]

    def accuracy(self, weights: list[Array]) -> float:
        """Share of the test rows whose largest output is that of their label."""
        a = self.X_test
        for W, b in zip(weights[:-2:2], weights[1:-2:2], strict=True):
            a = np.maximum(a @ W + b, 0.0)
        guessed = (a @ weights[-2] + weights[-1]).argmax(axis=1)
        return float((guessed == self.y_test).mean())


def rows_of_part(n_rows: int, k: int, seed: int) -> NDArray[np.int64]:
    """Indices of the k-th part; a part may hold the end of one epoch and the start of the next."""
    first, last = k * PART // n_rows, ((k + 1) * PART - 1) // n_rows
    orders = [np.random.default_rng([seed, e]).permutation(n_rows) for e in range(first, last + 1)]
    start = k * PART - first * n_rows
    return np.concatenate(orders)[start : start + PART]


def load(path: Path) -> Digits:
    """X_train, y_train, X_test and y_test of an .npz file, in upper or lower case."""
    arrays = read(path)
    names = ("x_train", "y_train", "x_test", "y_test")
    if missing := [name for name in names if name not in arrays]:
        raise DigitsError(f"{path} has no {', '.join(missing)}; it holds {', '.join(arrays)}")
    X, y, X_test, y_test = (arrays[name] for name in names)
    for images, labels in ((X, y), (X_test, y_test)):
        if images.ndim < 2 or labels.ndim != 1 or not 0 < len(images) == len(labels):
            shapes = f"{images.shape} and {labels.shape}"
            raise DigitsError(f"{path}: images and labels do not go together: {shapes}")
        if labels.dtype.kind not in "iu" or labels.min() < 0:
            raise DigitsError(f"{path}: labels are integers from 0 on")
    if X.shape[1:] != X_test.shape[1:]:
        raise DigitsError(f"{path}: images for training and test differ in size")
    scale = np.float32(255 if X.max() > 1 else 1)
    return Digits(pixels(X, scale), y.astype(int), pixels(X_test, scale), y_test.astype(int))


def read(path: Path) -> dict[str, NDArray]:
    """The arrays by name, in lower case."""
    try:
        with np.load(path) as file:
            return {name.lower(): file[name] for name in file.files}
    except OSError as error:
        raise DigitsError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, EOFError, BadZipFile, TypeError, AttributeError):
        raise DigitsError(f"{path} is not an .npz file of plain arrays") from None


def pixels(images: NDArray, scale: np.float32) -> Array:
    return images.reshape(len(images), -1).astype(np.float32) / scale
