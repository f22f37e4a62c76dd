"""Rows as the core takes them: bytes, the code of their number type, targets and weights."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# The codes of `fastnn/kernels/rows.pxd`.
NUMBER_TYPES = {
    np.dtype(name): code
    for code, names in enumerate(
        (
            ["float32"],
            ["float64"],
            ["int8"],
            ["int16"],
            ["int32"],
            ["int64"],
            ["uint8", "bool"],
            ["uint16"],
            ["uint32"],
            ["uint64"],
        )
    )
    for name in names
}
ITEM_SIZES = {code: number_type.itemsize for number_type, code in NUMBER_TYPES.items()}


class Features(NamedTuple):
    """X as the core takes it: rows of bytes and the code of their number type."""

    X: npt.NDArray[np.uint8]
    x_type: int

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1]) // ITEM_SIZES[self.x_type]

    def rows(self, start: int, stop: int) -> "Features":
        return Features(self.X[start:stop], self.x_type)


class Data(NamedTuple):
    """X, y and the sample weights as the core takes them; empty arrays stand for none."""

    X: npt.NDArray[np.uint8]
    x_type: int
    y: Array
    sample_weight: Array

    @property
    def n_rows(self) -> int:
        return len(self.X)

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1]) // ITEM_SIZES[self.x_type]

    def rows(self, start: int, stop: int) -> "Data":
        return Data(
            self.X[start:stop], self.x_type, self.y[start:stop], self.sample_weight[start:stop]
        )
