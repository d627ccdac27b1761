"""The worked case's figures: ``python -m benchmarks.worked_case DIR/case/dossier.json`` checks a record of it.

Ends with status 1 and a message if the record does not say what is true of the four models. With ``--keep`` the figures
that docs/worked-case.md quotes are taken from the record into `worked-case.json`, and the page is renewed from these.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.tables import put
from benchmarks.worked_case_tables import blocks, published

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parent.parent
KEPT, PAGE = Path(__file__).with_name("worked-case.json"), ROOT / "docs" / "worked-case.md"
OPINION = ("candidate", "verdict", "log10_lr", "lower", "upper", "band", "because", "relation", "relation_grounds",
           "coverage", "population", "omissions")  # fmt: skip
TABLES = {
    "neuron-match": ("Experts (-1: the MLP, -2: shared)",),
    "repository-scan": ("Licence texts", "Holders in licences, notices and third-party lists"),
}
"""Of these probes the tables that the page quotes, by title."""
FACTS = {
    "weight-std": ("r_q_proj", "r_k_proj", "r_v_proj", "r_o_proj"),
    "norm-gains": ("raw_cosine_meaningless",),
    "qkv-bias": ("magnitudes_only_no_evidence",),
    "neuron-match": ("units_compared", "units_recognised"),
}
"""And the facts."""

Record = dict[str, Any]


def wrong(record: Record) -> str:
    """What the record says that is not true of the four models; empty if nothing."""
    verdicts = {one["candidate"]: one["verdict"] for one in (*record["opinions"], *record["controls"])}
    unrelated = [name for name in ("twin", "other") if verdicts.get(name, "derived") == "derived"]
    if verdicts.get("base") == "derived" and not unrelated:
        return ""
    return (
        "the suspect was made from base and from neither twin nor other, and must come out as derived from base only, "
        f"but the dossier says {verdicts}"
    )


def quoted(record: Record) -> Record:
    """The part of a record that the page quotes."""
    opinions = [
        {"role": role[:-1], **{key: one[key] for key in OPINION}, "spoke": _speaking(one)}
        for role in ("opinions", "controls")
        for one in record[role]
    ]
    return {
        "opinions": opinions,
        "findings": [_finding(one) for one in record["findings"]],
        "parameters": {one["label"]: one["parameters"] for one in record["subjects"]},
    }


def _speaking(opinion: Mapping[str, Any]) -> str:
    """The tensor groups that speak for descent, as the opinion's condition names them."""
    found = next((c["found"] for c in opinion["conditions"] if c["rule"] == "groups"), "")
    return str(found).partition(":")[2].partition("(")[0].strip()


def _finding(finding: Mapping[str, Any]) -> Record:
    """One probe's outcome for one model, without what the page has no use for."""
    outcome, name = finding["outcome"], finding["probe"]["id"]
    kept: Record = {"probe": name, "title": finding["probe"]["title"], "candidate": finding["candidate"]}
    if outcome["kind"] != "measurement":
        return kept | {"silent": outcome["detail"]}
    weight, exact = finding["weight"], finding["exact"]
    kept |= {"value": outcome["value"], "group": outcome["group"], "summary": outcome["summary"]}
    kept["weight"] = [weight[key] for key in ("log10_lr", "lower", "upper")] if weight else None
    kept["p"] = exact["p"] if exact else None
    kept["signs"] = [f"{sign['sign']}: {sign['detail']}" for sign in outcome["signs"]]
    kept["facts"] = {key: outcome["facts"].get(key) for key in FACTS.get(name, ())}
    wanted = TABLES.get(name, ())
    kept["tables"] = {
        table["title"]: table["rows"] for table in outcome["tables"] if table["title"] in wanted
    }
    return kept


def main() -> None:
    """Check the record; keep its figures where asked."""
    parser = argparse.ArgumentParser(description="Check the worked case's record.")
    parser.add_argument("dossier", type=Path)
    parser.add_argument("--keep", action="store_true", help="renew benchmarks/worked-case.json and the page")
    given = parser.parse_args()
    record = json.loads(given.dossier.read_text(encoding="utf-8"))
    kept = quoted(record)
    print(f"\nThe published fingerprint on this case\n\n{published(kept)}")
    message = wrong(record)
    if message:
        sys.exit(f"worked-case: WRONG OUTCOME: {message}")
    if given.keep:
        KEPT.write_text(
            json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )
        for name, text in blocks(kept).items():
            put(PAGE, name, text)


if __name__ == "__main__":
    main()
