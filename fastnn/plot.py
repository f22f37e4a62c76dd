"""Pictures of training and of networks; they need matplotlib (`pip install "fastnn-cpu[plot]"`).

Each function takes `ax=`, Axes to draw on, and returns the Axes; without it a new figure is made:
`ax = fastnn.plot.history(history); ax.get_figure().savefig("loss.png")`. No display is needed, and
no setting of matplotlib changes. Every cost is computed by the compiled network, on a copy.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from fastnn.callbacks.history import History
from fastnn.callbacks.path_recorder import PathRecorder
from fastnn.data.checks import lookup, real_number, whole_number
from fastnn.data.rows import Array
from fastnn.inspection import diagrams, surfaces
from fastnn.inspection.curves import history_curves
from fastnn.inspection.style import COLOURS, checked_axes, legend, new_figure, tidy
from fastnn.inspection.surfaces import Plane
from fastnn.models import Sequential
from fastnn.training.plan import Mode

__all__ = [
    "animate",
    "cost_surface",
    "decision_boundary",
    "history",
    "learning_rates",
    "network",
    "one_weight",
    "weights",
]

Kind = Literal["contour", "3d"]
KINDS: dict[str, Kind] = {"contour": "contour", "3d": "3d"}
FRAMES = 60


def history(history: History, ax: Any = None) -> Any:
    """Loss and metrics of a fit by epoch, the best epoch marked.

    Training is solid, validation dashed. The best epoch is that of the lowest loss of validation
    or, without validation, of the lowest loss.

    Parameters
    ----------
    history : History
        What `fit` returned.
    ax : Axes, or two of them, optional
        For the loss and, if there are metrics, for these.

    Returns
    -------
    Axes, or tuple of two

    Raises
    ------
    ImportError, TypeError, ValueError
        If matplotlib is not installed, or there are no epochs to draw.

    Examples
    --------
    >>> import fastnn
    >>> model = fastnn.Sequential([fastnn.Dense(1)], seed=0)
    >>> model.compile(loss="mean_squared_error")
    >>> ax = fastnn.plot.history(model.fit([[1.0], [2.0]], [1.0, 2.0], epochs=5))
    >>> ax.get_xlabel()
    'epoch'
    """
    return history_curves(history, ax)


def cost_surface(
    model: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    *,
    weights: Sequence[str] | None = None,
    paths: Mapping[str, Array] | None = None,
    kind: Kind = "contour",
    size: int = surfaces.GRID,
    ax: Any = None,
) -> Any:
    """The cost L over two weights, or over the plane of the paths of gradient descent.

    With `weights` all others are held as they are in the model. Without, the plane holds as much of
    the paths' spread as a plane can (the two principal directions); the title says how much. Points
    of a path are drawn where they lie in the plane; in three dimensions at the cost of that place.

    Parameters
    ----------
    model : Sequential
        Compiled, with weights; it stays as it is.
    X, y
        The rows to compute L of, with what regularisers add.
    weights : two names, optional
        Such as ("W1[0,0]", "b1[0]").
    paths : dict of str to array of shape (n_points, n_weights), optional
        By the names of the legend, as `PathRecorder.path` has them.
    kind : {"contour", "3d"}
    size : int
        How many costs along each side; each takes a pass over X.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If a name or a path does not belong to the model, or there is neither.
    """
    checked = lookup("kind", kind, KINDS)
    size = whole_number("size", size, minimum=3)
    cost = _cost_of(model, X, y)
    given = _checked_paths(model, paths)
    plane = _plane(model, weights, given)
    places = {name: plane.coordinates(path) for name, path in given.items()}
    around = np.concatenate(list(places.values())) if places else None
    found = surfaces.surface(plane, cost, around, size)
    return surfaces.drawn_surface(plane, found, cost, places, checked, ax)


def learning_rates(
    model: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    rates: Sequence[float] = (0.01, 0.1, 1.0),
    *,
    epochs: int = 20,
    mode: Mode = "batch",
    ax: Any = None,
) -> tuple[Any, Any]:
    """Paths with several learning rates on one cost surface, and their loss curves.

    Copies of the model are trained from its present weights, each with a rate; the model stays as
    it is. A rate that diverges is drawn as far as it came, and said to be so; a path that leads
    three times as far away as the others do is cut.

    Parameters
    ----------
    model : Sequential
        Compiled, with weights.
    X, y, epochs, mode
        As in `fit`.
    rates : sequence of float
    ax : two Axes, optional
        For the surface and for the curves.

    Returns
    -------
    tuple of two Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.
    """
    checked = [
        real_number("rates", rate, above=0) for rate in _listed("rates", rates, "[0.01, 0.1, 1.0]")
    ]
    axes = list(new_figure(6, 8).subplots(2, 1)) if ax is None else list(np.ravel(ax))
    if len(axes) != 2:
        raise ValueError(f"ax has {len(axes)} Axes; expected two, for the surface and the curves")
    _weights_of(model)
    paths, curves = {}, {}
    for rate in checked:
        twin, recorder, name = copy.deepcopy(model), PathRecorder(), f"rate {rate:g}"
        twin.optimizer.learning_rate = rate
        try:
            twin.fit(X, y, epochs=epochs, mode=mode, callbacks=[recorder])
        except FloatingPointError:
            name += ", diverged"
        paths[name], curves[name] = recorder.path, twin.history.history.get("loss", [])
    _draw_rates(model, _cost_of(model, X, y), paths, axes[0])
    for (name, losses), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        axes[1].plot(np.arange(1, len(losses) + 1), losses, color=colour, label=name, linewidth=1.8)
    tidy(checked_axes(axes[1]), "loss by epoch", "epoch", "loss")
    if all(0 < loss < np.inf for losses in curves.values() for loss in losses):
        axes[1].set_yscale("log")
    legend(axes[1])
    return axes[0], axes[1]


def _draw_rates(
    model: Sequential, cost: surfaces.Cost, paths: Mapping[str, Array], ax: Any
) -> None:
    """The paths on their plane, as far as the least far-reaching ones let the others be seen."""
    reach = {name: float(np.abs(path - path[0]).max()) for name, path in paths.items()}
    near = 3 * sorted(reach.values())[(len(reach) - 1) // 2]
    kept = {
        name: path[: max(2, int(np.argmax(np.abs(path - path[0]).max(axis=1) > near) or len(path)))]
        for name, path in paths.items()
    }
    plane = surfaces.principal_plane(list(kept.values()))
    places = {
        name if len(path) == len(paths[name]) else f"{name}, cut": plane.coordinates(path)
        for name, path in kept.items()
    }
    found = surfaces.surface(plane, cost, np.concatenate(list(places.values())))
    surfaces.drawn_surface(plane, found, cost, places, "contour", ax)


def one_weight(
    model: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    weight: str = "W1[0,0]",
    *,
    rate: float | None = None,
    steps: int = 5,
    ax: Any = None,
) -> Any:
    """The cost against one weight: tangent = gradient, step = rate · gradient, the descent.

    All other weights are held as they are; so the descent is that of this weight alone.

    Parameters
    ----------
    model : Sequential
        Compiled, with weights; it stays as it is.
    X, y
        The rows to compute the cost of.
    weight : str
        Such as "W1[0,0]" or "b2[1]".
    rate : float, optional
        The learning rate; that of the model's optimiser unless given.
    steps : int
        How many steps of the descent to draw.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is no such weight, or the optimiser has no single rate and none is given.
    """
    place, cost = _place_of(model, weight), _cost_of(model, X, y)
    steps = whole_number("steps", steps, minimum=1)
    if rate is None:
        own = getattr(model.optimizer, "learning_rate", None)
        if not isinstance(own, float):
            raise ValueError("the optimiser has no single learning rate; give one, e.g. rate=0.1")
        rate = own
    rate = real_number("rate", rate, above=0)
    twin, flat = copy.deepcopy(model), _weights_of(model)
    points, slopes = [float(flat[place])], []
    for _ in range(steps):
        twin.set_weights(_split(model, flat))
        slopes.append(float(_flat(list(twin.gradient(X, y).values()))[place]))
        flat = flat.copy()
        flat[place] -= rate * slopes[-1]
        points.append(float(flat[place]))
    start = _weights_of(model)

    def along(value: float) -> float:
        moved = start.copy()
        moved[place] = value
        return cost(moved)

    extent = max(abs(p - points[0]) for p in points[1:]) or 1.0
    low, high = min(points) - 0.6 * extent, max(points) + 0.6 * extent
    x = np.linspace(low, high, 161)
    costs, heights = np.array([along(v) for v in x]), np.array([along(p) for p in points])
    return surfaces.drawn_slope(
        x, costs, np.array(points), heights, slopes[0], rate, weight, ax
    )  # fmt: skip


def decision_boundary(model: Any, X: Any, y: ArrayLike, *, size: int = 200, ax: Any = None) -> Any:
    """What a model of two features decides at each place, with the rows and their own classes.

    Parameters
    ----------
    model : Sequential, MLPClassifier or MLPRegressor
        Trained on two features. Classifiers and networks with a cross-entropy or hinge loss are
        drawn as regions of classes, others as a map of the numbers predicted.
    X, y
        The rows to draw.
    size : int
        How many places along each side.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If X does not have two columns, or the model does not predict.
    """
    rows, targets = np.asarray(X, float), np.asarray(y)
    if rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(
            f"X has shape {rows.shape}; expected two columns, e.g. X[:, [0, 1]], and a model of two"
        )
    if not hasattr(model, "predict"):
        raise TypeError(f"model is {type(model).__name__}; expected a Sequential or an estimator")
    size = whole_number("size", size, minimum=2)
    names = [str(name) for name in getattr(X, "columns", ("feature 0", "feature 1"))]
    low, high = rows.min(axis=0), rows.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-12)
    a, b = (np.linspace(low[i] - margin[i], high[i] + margin[i], size) for i in (0, 1))
    grid = np.stack(np.meshgrid(a, b), axis=-1).reshape(-1, 2)
    if hasattr(X, "columns"):
        grid = type(X)(grid, columns=X.columns)
    answers, classes = _answers(model, grid, targets)
    answers = answers.reshape(size, size)
    if classes is None:
        return diagrams.heights_map(a, b, answers, rows, targets.reshape(-1), names, ax)
    labels = np.searchsorted(classes, targets.reshape(-1))
    shown = [str(label) for label in classes]
    return diagrams.regions(a, b, answers, rows, labels, shown, names, ax)


def _answers(model: Any, grid: Any, targets: Array) -> tuple[Array, Array | None]:
    """The number of the class at each place, and the classes; or the numbers predicted."""
    classes = getattr(model, "classes_", None)
    if classes is not None:
        return np.searchsorted(classes, model.predict(grid)), np.asarray(classes)
    outputs = np.asarray(model.predict(grid))
    if not isinstance(model, Sequential):
        return outputs.reshape(len(grid), -1)[:, 0], None
    activation, n_outputs = getattr(model.layers[-1], "activation", None), outputs.shape[1]
    if n_outputs > 1:
        return outputs.argmax(axis=1), np.arange(n_outputs)
    known = np.unique(targets)
    if activation == "sigmoid" or set(known.tolist()) <= {-1, 1}:
        border = 0.5 if activation == "sigmoid" else 0.0
        pair = known if len(known) == 2 else np.array([0, 1])
        return (outputs[:, 0] > border).astype(int), pair
    return outputs[:, 0], None


def network(
    model: Sequential, gradient: Mapping[str, Array] | None = None, *, ax: Any = None
) -> Any:
    """Units as nodes and weights as lines; with a gradient beside them dL/dW, backward.

    Blue is positive, orange negative, the width is the size relative to the largest of the layer.
    Of more than nine units in a layer the first and the last are drawn.

    Parameters
    ----------
    model : Sequential
        With weights.
    gradient : dict of str to array, optional
        What `model.gradient(X, y)` or `model.trace(X, y)` returns.
    ax : Axes, or two of them with a gradient, optional

    Returns
    -------
    Axes, or tuple of two with a gradient

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If the model has no weights, or the gradient is not that of the model.
    """
    _weights_of(model)
    matrices = [array for array in model.get_weights() if array.ndim == 2]
    dense = [layer for layer in model.layers if hasattr(layer, "units")]
    activations = [str(getattr(layer, "activation", None) or "linear") for layer in dense]
    names = dict(enumerate(model.feature_names or ()))
    if gradient is None:
        return diagrams.network_diagram(
            matrices, names, activations, ax, title="forward: weights W"
        )
    wanted = [f"dL/dW{k}" for k in range(1, len(matrices) + 1)]
    missing = [name for name in wanted if name not in gradient]
    if missing:
        raise ValueError(
            f"gradient has no {missing[0]!r}; expected what model.gradient(X, y) returns"
        )
    panels = diagrams.two_panels() if ax is None else [checked_axes(one) for one in np.ravel(ax)]
    if len(panels) != 2:
        raise ValueError(f"ax has {len(panels)} Axes; expected two, for forward and backward")
    diagrams.network_diagram(matrices, names, activations, panels[0], title="forward: weights W")
    diagrams.network_diagram(
        [np.asarray(gradient[name]) for name in wanted], names, activations, panels[1],
        title="backward: gradient dL/dW", backward=True,
    )  # fmt: skip
    return panels[0], panels[1]


def weights(
    model: Sequential,
    layer: int = 1,
    *,
    shape: tuple[int, int] | None = None,
    n_units: int = 36,
    ax: Any = None,
) -> Any:
    """The weights of each unit of a layer as an image of its inputs: the filters of a first layer.

    Blue is positive, red negative, white 0.

    Parameters
    ----------
    model : Sequential
        With weights.
    layer : int
        Which layer with weights, counted from 1 as in W1.
    shape : (height, width), optional
        Of the images; a square if the number of inputs is one, otherwise a row.
    n_units : int
        How many units to draw at most.
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If there is no such layer, or the shape does not fit its inputs.
    """
    _weights_of(model)
    matrices = [array for array in model.get_weights() if array.ndim == 2]
    number = whole_number("layer", layer, minimum=1, maximum=len(matrices))
    W = matrices[number - 1]
    side = int(np.sqrt(len(W)))
    if shape is None:
        shape = (side, side) if side * side == len(W) else (1, len(W))
    if len(shape) != 2 or shape[0] * shape[1] != len(W):
        raise ValueError(
            f"shape={shape!r} has not the {len(W)} numbers that a unit of layer {number} takes, "
            f"e.g. shape=(1, {len(W)})"
        )
    return diagrams.filters(W, shape, whole_number("n_units", n_units, minimum=1), ax)


def animate(
    model: Sequential,
    X: ArrayLike,
    y: ArrayLike,
    paths: Mapping[str, Array],
    path: str | os.PathLike[str] = "descent.gif",
    *,
    weights: Sequence[str] | None = None,
    seconds: float = 5.0,
) -> None:
    """Write a GIF of gradient descent on its cost surface, all paths at once.

    Parameters
    ----------
    model, X, y, weights
        As for `cost_surface`.
    paths : dict of str to array of shape (n_points, n_weights)
        As `PathRecorder.path` has them.
    path : path
        The file, which ends in .gif.
    seconds : float
        How long it takes.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError, ValueError
        If an argument does not fit.
    """
    if not os.fspath(path).endswith(".gif"):
        raise ValueError(f"path={os.fspath(path)!r}: expected a name that ends in .gif")
    seconds = real_number("seconds", seconds, above=0)
    cost, given = _cost_of(model, X, y), _checked_paths(model, paths)
    plane = _plane(model, weights, given)
    places = {name: plane.coordinates(each) for name, each in given.items()}
    found = surfaces.surface(plane, cost, np.concatenate(list(places.values())))
    longest = max(map(len, places.values()))
    n_frames = min(FRAMES, longest)

    def draw(axes: Any, frame: int) -> None:
        share = (frame + 1) / n_frames
        so_far = {name: each[: max(1, round(share * len(each)))] for name, each in places.items()}
        surfaces.drawn_surface(plane, found, cost, so_far, "contour", axes)

    surfaces.animated(draw, n_frames, path, seconds)


# ---- checks -------------------------------------------------------------------------------------


def _weights_of(model: Any) -> Array:
    """All weights in one row."""
    if not isinstance(model, Sequential):
        raise TypeError(
            f"model is {type(model).__name__}; expected a Sequential, e.g. of an estimator "
            f"estimator.model_"
        )
    return _flat(model.get_weights())


def _flat(arrays: Sequence[Array]) -> Array:
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float64)


def _split(model: Sequential, flat: Array) -> list[Array]:
    """The weights of a row as `set_weights` takes them."""
    found, start = [], 0
    for array in model.get_weights():
        found.append(flat[start : start + array.size].reshape(array.shape))
        start += array.size
    return found


def _cost_of(model: Sequential, X: ArrayLike, y: ArrayLike) -> surfaces.Cost:
    """L as a function of all weights, on a copy of the model; infinite where it overflows."""
    _weights_of(model)
    twin = copy.deepcopy(model)
    twin.evaluate(X, y)  # refuses rows that do not fit

    def cost(flat: Array) -> float:
        try:
            twin.set_weights(_split(twin, flat))
            return float(twin.evaluate(X, y, return_dict=True)["loss"])
        except (FloatingPointError, ValueError):
            return float("inf")

    return cost


def _place_of(model: Sequential, name: object) -> int:
    """Where a weight such as "W1[0,2]" lies among all."""
    flat = _weights_of(model)
    arrays, start = _named(model), 0
    match = re.fullmatch(r"([Wb]\d+)\[(\d+)(?:,\s*(\d+))?\]", str(name))
    for known, array in arrays.items():
        if match and match[1] == known:
            place = tuple(int(part) for part in match.groups()[1:] if part is not None)
            if len(place) == array.ndim and all(
                i < n for i, n in zip(place, array.shape, strict=True)
            ):
                return start + int(np.ravel_multi_index(place, array.shape))
        start += array.size
    shapes = ", ".join(f"{known} {array.shape}" for known, array in arrays.items())
    raise ValueError(
        f"weight={name!r}: expected the name of one of the {flat.size} weights, such as "
        f"'W1[0,0]' or 'b1[0]'; the model has {shapes}"
    )


def _named(model: Sequential) -> dict[str, Array]:
    """The weights by the names W1, b1, ..."""
    found, number = {}, 0
    for array in model.get_weights():
        number += array.ndim == 2
        found[f"{'W' if array.ndim == 2 else 'b'}{number}"] = array
    return found


def _listed(name: str, given: Any, example: str) -> list[Any]:
    if isinstance(given, str) or not hasattr(given, "__iter__"):
        raise TypeError(f"{name} is {given!r}; expected a list, e.g. {name}={example}")
    listed = list(given)
    if not listed:
        raise ValueError(f"{name} is empty; expected e.g. {name}={example}")
    return listed


def _checked_paths(model: Sequential, paths: object) -> dict[str, Array]:
    """The paths, each an array of points of the model's weights."""
    n_weights = _weights_of(model).size
    if paths is None:
        return {}
    example = "paths={'batch': recorder.path}, of a PathRecorder"
    if not isinstance(paths, Mapping) or not paths:
        raise TypeError(f"paths is {type(paths).__name__}; expected a dictionary, {example}")
    found = {}
    for name, given in paths.items():
        path = np.asarray(given, np.float64)
        if path.ndim != 2 or path.shape[1] != n_weights or len(path) == 0:
            raise ValueError(
                f"paths[{name!r}] has shape {path.shape}; expected (n_points, {n_weights}), "
                f"{example}"
            )
        found[str(name)] = path
    return found


def _plane(model: Sequential, weights: Any, paths: Mapping[str, Array]) -> Plane:
    """The plane of two weights or, if none are named, that of the paths."""
    if weights is None:
        if not paths:
            raise ValueError(
                "neither weights nor paths are given; expected two weights, e.g. "
                "weights=('W1[0,0]', 'b1[0]'), or paths={'batch': recorder.path}"
            )
        return surfaces.principal_plane(list(paths.values()))
    names = _listed("weights", weights, "('W1[0,0]', 'b1[0]')")
    if len(names) != 2:
        raise ValueError(f"weights={names!r}: expected two, e.g. weights=('W1[0,0]', 'b1[0]')")
    places = [_place_of(model, name) for name in names]
    if places[0] == places[1]:
        raise ValueError(f"weights={names!r} names one weight twice; expected two")
    return surfaces.plane_of_weights(_weights_of(model), places, (str(names[0]), str(names[1])))
