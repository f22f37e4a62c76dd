"""What the first layer looks for: its weights as images, after training on handwritten digits.

The digits are scikit-learn's own, 8 by 8 pixels, so nothing is fetched. Each unit has one weight
for each pixel; where a filter is dark or bright the unit looks, and where it is grey it does not.
``python examples/sklearn_filters.py --library both``
"""

from collections.abc import Iterator, Sequence

from libraries import Fit, show
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

UNITS = 40
BRIGHTEST = 16  # of a pixel


def fits(MLPClassifier: type) -> Iterator[Fit]:
    X, y = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(X / BRIGHTEST, y, test_size=0.3, random_state=0)
    network = MLPClassifier(
        UNITS, solver="sgd", alpha=0.5, learning_rate_init=0.2, max_iter=30, random_state=1
    )
    yield Fit(f"digits, {UNITS} units", network, X, y, X_test, y_test)


def draw(figure, found: Sequence[Fit]) -> None:
    """A panel for each unit of the first layer, all on one scale."""
    (fit,) = found
    filters = fit.estimator.coefs_[0].T.reshape(-1, 8, 8)
    largest = abs(filters).max()
    for panel, image in zip(figure.subplots(4, UNITS // 4).flat, filters, strict=True):
        panel.imshow(image, cmap="gray", vmin=-largest, vmax=largest)
        panel.set(xticks=[], yticks=[])


if __name__ == "__main__":
    show(fits, draw, size=(10, 4.2))
