"""What the compiled core offers to Python, the same in every build.

`_Array` is a contiguous array of the build's number type (float32 or float64). The tables are
structured arrays; the fields of each are those of the C struct that the core reads. The last three
arguments of the passes over rows say which member of a team calls (`fastnn.native.team.Team`);
without them the caller is alone.
"""

from threading import Lock
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.floating[Any]]
_Table = npt.NDArray[np.void]
_Order = npt.NDArray[np.int64] | None

ACTIVATIONS: dict[str, int]
FROM_Z: frozenset[str]
LOSSES: dict[str, int]
METHODS: dict[str, int]
SLOTS: dict[str, int]
CLIPS: dict[str, int]
PATHS: dict[str, int]
NUMBER_TYPES: dict[str, int]
ELEMENTWISE: tuple[str, ...]
READABLE: frozenset[np.dtype[Any]]
LINE_LENGTH: int
NARROW_WIDTH: int
MOST_TINY_LAYERS: int
BY_LANE_OUTPUTS: int
TEAM_ABORTED: int
TEAM_PLACES: int
LAYER: np.dtype[np.void]
LAYER_RULE: np.dtype[np.void]
STEP: np.dtype[np.void]
CONSTANTS: np.dtype[np.void]
LOSS_SETTINGS: np.dtype[np.void]
COUNTS: np.dtype[np.void]
RECORD_PLACES: np.dtype[np.void]

@final
class Rows:
    def __new__(
        cls,
        X: npt.NDArray[Any] | None = ...,
        y: _Array | None = ...,
        sample_weight: _Array | None = ...,
    ) -> Self: ...
    def __len__(self) -> int: ...

@final
class Turn:
    def __init__(self) -> None: ...

@final
class Context:
    key: int
    most_rows: int
    lowest_target: float
    highest_target: float
    whole_targets: bool
    targets_add_up: bool
    def __new__(
        cls,
        layers: _Table,
        layer_rules: _Table,
        parameters: _Array,
        normalization: npt.NDArray[np.float64],
        block: int,
        scratch: _Array,
        quick: bool = ...,
        turn: Turn | None = ...,
    ) -> Self: ...
    @property
    def n_bytes(self) -> int: ...
    def set_loss(self, loss: _Table) -> None: ...
    def set_rule(
        self,
        constants: _Table,
        layer_rules: _Table,
        slots: _Array,
        counts: _Table,
        path: str | None = ...,
    ) -> None: ...
    def set_gradient(self, gradient: _Array) -> None: ...
    def set_record(
        self,
        places: _Table,
        values: _Array,
        losses: npt.NDArray[np.float64],
        W_transposed: _Array,
        given: bool = ...,
    ) -> None: ...
    def set_steps(self, steps: _Table) -> None: ...

@final
class Snapshot:
    def __new__(
        cls, parameters: _Array, slots: _Array, counts: _Table, numbers: _Array
    ) -> Self: ...
    @property
    def steps(self) -> int: ...
    @property
    def steps_since(self) -> int: ...

def scratch_length(layers: _Table, block: int, stochastic: bool) -> int: ...
def evaluate(
    context: Context,
    rows: Rows,
    order: _Order,
    start: int,
    stop: int,
    predictions: _Array | None,
    total: float = ...,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def gradient(
    context: Context,
    rows: Rows,
    order: _Order,
    start: int,
    stop: int,
    predictions: _Array | None,
    total: float,
    scale: float,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def stochastic(
    context: Context,
    rows: Rows,
    order: _Order,
    start: int,
    stop: int,
    predictions: _Array | None,
    total: float = ...,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def minibatch(
    context: Context,
    rows: Rows,
    order: _Order,
    start: int,
    stop: int,
    predictions: _Array | None,
    total: float,
    batch_size: int,
    member: int = ...,
    size: int = ...,
    team: npt.NDArray[np.intc] | None = ...,
) -> float: ...
def backward(
    context: Context, dL_dy: _Array, gradient: _Array, transposed: _Array, dL_dx: _Array
) -> None: ...
def update(context: Context, gradient: _Array) -> None: ...
def penalty(context: Context, own: float, share: float) -> float: ...
def few_rows(context: Context, X: object, y: object = ..., is_row: bool = ...) -> Rows | None: ...
def keep_state(snapshot: Snapshot) -> None: ...
def restore_state(snapshot: Snapshot) -> None: ...
def is_finite_state(snapshot: Snapshot) -> bool: ...
def settle_step(snapshot: Snapshot, loss: float, every: int) -> bool: ...
def aligned_empty(n: int) -> _Array: ...
def aligned_zeros(n: int) -> _Array: ...
def activation_slopes(activation: str, kept: _Array, slopes: _Array) -> None: ...
def first_nonfinite(X: npt.NDArray[Any]) -> tuple[int, int]: ...
def all_finite(values: _Array) -> bool: ...
def largest_places(outputs: _Array, places: npt.NDArray[np.int64]) -> None: ...
def elementwise(function: str, x: _Array, y: _Array) -> None: ...
def isa_level() -> int: ...
def build_info() -> tuple[str, int, int]: ...
def opens(lock: Lock, patience: int) -> bool: ...
def close_team(team: Any, *error: object) -> None: ...
