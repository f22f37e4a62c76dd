"""The tables at the end of a run: samples per second, ratios with their spread, and what else was
measured; for the terminal, and as Markdown for the documentation."""

from dataclasses import dataclass
from statistics import median, quantiles

Rows = list[list[str]]  # a table, its heading first


@dataclass(frozen=True)
class Result:
    """One peer on one net and mode: a rate, a ratio and a peak per round."""

    net: str
    mode: str
    peer: str
    version: str
    error: float  # of the update after one epoch, against float64
    rates: list[float]  # samples/s
    ratios: list[float]  # fastnn's rate over this peer's, each within one pair of rounds
    peaks: list[float]  # samples/s if every cycle did multiply-adds; none without a compiler


@dataclass(frozen=True)
class Figure:
    """An entry of another table: its title, its row and column."""

    table: str
    row: tuple[str, ...]
    column: str
    text: str


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


def middle(values: list[float]) -> str:
    """Median and quartiles."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return f"{three_digits(median(values))} ({three_digits(low)}-{three_digits(high)})"


def of_peak(result: Result | None) -> str:
    """Median share of the multiply-add peak, each measured next to its round."""
    if result is None or not result.peaks:
        return "-"
    pairs = zip(result.rates, result.peaks, strict=True)
    return three_digits(median(rate / peak for rate, peak in pairs))


# ---- tables -----------------------------------------------------------------------------------


def spread(results: list[Result]) -> Rows:
    """Every peer's slowest, median and fastest round."""
    rows = [["net", "mode", "peer", "min", "median", "max", "of peak", "fastnn / peer", "error"]]
    for r in results:
        rates = [samples(f(r.rates)) for f in (min, median, max)]
        last = [of_peak(r), middle(r.ratios), f"{r.error:.0e}"]
        rows.append([r.net, r.mode, r.peer, *rates, *last])
    return rows


def median_rates(results: list[Result]) -> Rows:
    """One line per net and mode, one column per peer."""
    peers = list(dict.fromkeys(r.peer for r in results))
    rows = [["net", "mode", *peers]]
    for cell in cells(results):
        rates = {r.peer: samples(median(r.rates)) for r in cell}
        rows.append([cell[0].net, cell[0].mode, *(rates.get(p, "-") for p in peers)])
    return rows


def ratios(results: list[Result]) -> Rows:
    """One line per net and mode: fastnn's share of the peak, and its rate over the best peer's."""
    rows = [["net", "mode", "fastnn", "of peak", "best peer", "fastnn / best peer"]]
    for cell in cells(results):
        by_peer = {r.peer: r for r in cell}
        own = by_peer.pop("fastnn", None)
        best = min(by_peer.values(), key=lambda r: median(r.ratios), default=None)
        row = [samples(median(own.rates)) if own else "-", of_peak(own)]
        row += [best.peer, middle(best.ratios)] if best else ["-", "-"]
        rows.append([cell[0].net, cell[0].mode, *row])
    return rows


def pivot(figures: list[Figure]) -> Rows:
    """The figures of one table, by row and column."""
    columns = list(dict.fromkeys(f.column for f in figures))
    texts = {(f.row, f.column): f.text for f in figures}
    lines = list(dict.fromkeys(f.row for f in figures))
    heading = ["net", "mode"] if len(lines[0]) == 2 else ["what"] * len(lines[0])
    body = [[*row, *(texts.get((row, column), "-") for column in columns)] for row in lines]
    return [[*heading, *columns], *body]


def tables(results: list[Result], figures: list[Figure]) -> dict[str, Rows]:
    """All tables by title: the longest first, so that the short ones stay on the screen."""
    found = {}
    if results:
        found["Samples/s over the rounds, and fastnn's rate over the peer's"] = spread(results)
        found["Samples/s, median"] = median_rates(results)
        found["fastnn: samples/s, share of the multiply-add peak, ratio to the best peer"] = ratios(
            results
        )
    for title in dict.fromkeys(f.table for f in figures):
        found[title] = pivot([f for f in figures if f.table == title])
    return found


# ---- text -------------------------------------------------------------------------------------


def versions(results: list[Result]) -> str:
    return ", ".join(dict.fromkeys(f"{r.peer} {r.version}" for r in results))


def aligned(rows: Rows) -> str:
    """Columns padded to their widest entry, the first row underlined."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(rows: Rows) -> str:
    heading, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([heading, "|---" * len(rows[0]) + "|", *body])


def as_text(about: list[str], found: dict[str, Rows]) -> str:
    """For the terminal."""
    return "\n\n".join(["", "\n".join(about), *(f"{t}\n\n{aligned(r)}" for t, r in found.items())])


def as_markdown(about: list[str], found: dict[str, Rows]) -> str:
    """For the documentation: what one looks for first comes first."""
    lines = "\n".join(f"- {line}" for line in about)
    titles = list(found)
    longest_last = titles[1:] + titles[:1] if len(titles) > 1 else titles
    return "\n\n".join([lines, *(f"**{t}**\n\n{markdown(found[t])}" for t in longest_last)]) + "\n"
