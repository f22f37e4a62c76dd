"""Words that only this project understands stay out of code and pages.

An underscore, a capital within a name or the end of a line may part two of them.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WITHIN_A_NAME = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
BETWEEN_WORDS = r"[\s#*/>_]+"
# A pattern, and a plainer word for it.
RETIRED = {
    r"doors?": "entry point, function",
    r"so many": "this number of, n",
    r"(?:lie|lies|lay|laid|lying) across": "one row per lane, by lane",
    r"go(?:es)? singly": "as single rows",
    r"fore(?:see|sees|seen)": "known ahead, predicted",
    r"hand(?:s|ed|ing)?(?: \w+)?(?: \w+)? (?:down|out|over)": "pass, return",
    r"turn(?:s|ed)? over": "swap",
    r"told": "given, asked, reported",
    r"as (?:asked|said above)": "as the parameters say",
    r"disturb(?:s|ed|ing)?": "make stale, interfere",
    r"(?:row|step)s? (?:that )?weighs?": "the sample weight scales the step",
    r"leaves? no trace": "does not depend on",
    r"own (?:loss|metric)(?:es|s)?": "custom loss, custom metric",
    r"(?:loss|metric)(?:es|s)? of (?:your|the user's|one's) own": "custom loss, custom metric",
    r"(?<!\.)(?:floor|corridor)s?(?!\()(?!,)": "room",
    r"anew": "again, from scratch",
    r"its kin": "related",
    r"wants? (?:a|an|the|float64|batch) ": "needs",
    r"whose ever|whosever": "of either kind",
}
SUFFIXES = (".py", ".pyi", ".pyx", ".pxi", ".pxd", ".h", ".md")
FOLDERS = ("fastnn", "docs", "bench", "tests", "examples")
PAGES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
PAGES = [path for path in PAGES if path.suffix in SUFFIXES and "_build" not in path.parts]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES.remove(Path(__file__).resolve())  # it names them


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_retired_words_are_gone(path):
    assert hits(path.read_text(encoding="utf-8")) == []


def hits(text):
    """The retired words of a text, with their lines and what to write instead."""
    found = []
    text = WITHIN_A_NAME.sub(" ", text)
    for pattern, better in RETIRED.items():
        words = re.sub(r" (?=\S)", lambda _: BETWEEN_WORDS, pattern)
        for match in re.finditer(rf"\b{words}\b", text, re.I):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {' '.join(match.group().split())!r}; better: {better}")
    return found


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_pattern_is_a_pattern(pattern):
    assert re.compile(pattern).search("nothing of all that") is None


CAUGHT = ["the Door", "cdef bint lies_across(x)", "rows that lie\n    # across the lanes"]
CAUGHT += [
    "hands the gradient down",
    "class OwnLoss:",
    "own_loss(f)",
    "def turn_over(s):",
    "begin_foreseen",
    "it is TOLD",
]
PASSED = ["np.floor(x)", "an indoor scene", "the known loss", "turn each over"]


@pytest.mark.parametrize("text", CAUGHT)
def test_checker_catches(text):
    assert len(hits(text)) == 1


@pytest.mark.parametrize("text", PASSED)
def test_checker_passes(text):
    assert len(hits(text)) == 0
