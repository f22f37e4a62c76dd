"""The arrays of a model by name, for files and pickles, and what they are made into again."""

from collections.abc import Mapping
from typing import Any

from fastnn.data.arrays import layer_weights
from fastnn.data.checks import real_number, whole_number
from fastnn.data.rows import Array
from fastnn.engine.gradient_descent import new_state
from fastnn.engine.network import Network
from fastnn.layers import Normalization
from fastnn.optimizers import Optimizer, State

LARGEST_COUNT = 2**53


def named_arrays(
    network: Network | None, state: State | None, layer: Normalization | None
) -> dict[str, Array]:
    """Copies of the weights, the optimiser's slots, and the statistics of a Normalization."""
    arrays = network.views(network.parameters) if network else {}
    if network and state is not None:
        arrays |= _slots(network, state)
    arrays = {name: view.copy() for name, view in arrays.items()}
    if layer is not None and layer.mean is not None and layer.variance is not None:
        arrays |= {"mean": layer.mean, "variance": layer.variance}
    return arrays


def sorted_arrays(
    arrays: Mapping[str, Array],
) -> tuple[dict[str, Array], dict[str, Array], dict[str, Array]]:
    """The three kinds again: weights, slots, statistics."""
    slots = {name: array for name, array in arrays.items() if name.startswith("slot")}
    statistics = {name: arrays[name] for name in ("mean", "variance") if name in arrays}
    others = slots.keys() | statistics.keys()
    return {name: arrays[name] for name in arrays if name not in others}, slots, statistics


def count(name: str, value: object) -> int:
    """How many steps or epochs there were, as a file has it: no more than a double can count."""
    number = whole_number(name, value, minimum=0)
    if number > LARGEST_COUNT:
        raise ValueError(f"{name}={number}: expected {LARGEST_COUNT} at most")
    return number


def restored_state(
    network: Network | None,
    optimizer: Optimizer,
    settings: Mapping[str, Any],
    arrays: Mapping[str, Array],
) -> State | None:
    """What the optimiser remembered, None if it had made no step."""
    step = count("step", settings["step"])
    if network is None or not (step or arrays):
        return None
    state = new_state(network, optimizer)
    state.step, state.rate = step, real_number("rate", settings.get("rate", 0.5), above=0)
    views = _slots(network, state)
    if views.keys() != arrays.keys():
        raise ValueError("the arrays are not those of its optimiser")
    for name, view in views.items():
        view[...] = layer_weights(name, arrays[name], view.shape, network.dtype)
    return state


def _slots(network: Network, state: State) -> dict[str, Array]:
    """Views of what the optimiser keeps: slot0.W1, slot0.b1, ..."""
    return {
        f"slot{number}.{name}": view
        for number, slot in enumerate(state.slots)
        for name, view in network.views(slot).items()
    }
