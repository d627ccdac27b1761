"""The worked case's page quotes a record, and nothing in its tables was typed by hand."""

from __future__ import annotations

import json
import re

from benchmarks import worked_case, worked_case_tables


def test_the_page_quotes_the_kept_figures() -> None:
    """Every table of docs/worked-case.md is what the kept figures give (benchmarks.worked_case renews it)."""
    kept = json.loads(worked_case.KEPT.read_text(encoding="utf-8"))
    page = worked_case.PAGE.read_text(encoding="utf-8")
    marked = dict(re.findall(r"<!-- (\w+):begin -->\n(.*?)\n<!-- \1:end -->", page, re.DOTALL))
    assert marked == worked_case_tables.blocks(kept)
