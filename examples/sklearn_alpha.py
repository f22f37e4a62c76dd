"""What `alpha` does to a decision: five strengths of the penalty on three clouds of points.

A small alpha lets the border wind around single points; a large one draws it straight, and in the
end fades it out. ``python examples/sklearn_alpha.py --library both``
"""

from collections.abc import Iterator, Sequence

import numpy as np
from libraries import Fit, show
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

ALPHAS = 0.001, 0.1, 0.5, 1.5, 4.0
CLOUDS = {
    "moons": make_moons(120, noise=0.3, random_state=0),
    "circles": make_circles(120, noise=0.2, factor=0.5, random_state=1),
    "blobs": make_blobs(120, centers=[(-1.2, 0), (1.2, 0.5)], cluster_std=1.0, random_state=2),
}


def fits(MLPClassifier: type) -> Iterator[Fit]:
    for name, (X, y) in CLOUDS.items():
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
        for alpha in ALPHAS:
            network = MLPClassifier(
                (20, 20), alpha=alpha, learning_rate_init=0.01, max_iter=400, tol=0, random_state=0
            )
            estimator = make_pipeline(StandardScaler(), network)
            yield Fit(f"{name}, alpha={alpha:g}", estimator, X, y, X_test, y_test)


def draw(figure, found: Sequence[Fit]) -> None:
    """A row of panels for each cloud, a column for each alpha; rings are the rows of the test."""
    axes = figure.subplots(len(CLOUDS), len(ALPHAS)).flat
    for panel, fit in zip(axes, found, strict=True):
        low, high = fit.X.min(axis=0) - 0.5, fit.X.max(axis=0) + 0.5
        x, y = np.meshgrid(*np.linspace(low, high, 100).T)
        chances = fit.estimator.predict_proba(np.c_[x.ravel(), y.ravel()])[:, 1].reshape(x.shape)
        panel.contourf(x, y, chances, np.linspace(0, 1, 11), cmap="RdBu", alpha=0.8)
        panel.contour(x, y, chances, [0.5], colors="black", linewidths=1)
        panel.scatter(*fit.X.T, c=fit.y, cmap="RdBu", s=12, edgecolors="black", linewidths=0.4)
        colours = ["C3" if label == 0 else "C0" for label in fit.y_test]
        panel.scatter(*fit.X_test.T, s=12, facecolors="none", edgecolors=colours)
        panel.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
        panel.set_title(f"{fit.name}: {fit.score:.2f}", fontsize=9)


if __name__ == "__main__":
    show(fits, draw, size=(13, 8))
