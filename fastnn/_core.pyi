"""The doors of the compiled core, the same in every build.

`_Array` is an array of the build's number type (float32 or float64), contiguous. The first
six arguments of most doors describe the network (`fastnn.network.CoreArguments`), the next four the
rows (`fastnn._validation.Data`); an array with no rows stands for "none". `predictions` has room
for the outputs or, in more columns, for all outputs and then all targets. The last three say which
member of a team comes (`fastnn._team.Team`), none that the caller is alone.
"""

from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.floating[Any]]

def scratch_length(layers: npt.NDArray[np.int64], block: int, stochastic: bool) -> int: ...
def evaluate(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def gradient(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    scale: float,
    gradient: _Array,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def backward(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    dL_dy: _Array,
    gradient: _Array,
    transposed: _Array,
    dL_dx: _Array,
) -> None: ...
def update(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    gradient: _Array,
    steps: npt.NDArray[np.float64],
    rule: npt.NDArray[np.float64],
    layer_rules: npt.NDArray[np.float64],
    slots: _Array,
    counts: npt.NDArray[np.int64],
) -> None: ...
def stochastic(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    steps: npt.NDArray[np.float64],
    rule: npt.NDArray[np.float64],
    layer_rules: npt.NDArray[np.float64],
    slots: _Array,
    counts: npt.NDArray[np.int64],
    path: int,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def minibatch(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    X: npt.NDArray[np.uint8],
    x_type: int,
    y: _Array,
    sample_weight: _Array,
    loss: npt.NDArray[np.float64],
    order: npt.NDArray[np.int64],
    predictions: _Array,
    total: float,
    steps: npt.NDArray[np.float64],
    rule: npt.NDArray[np.float64],
    layer_rules: npt.NDArray[np.float64],
    slots: _Array,
    counts: npt.NDArray[np.int64],
    batch_size: int,
    gradient: _Array,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def keep_state(
    parameters: _Array,
    slots: _Array,
    counts: npt.NDArray[np.int64],
    kept: _Array,
    kept_counts: npt.NDArray[np.int64],
) -> None: ...
def restore_state(
    parameters: _Array,
    slots: _Array,
    counts: npt.NDArray[np.int64],
    kept: _Array,
    kept_counts: npt.NDArray[np.int64],
) -> None: ...
def one_row_length() -> int: ...
def prepare_one_row(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    loss: npt.NDArray[np.float64],
    rule: npt.NDArray[np.float64],
    layer_rules: npt.NDArray[np.float64],
    slots: _Array,
    counts: npt.NDArray[np.int64],
    path: int,
    kept: _Array,
    kept_counts: npt.NDArray[np.int64],
    memory: bytearray,
) -> None: ...
def learn_one(
    memory: bytearray, X: npt.NDArray[Any], x_type: int, target: float, rate: float, shrink: float
) -> float: ...
def few_rows_length() -> int: ...
def prepare_few_rows(
    layers: npt.NDArray[np.int64],
    parameters: _Array,
    normalization: npt.NDArray[np.float64],
    block: int,
    scratch: _Array,
    noise: npt.NDArray[np.int64],
    memory: bytearray,
) -> None: ...
def predict_few_rows(
    memory: bytearray, X: npt.NDArray[Any], x_type: int, outputs: _Array
) -> bool: ...
def first_nonfinite(X: npt.NDArray[np.uint8], x_type: int, n_features: int) -> tuple[int, int]: ...
def all_finite(values: _Array) -> bool: ...
def largest_places(outputs: _Array, places: npt.NDArray[np.int64]) -> None: ...
def elementwise(function: int, x: _Array, y: _Array) -> None: ...
def isa_level() -> int: ...
def build_info() -> tuple[str, int, int]: ...
def opens(lock: Lock, patience: int) -> bool: ...
def close_team(team: Any, *error: object) -> None: ...
