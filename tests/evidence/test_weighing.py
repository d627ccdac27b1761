"""From findings to opinions, whole."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.checkpoint.folder import PICKLES
from forensics.evidence.exact import combined
from forensics.evidence.library import assemble, load_reference
from forensics.evidence.weighing import Weighed, weigh
from forensics.readings import Exact, Group, SignKind
from forensics.records import FileSeen, Finding
from tests.evidence.builders import (
    abstention,
    case,
    exact,
    finding,
    findings_at,
    measurement,
    reference,
    reference_json,
    sign,
    subject,
    subjects,
)


def weighed(findings: list[Finding], recognised: int = 98) -> Weighed:
    """Weighs findings against one candidate, `base`."""
    return weigh(findings, subjects(recognised=recognised), case(), reference())


def test_child_and_stranger() -> None:
    """Readings like a child's give derived, readings like a stranger's independent, with numbers that agree."""
    child, stranger = (weighed(findings_at(value)).opinions[0] for value in (0.95, 0.05))
    assert child.verdict == "derived", child.grounds
    assert stranger.verdict == "independent", stranger.grounds
    assert child.log10_lr is not None
    assert child.log10_lr >= 1.0
    assert child.coverage == 0.98
    assert child.cllr is not None
    assert child.cllr < 0.5
    assert child.population.startswith("made-up: ")


def test_findings_are_weighed_one_by_one() -> None:
    """A calibrated finding gets weight and background, an abstention and a stranger's probe neither."""
    findings = [finding("mlp-like", 0.9), finding("gains-like", abstention()), finding("strange", 0.9)]
    first, second, third = weighed(findings).findings
    assert first.weight is not None
    assert first.weight.log10_lr > 0
    assert first.background is not None
    assert (second.weight, second.background) == (None, None)
    assert (third.weight, third.background) == (None, None)


def test_exact_p_values_stand_beside_and_are_corrected() -> None:
    """p-values are copied with Holm's correction over the whole case and move no weight."""
    plain = findings_at(0.5)
    tested = [
        replace(one, outcome=measurement(one.probe.id, 0.5, exact=exact(p)))
        for one, p in zip(plain, (0.01, 0.04, 0.03), strict=True)
    ]
    found = weighed(tested)
    assert [one.exact.p_holm for one in found.findings if one.exact] == [0.03, 0.06, 0.06]
    assert found.opinions[0].log10_lr == weighed(plain).opinions[0].log10_lr
    assert [one.weight for one in found.findings] == [one.weight for one in weighed(plain).findings]


def test_an_uncalibrated_exact_p_value_blocks_independence() -> None:
    """A stranger's probe cannot sway the number but its exact p restrains the verdict."""
    findings = findings_at(0.05)
    blocked = weighed([*findings, finding("strange", measurement("strange", 0.0, exact=exact(1e-5)))])
    assert weighed(findings).opinions[0].verdict == "independent"
    assert blocked.opinions[0].verdict == "inconclusive"
    assert blocked.opinions[0].log10_lr == weighed(findings).opinions[0].log10_lr


def test_an_uncalibrated_probe_makes_no_group_speak() -> None:
    """An exact p of a probe outside the reference table does not count towards derivation."""
    strange = measurement("strange", 0.99, exact=Exact(p=1e-12, null_hypothesis="n", method="m"))
    strange = replace(strange, group=measurement("mlp-like", 0.9).group)
    findings = findings_at(0.95, mlp_like=0.3, gains_like=0.3)
    alone, joined = (weighed(fs).opinions[0] for fs in (findings, [*findings, finding("strange", strange)]))
    assert alone.verdict == joined.verdict == "inconclusive"


