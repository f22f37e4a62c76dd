"""Learning rates and momentum: the loss of seven settings over the epochs, on four sets of rows.

scikit-learn's falling rate counts rows, not epochs, so it is small after the first one already:
momentum makes up for some of that. On small data like these any of the others may win.
``python examples/sklearn_rates.py --library both``
"""

from collections.abc import Iterator, Sequence

from libraries import Fit, show
from sklearn.datasets import load_digits, load_iris, make_circles, make_moons
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

PLAIN = {"solver": "sgd", "learning_rate_init": 0.2, "momentum": 0.0}
MOMENTUM = PLAIN | {"momentum": 0.9, "nesterovs_momentum": False}
SETTINGS = {
    "constant": PLAIN,
    "constant, momentum": MOMENTUM,
    "constant, Nesterov's": MOMENTUM | {"nesterovs_momentum": True},
    "falling": PLAIN | {"learning_rate": "invscaling"},
    "falling, momentum": MOMENTUM | {"learning_rate": "invscaling"},
    "falling, Nesterov's": MOMENTUM | {"learning_rate": "invscaling", "nesterovs_momentum": True},
    "Adam": {"solver": "adam", "learning_rate_init": 0.01},
}
ROWS = {  # with how many epochs
    "iris": (load_iris(return_X_y=True), 300),
    "digits": (load_digits(return_X_y=True), 15),
    "circles": (make_circles(noise=0.2, factor=0.5, random_state=1), 300),
    "moons": (make_moons(noise=0.3, random_state=0), 300),
}


def fits(MLPClassifier: type) -> Iterator[Fit]:
    for name, ((X, y), epochs) in ROWS.items():
        for setting, parameters in SETTINGS.items():
            network = MLPClassifier(max_iter=epochs, random_state=0, **parameters)
            yield Fit(f"{name}: {setting}", make_pipeline(MinMaxScaler(), network), X, y, X, y)


def draw(figure, found: Sequence[Fit]) -> None:
    """A panel for each set of rows, a curve for each setting."""
    panels = figure.subplots(2, 2).flat
    for place, (panel, name) in enumerate(zip(panels, ROWS, strict=True)):
        own = found[place * len(SETTINGS) : (place + 1) * len(SETTINGS)]
        for setting, fit in zip(SETTINGS, own, strict=True):
            style = "--" if setting.startswith("falling") else "-"
            panel.plot(fit.estimator[-1].loss_curve_, style, label=setting, linewidth=1.4)
        panel.set_title(name, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("loss", fontsize=10)
    lines, names = panel.get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=4, fontsize=9, frameon=False)


if __name__ == "__main__":
    show(fits, draw, size=(10, 7))
