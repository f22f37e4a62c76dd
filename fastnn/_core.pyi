"""The doors of the compiled core, the same in every build.

`_Array` is an array of the build's number type (float32 or float64), contiguous. The first
five arguments of a door describe the network (`fastnn.network.CoreArguments`), the next four the
rows (`fastnn._validation.Data`); an array with no rows stands for "none".
"""

from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.floating[Any]]

def scratch_length(layers: npt.NDArray[np.int64], block: int) -> int: ...
def evaluate(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: int,
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
) -> float: ...
def gradient(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: int,
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    scale: float,
    gradient: _Array,
) -> float: ...
def update(parameters: _Array, gradient: _Array, learning_rate: float) -> None: ...
def stochastic(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: int,
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    rates: npt.NDArray[np.float64],
) -> float: ...
def minibatch(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: int,
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    rates: npt.NDArray[np.float64],
    batch_size: int,
    gradient: _Array,
) -> float: ...
def first_nonfinite(X: npt.NDArray[np.uint8], x_type: int, n_features: int) -> tuple[int, int]: ...
def all_finite(values: _Array) -> bool: ...
def elementwise(function: int, x: _Array, y: _Array) -> None: ...
def isa_level() -> int: ...
def build_info() -> tuple[str, int, int]: ...