def test_control_that_comes_out_derived_withdraws_the_opinion() -> None:
    """A derived control is shown as such and takes derived away from every candidate."""
    labels = (("base",), ("known stranger",))
    findings = findings_at(0.95) + findings_at(0.95, "known stranger")
    found = weigh(findings, subjects(*labels), case(*labels), reference())
    assert found.controls[0].verdict == "derived"
    assert found.opinions[0].verdict == "inconclusive"
    assert "known stranger" in found.opinions[0].because
    calm = findings_at(0.95) + findings_at(0.05, "known stranger")
    assert weigh(calm, subjects(*labels), case(*labels), reference()).opinions[0].verdict == "derived"


def test_shared_initialisation_is_inferred_across_probes() -> None:
    """Weights that agree exactly while trained gains do not are read as shared initialisation, not descent."""
    findings = [
        finding("attention-like", 0.95),
        finding("mlp-like", measurement("mlp-like", 0.95, exact=exact(1e-12))),
        finding("gains-like", measurement("gains-like", 0.3, exact=exact(0.4))),
    ]
    found = weighed(findings).opinions[0]
    assert (found.verdict, found.relation) == ("inconclusive", "shared-initialisation")
    trained = replace(findings[2], outcome=measurement("gains-like", 0.95, exact=exact(1e-12)))
    assert weighed([*findings[:2], trained]).opinions[0].verdict == "derived"


def test_signs_of_measurements_restrain() -> None:
    """A sign of tampering inside a measurement keeps a stranger from being called independent."""
    findings = findings_at(0.05)
    signed = measurement("mlp-like", 0.05, signs=(sign(SignKind.TAMPERING),))
    assert weighed([*findings[:2], finding("mlp-like", signed)]).opinions[0].verdict == "inconclusive"


def test_identical_files_under_another_name() -> None:
    """Equal weight files are called identical even where other files differ, unread ones never."""
    twins = [subject("suspect", "suspect", digest="d"), replace(subject("base", "candidate"), digest="e")]
    twins[1] = replace(twins[1], files=(*twins[0].files, FileSeen(name="README.md", size=3, sha256="x")))
    found = weigh(findings_at(0.95), twins, case(), reference()).opinions[0]
    assert found.relation == "identical"
    unread = [replace(one, files=(replace(one.files[0], sha256=""),)) for one in twins]
    assert weigh(findings_at(0.95), unread, case(), reference()).opinions[0].relation != "identical"


def test_equal_other_files_are_no_identity_whatever_the_weights_are_called() -> None:
    """Equal training arguments beside different weights are no identity, whichever ending the weights have."""
    equal = FileSeen(name="training_args.bin", size=3, sha256="a")
    for ending in PICKLES:
        twins = [subject("suspect", "suspect", digest="d"), subject("base", "candidate", digest="e")]
        twins = [
            replace(one, files=(FileSeen(name=f"model{ending}", size=9, sha256=one.label), equal))
            for one in twins
        ]
        found = weigh(findings_at(0.05), twins, case(), reference()).opinions[0]
        assert found.relation != "identical", ending


def test_nothing_read_is_inconclusive() -> None:
    """Without findings, parameters or reference there is an opinion, and it says why it concludes nothing."""
    empty = weigh([], [replace(subject("suspect", "suspect"), parameters=0)], case(), assemble([]))
    opinion = empty.opinions[0]
    assert (opinion.verdict, opinion.log10_lr, opinion.coverage) == ("inconclusive", None, None)
    assert "no calibrated probe" in opinion.because
    assert empty.populations == ()


def test_without_a_table_the_best_validated_weight_speaks() -> None:
    """Calibrations without a fusion are not added up: the one with the least cost is the opinion's."""
    lone = {**reference_json(), "fusion": None, "calibrations": reference_json()["calibrations"][:3]}
    found = weigh(findings_at(0.9), subjects(), case(), assemble([lone]))
    weights = {one.probe.id: one.weight.log10_lr for one in found.findings if one.weight}
    best = min(lone["calibrations"], key=lambda entry: entry["cllr"])["probe"]
    assert found.opinions[0].log10_lr == weights[best]
    assert found.opinions[0].verdict == "inconclusive"


