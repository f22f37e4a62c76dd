"""What a model is, in lines: layers, sizes, and what training it will take."""

from collections.abc import Iterator, Sequence

from fastnn.engine.network import Network
from fastnn.engine.per_sample import path_for
from fastnn.layers import Dense, Dropout, Layer, Normalization
from fastnn.losses import Loss
from fastnn.optimizers import Optimizer, State

EXAMPLE = 32  # rows of a batch, of which threads and memory are shown


def layer_lines(layers: Sequence[Layer], n_features: int | None, about: str) -> Iterator[str]:
    """A table of the layers, with their outputs and numbers of parameters as far as known.

    `about` begins its last line, the sum.
    """
    yield f"{'layer':<24}{'outputs':>10}{'parameters':>14}"
    n_in, total = n_features, 0
    for layer in layers:
        name, outputs, size = type(layer).__name__, n_in, 0 if n_features else None
        if isinstance(layer, Dropout):
            name += f" ({layer.rate:g})"
        elif isinstance(layer, Dense):
            name, outputs = f"{name} ({layer.activation})", layer.units
            size = None if n_in is None else layer.units * (n_in + layer.use_bias)
            n_in = layer.units
        if isinstance(layer, Dropout | Normalization):
            size = 0
        total += size or 0
        yield f"{name:<24}{_shown(outputs):>10}{_shown(size):>14}"
    yield f"{about}, parameters: {_shown(total if n_features else None)}"


def training_lines(
    network: Network, loss: Loss, optimizer: Optimizer, state: State
) -> Iterator[str]:
    """What a compiled model with weights needs, and which ways it takes."""
    yield f"optimizer {optimizer}, loss {loss.name}"
    rule = optimizer.rule(network.layer_rules, state)
    dense, sparse = (path_for(network, share, rule).name for share in (1.0, 0.0))
    yield f"stochastic mode: {dense}{f', sparse rows {sparse}' if sparse != dense else ''}"
    threads = network.training_team(None, EXAMPLE).size
    sizes = network.parameters.nbytes, state.slots.nbytes, network.scratch_bytes(EXAMPLE)
    weights, slots, memory = (f"{size / 1e3:,.1f} kB" for size in sizes)
    yield (
        f"batches of {EXAMPLE}: {threads} thread{'s' * (threads > 1)}; memory: weights {weights}, "
        f"optimizer {slots}, activations {memory}"
    )


def _shown(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"
