"""The names of a frame's columns, which a model keeps: the columns may then come in any order."""

from collections.abc import Iterable, Sequence

import numpy as np

SHOWN = 6  # names in a message


class Columns:
    """The names of the features, in the order in which weights and statistics have them.

    They are those of the first frame; None as long as rows came without names.
    """

    def __init__(self, names: Sequence[str] | None = None) -> None:
        self.names = None if names is None else tuple(names)

    def ordered(self, X: object, name: str = "X") -> object:
        """X with its columns in this order, if they have names; the first names are kept.

        Raises ValueError if a name is missing, unknown, or there twice. Rows without names are
        taken as they are.
        """
        found = names_of(X)
        if found is None or found == self.names:
            return X
        if self.names is None:
            if len(set(found)) < len(found):
                raise ValueError(_other_columns(name, found, found))
            self.names = found
            return X
        if len(set(found)) < len(found) or set(found) != set(self.names):
            raise ValueError(_other_columns(name, found, self.names))
        return np.take(np.asarray(X), [found.index(column) for column in self.names], axis=1)


def names_of(X: object) -> tuple[str, ...] | None:
    """The names of the columns of a frame or table; None if none of them is text.

    Raises ValueError if only some are: nobody could tell in which order they are.
    """
    if type(X) is np.ndarray:
        return None
    for attribute in ("column_names", "columns"):  # pyarrow's `columns` are the numbers themselves
        names = getattr(X, attribute, None)
        listed = list(names) if isinstance(names, Iterable) else []
        texts = [one for one in listed if isinstance(one, str)]
        if texts and len(texts) == len(listed):
            return tuple(map(str, listed))
        if texts:
            other = next(one for one in listed if not isinstance(one, str))
            raise ValueError(
                f"X has columns named by text, such as {texts[0]!r}, and one named {other!r}; "
                f"expected text for all: X.columns = X.columns.astype(str)"
            )
    return None


def _other_columns(name: str, found: Sequence[str], known: Sequence[str]) -> str:
    missing = [column for column in known if column not in found]
    unknown = [column for column in found if column not in known]
    parts = [f"lacks {_listed(missing)}"] if missing else []
    parts += [f"has {_listed(unknown)}, which the model does not know"] if unknown else []
    remedy = f"take those alone, e.g. {name.split()[-1]}[list(model.feature_names)]"
    if not parts:
        parts, remedy = ["has a column twice"], "give each a name of its own"
    if missing:
        remedy = "rename its columns, or pass an array, whose columns are taken as they come"
    return (
        f"{name} {' and '.join(parts)}; expected the columns {_listed(known)}, in any order: "
        f"{remedy}"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + more