def test_populations_name_what_weighed() -> None:
    """The record lists a population that weighed something with its digest, and none otherwise."""
    assert [p.sha256 for p in weighed(findings_at(0.5)).populations] == [reference_json()["sha256"]]
    assert weighed([finding("strange", 0.5)]).populations == ()


readings = st.lists(st.floats(-1, 1, allow_nan=False), min_size=3, max_size=3)


@given(readings, st.integers(0, 1000))
@settings(deadline=None, max_examples=50)
def test_order_and_strangers_change_nothing(values: list[float], seed: int) -> None:
    """Permuting findings or adding an uncalibrated probe leaves every opinion's numbers and verdict alone."""
    findings = [
        finding(p, v) for p, v in zip(("attention-like", "gains-like", "mlp-like"), values, strict=True)
    ]
    shuffled = list(findings)
    random.Random(seed).shuffle(shuffled)
    one, other = (weighed(found).opinions for found in (findings, shuffled))
    assert one == other
    joined = weighed([finding("strange", 0.3), *findings]).opinions[0]
    assert (joined.log10_lr, joined.verdict, joined.contributions) == (
        one[0].log10_lr, one[0].verdict, one[0].contributions,
    )  # fmt: skip
    for number in (one[0].log10_lr, one[0].lower, one[0].upper):
        assert number is not None
        assert math.isfinite(number)


def shipped(
    *findings: Finding, forms: tuple[str, str] = ("checkpoint", "checkpoint"), digest: str = ""
) -> Weighed:
    """Findings weighed by the reference that ships, between a suspect and a base in these forms."""
    suspect, base = (
        replace(subject(label, role, digest=digest), form=form)  # type: ignore[arg-type]
        for label, role, form in zip(("suspect", "base"), ("suspect", "candidate"), forms, strict=True)
    )
    return weigh(findings, [suspect, base], case(), load_reference())


def by_shipped_probe(
    probe: str, value: float, *, bundled: bool = True, version: str | None = None
) -> Finding:
    """A finding by a probe that the shipped table knows, of the version it was read with unless said otherwise."""
    table = load_reference().table
    assert table is not None
    found = finding(probe, value)
    groups = {"neuron-match": Group.MLP, "attention-circuits": Group.ATTENTION}
    outcome = replace(measurement(probe, value), group=groups.get(probe))
    origin = replace(found.probe.origin, bundled=bundled)
    used = replace(found.probe, version=version or table.versions[probe], origin=origin)
    return replace(found, probe=used, outcome=outcome)


def test_the_published_fingerprint_alone_decides_nothing() -> None:
    """0.927 weighs about nothing in the opinion too, and no depth profile alone passes ±0.70 (decision 7)."""
    opinion = shipped(by_shipped_probe("weight-std", 0.927)).opinions[0]
    assert opinion.log10_lr is not None
    assert abs(opinion.log10_lr) < 0.1
    for value in (-0.5, 0.5, 0.98, 0.999):
        opinion = shipped(by_shipped_probe("weight-std", value)).opinions[0]
        assert opinion.log10_lr is not None
        assert abs(opinion.log10_lr) <= 0.7
        assert opinion.verdict == "inconclusive"


def test_another_instrument_is_not_weighed_by_our_reference() -> None:
    """A stranger's probe under a bundled name, or another version of a bundled one, has no weight and no voice."""
    ours = [by_shipped_probe(name, 1.0) for name in ("neuron-match", "attention-circuits")]
    assert shipped(*ours).opinions[0].verdict == "derived"
    for change in ({"bundled": False}, {"version": "99"}):
        others = [by_shipped_probe(name, 1.0, **change) for name in ("neuron-match", "attention-circuits")]  # type: ignore[arg-type]
        weighed_others = shipped(*others)
        assert all(found.weight is None for found in weighed_others.findings)
        assert weighed_others.opinions[0].log10_lr is None
        assert weighed_others.opinions[0].verdict == "inconclusive"


