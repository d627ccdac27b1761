"""What renderings share: grouping, sentences, and the reader's own arithmetic."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forensics.report import view
from forensics.report.posterior import posteriors
from tests.report import example, instruments


def test_one_candidate_follows_bayes_rule() -> None:
    """With one candidate, posterior odds are prior odds times the likelihood ratio."""
    (half, tenth, _) = posteriors([example.opinion("a", 1.0)])
    assert half.columns[0].middle == pytest.approx(10 / 11)
    assert tenth.columns[0].middle == pytest.approx((10 / 9) / (1 + 10 / 9))
    assert half.columns[0].lower < half.columns[0].middle < half.columns[0].upper


def test_candidates_share_the_prior_and_never_exceed_certainty() -> None:
    """Posteriors of all candidates sum to less than one, and a ratio of one leaves a lone prior as it was."""
    table = posteriors([example.opinion(str(i), 1.1) for i in range(12)])
    assert all(sum(after.middle for after in posterior.columns) < 1 for posterior in table)
    unchanged = posteriors([example.opinion("a", None)])
    assert [posterior.columns[0].middle for posterior in unchanged] == pytest.approx([0.5, 0.1, 0.01])


def test_an_interval_cut_off_at_the_bound_is_told_as_such() -> None:
    """Two equal ends would read as certainty."""
    one = replace(example.opinion("base", 0.8), lower=0.2, upper=1.1, cap=1.6)
    assert view.spread(one) == "95 % interval +0.20 to +1.1, bound ±1.6"
    held = replace(one, log10_lr=-1.58, lower=-1.58, upper=-1.58, cap=1.64)
    assert view.spread(held) == "the whole 95 % interval lies at or beyond the bound −1.6"
    assert "This is the largest figure" in view.sentence(held, "suspect")
    near = replace(one, log10_lr=1.58, lower=1.56, upper=1.59, cap=1.64)
    assert view.spread(near) == "95 % interval +1.6 to +1.6, bound ±1.6"
    assert "This is the largest figure" not in view.sentence(near, "suspect")
    assert view.spread(replace(one, lower=None, upper=None)) == "bound ±1.6"


def test_a_sentence_speaks_of_findings_and_never_of_the_probability_of_descent() -> None:
    """The likelihood ratio is told as the probability of the findings, in the direction of its sign."""
    towards = view.sentence(example.opinion("base", 0.8), "suspect")
    away = view.sentence(example.opinion("base", -0.8), "suspect")
    assert towards.startswith(
        "The findings are about 6.3 times more probable if the weights of suspect descend from"
    )
    assert away.startswith(
        "The findings are about 6.3 times more probable if the two were trained independently than"
    )
    assert "no likelihood ratio is stated" in view.sentence(example.opinion("base", None), "suspect")


def test_a_ratio_at_its_bound_is_said_to_be_bounded() -> None:
    """At the cap, and only there, the reader is told that the population and not the findings set the number."""
    assert "largest figure" in view.sentence(example.opinion("base", 1.146), "suspect")
    assert "largest figure" not in view.sentence(example.opinion("base", 1.0), "suspect")


def test_findings_are_grouped_by_instrument_in_the_order_of_the_record() -> None:
    """Every finding stands in exactly one section, and each section has one instrument."""
    dossier = example.dossier()
    sections = view.probe_sections(dossier)
    assert [section.used.id for section in sections] == [probe.id for probe in instruments.PROBES]
    assert sum(len(section.findings) for section in sections) == len(dossier.findings)


def test_the_question_names_up_to_three_candidates() -> None:
    """Three candidates are named in the title, more are counted."""
    assert view.question(example.dossier()).endswith("those of meridian-8b, twin-8b or old-base-7b?")
    assert view.question(example.many()) == "Do the weights of aurora-8b descend from any of 12 candidates?"
