"""Words of this house that a stranger would not understand stay out of code and pages."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A pattern, and a plainer word for it.
RETIRED = {
    r"doors?": "entry point, function",
    r"(?:lie|lies|lay|laid|lying) across": "one row per lane, by lane",
    r"\w+_across": "by_lane",
    r"go(?:es)?_? ?singly": "as single rows",
    r"fore(?:see|sees|seen)": "known ahead, predicted",
    r"hand(?:s|ed|ing)?[ _](?:down|out|over)": "pass, return",
    r"turn(?:s|ed)?[ _]over": "swap",
    r"told": "given, asked, reported",
    r"as (?:asked|said above)": "as the parameters say",
    r"disturb(?:s|ed|ing)?": "make stale, interfere",
    r"(?:row|step)s? (?:that )?weighs?": "the sample weight scales the step",
    r"leaves? no trace": "does not depend on",
    r"own[_ ](?:loss|metric)(?:es|s)?": "custom loss, custom metric",
    r"(?:loss|metric)(?:es|s)? of (?:your|the user's|one's) own": "custom loss, custom metric",
    r"Own(?:Loss|Metric)": "CustomLoss, CustomMetric",
    r"(?<!\.)(?:floor|corridor)s?(?!\()(?!,)": "room",
    r"anew": "again, from scratch",
    r"its kin": "related",
    r"wants? (?:a|an|the|float64|batch) ": "needs",
    r"whose ever|whosever": "of either kind",
}
SUFFIXES = (".py", ".pyi", ".pyx", ".pxi", ".pxd", ".h", ".md")
FOLDERS = ("fastnn", "docs")
PAGES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
PAGES = [path for path in PAGES if path.suffix in SUFFIXES and "_build" not in path.parts]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_retired_words_are_gone(path):
    text, found = path.read_text(encoding="utf-8"), []
    for pattern, better in RETIRED.items():
        for match in re.finditer(rf"\b{pattern}\b", text, re.I):
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"line {line}: {match.group()!r}; better: {better}")
    assert found == []


@pytest.mark.parametrize("pattern", RETIRED)
def test_a_pattern_is_a_pattern(pattern):
    assert re.compile(pattern).search("nothing of all that") is None
