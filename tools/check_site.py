"""Check that the pages of the documentation load nothing from another host, and show no raw TeX.

``python tools/check_site.py docs/_build``; links that a reader may follow are no loading.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
FOREIGN = re.compile(r"\s*(https?:)?//", re.I)
FOREIGN_IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]+)""", re.I)
RAW_TEX = re.compile(r"\\[(\[]|\$\$?[^$\n]*\\[a-z]+")


class Page(HTMLParser):
    """Collects what a page loads from elsewhere, and formulas that were left as TeX."""

    def __init__(self):
        super().__init__()
        self.faults = []
        self.quoted = 0  # how many <pre>, <code> and <script> are open

    def handle_starttag(self, tag, attributes):
        self.quoted += tag in ("pre", "code", "script", "style")
        address = dict(attributes).get(LOADING.get(tag, "")) or ""
        if FOREIGN.match(address):
            self.faults.append(f"<{tag}> loads {address}")

    def handle_endtag(self, tag):
        self.quoted -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data):
        found = None if self.quoted else RAW_TEX.search(data)
        if found:
            self.faults.append(f"a formula is not drawn: {found[0]!r}")


def faults_of(path):
    text = path.read_text("utf-8")
    if path.suffix == ".css":
        return [f"loads {address}" for address in FOREIGN_IN_CSS.findall(text)]
    page = Page()
    page.feed(text)
    return page.faults


def main(site):
    paths = sorted([*site.rglob("*.html"), *site.rglob("*.css")])
    if not paths:
        return f"{site}: no pages here; expected the folder that sphinx-build wrote"
    lines = [f"{path}: {fault}" for path in paths for fault in faults_of(path)]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])) or 0)