def test_a_strangers_exact_p_restrains_and_states_nothing() -> None:
    """A tiny p of a plugin keeps `independent` away without the house saying that ancestry is shared."""
    ours = [by_shipped_probe(name, 0.0) for name in ("neuron-match", "attention-circuits")]
    assert shipped(*ours).opinions[0].verdict == "independent"
    strange = finding("strange", replace(measurement("strange", 1.0), exact=exact(1e-12)))
    strange = replace(
        strange, probe=replace(strange.probe, origin=replace(strange.probe.origin, bundled=False))
    )
    opinion = shipped(*ours, strange).opinions[0]
    assert opinion.verdict == "inconclusive"
    assert "ancestry" not in opinion.because


def test_a_sketch_is_believed_in_words_only() -> None:
    """A sketch that claims the suspect's digest is not called identical, and the grounds say whose word it is."""
    ours = [by_shipped_probe(name, 0.0) for name in ("neuron-match", "attention-circuits")]
    assert shipped(*ours, digest="ab").opinions[0].relation == "identical"
    opinion = shipped(*ours, digest="ab", forms=("checkpoint", "sketch")).opinions[0]
    assert opinion.relation != "identical"
    assert any("known by a sketch only" in line for line in opinion.grounds)


def exactly(ps: list[float], candidate: str = "base") -> list[Finding]:
    """The three common probes with these exact p-values."""
    plain = findings_at(0.5, candidate)
    return [
        replace(one, outcome=measurement(one.probe.id, 0.5, exact=exact(p)))
        for one, p in zip(plain, ps, strict=True)
    ]


def test_exact_p_values_of_a_candidate_are_combined() -> None:
    """One p per candidate by Bonferroni over its own tests, then Holm over candidates, floored and never above one."""
    labels = ("a", "b", "c")
    findings = exactly([1e-12] * 3, "a") + exactly([0.01, 0.5, 0.9], "b") + exactly([0.6, 0.7, 0.8], "c")
    found = weigh(findings, subjects(labels), case(labels), reference()).opinions
    assert [o.exact and (round(o.exact.p, 14), round(o.exact.p_holm or 0, 14)) for o in found] == [
        (3e-12, 9e-12), (0.03, 0.06), (1.0, 1.0),
    ]  # fmt: skip
    assert found[0].exact is not None
    assert "Bonferroni over 3" in found[0].exact.method
    assert weighed(findings_at(0.5)).opinions[0].exact is None


def test_no_strangers_p_value_is_combined() -> None:
    """The exact p of a probe that is not ours never states shared ancestry."""
    strange = finding("strange", measurement("strange", 0.0, exact=exact(1e-12)))
    strange = replace(
        strange, probe=replace(strange.probe, origin=replace(strange.probe.origin, bundled=False))
    )
    opinion = weighed([*exactly([0.2, 0.3, 0.4]), strange]).opinions[0]
    assert opinion.exact is not None
    assert round(opinion.exact.p, 9) == 0.6
    assert "share ancestry" not in opinion.because


def test_combined_p_is_conservative_under_any_dependence() -> None:
    """Independent, equal or opposed uniform p-values: the combined p is below α at most α of the time, and noise."""
    draws = [random.Random(seed).random() for seed in range(4000)]
    others = [random.Random(-seed - 1).random() for seed in range(4000)]
    for second in (draws, [1 - p for p in draws], others):
        low = [weighed_p(max(p, 1e-12), max(q, 1e-12)) <= 0.1 for p, q in zip(draws, second, strict=True)]
        assert sum(low) <= 0.1 * 4000 + 3 * math.sqrt(4000 * 0.09)


def weighed_p(p: float, q: float) -> float:
    """The combined p of two tests."""
    pair = [
        replace(finding(probe, 0.5), exact=exact(value))
        for probe, value in (("mlp-like", p), ("gains-like", q))
    ]
    return combined(pair, ["base"])["base"].p
