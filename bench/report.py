"""The tables at the end of a run: every peer's samples per second, and ratios with their spread."""

import platform
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True)
class Result:
    """One peer on one net and mode: a rate and a ratio per round."""

    net: str
    mode: str
    peer: str
    version: str
    error: float  # of the update after one epoch, against float64
    rates: list[float]  # samples/s
    ratios: list[float]  # fastnn's rate over this peer's, each within one pair of rounds


Cell = list[Result]  # all peers on one net and mode


def cells(results: list[Result]) -> list[Cell]:
    """Results grouped by net and mode, in the order they were run."""
    groups: dict[tuple[str, str], Cell] = {}
    for result in results:
        groups.setdefault((result.net, result.mode), []).append(result)
    return list(groups.values())


def three_digits(x: float) -> str:
    """1.23, 12.3 or 123."""
    return f"{x:.{2 if x < 10 else 1 if x < 100 else 0}f}"


def samples(rate: float) -> str:
    """12.3M, 456k or 78.9."""
    unit, name = next((u, n) for u, n in ((1e6, "M"), (1e3, "k"), (0.0, "")) if rate >= u)
    return three_digits(rate / (unit or 1.0)) + name


def ratio(result: Result | None) -> str:
    """Median ratio and its quartiles."""
    if result is None:
        return "-"
    low, _, high = quantiles(result.ratios, n=4, method="inclusive")
    return f"{three_digits(median(result.ratios))} ({three_digits(low)}-{three_digits(high)})"


def table(rows: list[list[str]]) -> str:
    """Columns padded to their widest entry, the first row underlined."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def spread(results: list[Result]) -> str:
    """Every peer's slowest, median and fastest round."""
    rows = [["net", "mode", "peer", "min", "median", "max", "fastnn / peer", "update error"]]
    for r in results:
        rates = [samples(f(r.rates)) for f in (min, median, max)]
        rows.append([r.net, r.mode, r.peer, *rates, ratio(r), f"{r.error:.0e}"])
    return table(rows)


def median_rates(results: list[Result]) -> str:
    """One line per net and mode, one column per peer."""
    peers = list(dict.fromkeys(r.peer for r in results))
    rows = [["net", "mode", *peers]]
    for cell in cells(results):
        rates = {r.peer: samples(median(r.rates)) for r in cell}
        rows.append([cell[0].net, cell[0].mode, *(rates.get(p, "-") for p in peers)])
    return table(rows)


def ratios(results: list[Result]) -> str:
    """One line per net and mode: fastnn over the best peer and over scikit-learn."""
    rows = [["net", "mode", "best peer", "fastnn / best peer", "fastnn / sklearn"]]
    for cell in cells(results):
        rivals = {r.peer: r for r in cell if r.peer != "fastnn"}
        best = min(rivals.values(), key=lambda r: median(r.ratios), default=None)
        name = best.peer if best else "-"
        rows.append([cell[0].net, cell[0].mode, name, ratio(best), ratio(rivals.get("sklearn"))])
    return table(rows)


def render(results: list[Result]) -> str:
    """The spread of every entry first, the short tables last: they stay on the screen."""
    versions = ", ".join(dict.fromkeys(f"{r.peer.split()[0]} {r.version}" for r in results))
    sections = {
        "Samples/s over the rounds, and fastnn's rate over the peer's: median (quartiles)": spread,
        "Samples/s, median": median_rates,
        "Ratios, median (quartiles) over pairs of adjacent rounds": ratios,
    }
    texts = [f"{title}\n\n{section(results)}" for title, section in sections.items()]
    about = f"float32, plain SGD, one thread. Python {platform.python_version()}, {versions}"
    return "\n\n".join(["", about, *texts, ""])
