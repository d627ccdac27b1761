"""Dossiers made in code for the tests of the report: every kind of outcome, and every kind of nuisance.

The numbers are invented (they exercise the layout) and no test asserts that they are right.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from itertools import combinations

from forensics.readings import Abstention, Failure, Measurement, Reason, Series, Table
from forensics.records import (
    Architecture,
    CandidateRelation,
    Case,
    ClaimStanding,
    Contribution,
    Dossier,
    Environment,
    Exhibit,
    FileSeen,
    Opinion,
    PairReading,
    Population,
    Problem,
    Proposition,
    Standing,
    Statement,
    Subject,
    Tool,
    Unexamined,
)
from tests.report.instruments import POPULATION, PROBES, digest, findings, joint, origin

HOSTILE = (
    "<img src=file:///etc/passwd>",
    "{{7*7}}{% for x in y %}",
    '<link rel=attachment href="file:///etc/passwd">',
    '"><style>@import url(http://127.0.0.1:9/x.css);</style>',
    "invoice\u202egnp.exe",
    "\x1b[31mred\x1b[0m\x07\x00",
    "zero\u200bwidth\ufeff",
    "lone \ud800 surrogate",
    "</script><script>alert(1)</script>",
    "$\\frac{1}{",
    "_hidden",
    "Z\u0301\u0301\u0301\u0301\u0301\u0301\u0301algo",
    "模型的权重 权重 · مدل زبانی 7B · מודל 3.5",
)


def opinion(name: str, value: float | None) -> Opinion:
    """An opinion that a log10 LR of `value` might lead to."""
    if value is None:
        return Opinion(
            candidate=name, log10_lr=None, lower=None, upper=None, cap=None, verdict="inconclusive",
            relation="undetermined", grounds=("no calibrated probe could speak: 0 of 8",), band="no likelihood ratio",
            because="No calibrated probe could speak on this pair.",
            not_meaning=f"It does not mean that the suspect and {name} are unrelated.", coverage=0.42,
        )  # fmt: skip
    explained = {}
    verdict, relation, band = (
        "inconclusive",
        "undetermined",
        "weak support for derivation relative to independent origin",
    )
    if value >= 1.0:
        verdict, relation, band = (
            "derived",
            "fine-tuned",
            "moderate support for derivation relative to independent origin",
        )
        explained = {
            "relation_grounds": (f"the difference from {name} has rank 16",),
            "direction": "suspect-from-candidate",
            "direction_grounds": (f"the values of {name} fill the grid",),
        }
    elif value <= -1.0:
        verdict, band = "independent", "moderate support for independent origin relative to derivation"
    return Opinion(
        candidate=name,
        log10_lr=value,
        lower=max(-1.146, value - 0.35),
        upper=min(1.146, value + 0.3),
        cap=1.146,
        verdict=verdict,  # type: ignore[arg-type]
        relation=relation,  # type: ignore[arg-type]
        grounds=(
            f"fused log10 LR {value:.2f}, required at least 1.0",
            "tensor groups that speak for descent: mlp (28 of 32 layers), attention (30 of 32 layers)",
            "coverage 0.998, required at least 0.5",
            "no control came out derived",
            "no unresolved sign of partial reuse or shared initialisation",
        ),
        band=band,
        because="Feed-forward and attention weights both lie beyond every unrelated pair of comparable scale.",
        not_meaning=f"It does not mean that anything was taken from {name} unlawfully, nor who did what and when.",
        coverage=0.998,
        contributions=(
            Contribution(probe="intercept", log10_lr=-0.21),
            Contribution(probe="depth curves", log10_lr=0.22 * value),
            Contribution(probe="neuron-match", log10_lr=1.31 * value),
            Contribution(probe="norm-gains", log10_lr=0.64 * value),
        ),
        population=POPULATION,
        cllr=0.187,
        propositions=stood(verdict),
        **explained,  # type: ignore[arg-type]
    )


def stood(verdict: str) -> tuple[Proposition, ...]:
    """Three of the propositions, for the layout."""
    standing: dict[str, Standing] = {"derived": "supported", "independent": "contradicted"}
    return (
        Proposition(
            id="derived", words="One was made from the other's weights", standing=standing.get(verdict, "open"),
            grounds=("Feed-forward and attention weights lie beyond every unrelated pair.", "No direction is shown."),
            not_told_from=("sibling-or-common-ancestor",),
        ),
        Proposition(
            id="sibling-or-common-ancestor", words="Both descend from a third model", standing="open",
            grounds=("Siblings read alike.",), not_told_from=("derived",),
        ),
        Proposition(
            id="distilled", words="The suspect learnt from the candidate's outputs", standing="untested",
            grounds=("No instrument looked at behaviour.",),
        ),
    )  # fmt: skip


def subject(label: str, role: str, shards: int = 3) -> Subject:
    """A checkpoint as examined."""
    names = [
        "config.json",
        *(f"model-{i:05}-of-{shards:05}.safetensors" for i in range(1, shards + 1)),
        "tokenizer.json",
    ]
    return Subject(
        label=label,
        role=role,  # type: ignore[arg-type]
        form="checkpoint",
        files=tuple(
            FileSeen(name=n, size=4_976_698_672 if "model" in n else 1_843, sha256=digest(label + n)) for n in names
        ),
        digest=digest(label),
        architecture=Architecture(
            declared="LlamaForCausalLM", layout="llama", layers=32, width=4096, vocabulary=128_256, heads=32,
            kv_heads=8, head_dim=128, norm="rms",
        ),
        parameters=8_030_261_248,
        recognised=8_014_200_000,
        dtypes=("bf16",),
        unexamined=(Unexamined(name="rotary_emb.inv_freq", reason="no role in the layout llama"),),
    )  # fmt: skip


def relations(asked: dict[str, float]) -> tuple[CandidateRelation, ...]:
    """Pairs of candidates: the first two related, others not."""
    made = []
    for k, (first, second) in enumerate(combinations(asked, 2)):
        said = opinion(second, 1.146 if k == 0 else -1.1)
        made.append(
            CandidateRelation(
                first=first, second=second, log10_lr=said.log10_lr, lower=said.lower, upper=said.upper, cap=said.cap,
                verdict=said.verdict, relation=said.relation, relation_grounds=said.relation_grounds,
                because=said.because, coverage=said.coverage, population=said.population,
                readings=(
                    PairReading(probe="neuron-match", value=0.93 if k == 0 else 0.01, log10_lr=said.log10_lr),
                    PairReading(probe="qkv-bias", absence="missing-tensors"),
                ),
            )
        )  # fmt: skip
    return tuple(made)


def claims(names: tuple[str, ...]) -> tuple[ClaimStanding, ...]:
    """A claim that agrees for the first candidate, one that matches none, and silence on the rest."""
    made = [
        ClaimStanding(
            kind="declared parent",
            stated="skylab/meridian-8b",
            where="README.md:3",
            candidate=name,
            same_by="the last part of the name, without its owner, is that of the candidate's label",
            says="agrees",
            sentence="The suspect's metadata declare it to be its parent, and the weights say so.",
        )
        for name in names[:1]
    ]
    made.append(
        ClaimStanding(
            kind="configured name",
            stated="/data/old-8b",
            where="config.json:2",
            candidate="",
            same_by="",
            says="unmatched",
            sentence="Not matched to any candidate.",
        )
    )
    made += [
        ClaimStanding(
            kind="none", stated="", where="", candidate=name, same_by="", says="silent",
            sentence="The suspect's metadata name other parents.", innocent=("a card may be missing", "or another"),
        )
        for name in names[1:]
    ]  # fmt: skip
    return tuple(made)


def environment() -> Environment:
    """What could change a reading."""
    return Environment(
        python="3.11.2",
        packages={"numpy": "2.4.1", "scipy": "1.17.0", "torch": "2.13.0+cpu"},
        plugins=(origin(), origin(bundled=False, name="acme-forensics-extras")),
        populations=(
            Population(
                id="zoo-1", description=POPULATION, sha256=digest("zoo"), families=14, derived_pairs=42,
                unrelated_pairs=180, cllr=0.187, cllr_lower=0.12, cllr_upper=0.29,
            ),
            Population(
                id="mdgbench-1", description="published depth curves of real models: 9 families", sha256=digest("mdg"),
                families=9, derived_pairs=18, unrelated_pairs=153,
            ),
        ),
        verbal_scale="enfsi-2015-example/1",
    )  # fmt: skip


def dossier(
    candidates: dict[str, float] | None = None,
    controls: dict[str, float] | None = None,
    *,
    suspect: str = "aurora-8b",
    case_id: str = "2026-0117",
) -> Dossier:
    """The worked example: one derived, one independent, one inconclusive candidate and one control."""
    asked = (
        {"meridian-8b": 1.146, "twin-8b": -1.12, "old-base-7b": 0.31} if candidates is None else candidates
    )
    known = {"stranger-7b": -1.02} if controls is None else controls
    return Dossier(
        tool=Tool(name="model-forensics", version="0.1.0"),
        case=Case(
            id=case_id, suspect=suspect, candidates=tuple(asked), controls=tuple(known),
            probes=tuple(p.id for p in PROBES), generated_at="2026-11-02T09:30:00Z",
        ),
        subjects=(
            subject(suspect, "suspect"),
            *(subject(name, "candidate") for name in asked),
            *(subject(name, "control") for name in known),
        ),
        findings=findings({**asked, **known}),
        joint=joint(tuple(asked)),
        candidate_relations=relations(asked),
        claims=claims(tuple(asked)),
        opinions=tuple(opinion(name, value) for name, value in asked.items()),
        controls=tuple(opinion(name, value) for name, value in known.items()),
        problems=(
            Problem(where="acme-forensics-extras", code="PROBE", message="third-party-probe broke on every pair"),
        ),
        environment=environment(),
    )  # fmt: skip


def many() -> Dossier:
    """Twelve candidates."""
    names = {f"candidate-{chr(97 + i)}-{7 + i}b": 1.146 - 0.2 * i for i in range(12)}
    return dossier(names)


def sparse() -> Dossier:
    """One candidate, no control, no date, and hardly a probe that could speak; another subject was unreadable."""
    whole = dossier({"lonely-1b": 0.0}, {})
    silent = tuple(
        replace(
            finding,
            outcome=Abstention(reason=Reason.MISSING_TENSORS, detail="neither side stores this tensor"),
            weight=None,
            exact=None,
            background=None,
        )
        for finding in whole.findings
    )
    unreadable = Subject(label="lonely-1b", role="candidate", form="unreadable")
    return replace(
        whole,
        case=replace(whole.case, generated_at=None),
        findings=silent,
        opinions=(opinion("lonely-1b", None),),
        subjects=(whole.subjects[0], unreadable),
        problems=(
            *whole.problems,
            Problem(where="lonely-1b", code="TRUNCATED", message="shard 2 ends early"),
        ),
    )


def bare() -> Dossier:
    """The least that the schema allows: no subject, finding, opinion, package or population."""
    return Dossier(
        tool=Tool(name="model-forensics", version="0"),
        case=Case(id="", suspect="s", candidates=()),
        subjects=(),
        findings=(),
        opinions=(),
        environment=Environment(python="3.11", packages={}),
    )


def hostile() -> Dossier:
    """Every string that a stranger can choose is a nuisance."""
    nuisance = " ".join(HOSTILE)
    whole = dossier(
        {HOSTILE[0]: 1.146, HOSTILE[12]: 0.2}, {HOSTILE[4]: -0.4}, suspect=HOSTILE[2], case_id=HOSTILE[5]
    )
    odd = Series(
        panel=HOSTILE[9],
        name=HOSTILE[10],
        x_label=HOSTILE[1],
        y_label=HOSTILE[12],
        x=(0.0, 1.0, 2.0),
        y=(1e308, None, -1e308),
    )
    short = Series(panel="short", name=HOSTILE[8], x_label="", y_label="", x=(1.0,), y=())
    table = Table(
        title=nuisance, columns=HOSTILE[:3], rows=((*HOSTILE[3:5], 10**400), ("x" * 20_000, None, True))
    )
    made = []
    for finding in whole.findings:
        found = finding.outcome
        if isinstance(found, Measurement):
            found = replace(
                found, summary=nuisance, series=(odd, short), tables=(table,), facts={HOSTILE[3]: nuisance}
            )
        elif isinstance(found, Failure):
            found = replace(found, error=HOSTILE[8], detail=nuisance * 20)
        else:
            found = replace(found, detail=nuisance)
        made.append(replace(finding, outcome=found))
    subjects = tuple(
        replace(
            s,
            files=(*s.files, FileSeen(name=nuisance, size=-1, sha256="", note=HOSTILE[6])),
            dtypes=HOSTILE[5:7],
        )
        for s in whole.subjects
    )
    problems = tuple(Problem(where=text, code=HOSTILE[5], message=text * 3) for text in HOSTILE)
    joint_made = tuple(
        replace(
            found,
            candidates=HOSTILE,
            outcome=replace(found.outcome, summary=nuisance, tables=(table,))
            if isinstance(found.outcome, Measurement)
            else replace(found.outcome, detail=nuisance),
        )
        for found in whole.joint
    )
    opinions = tuple(
        replace(
            o,
            relation_grounds=(nuisance,),
            direction_grounds=HOSTILE,
            propositions=tuple(replace(one, words=nuisance, grounds=HOSTILE) for one in o.propositions),
        )
        for o in whole.opinions
    )
    pairs = tuple(
        replace(
            pair,
            relation_grounds=HOSTILE,
            because=nuisance,
            readings=(PairReading(probe=nuisance, absence=HOSTILE[5]),),
        )
        for pair in whole.candidate_relations
    )
    return replace(
        whole,
        findings=tuple(made),
        joint=joint_made,
        candidate_relations=pairs,
        claims=tuple(
            replace(
                one,
                stated=nuisance,
                where=HOSTILE[5],
                same_by=HOSTILE[4],
                sentence=nuisance,
                innocent=HOSTILE,
            )
            for one in whole.claims
        ),
        opinions=opinions,
        subjects=subjects,
        problems=problems,
        exhibits=tuple(
            Exhibit(name=text, note=nuisance, size=-1, sha256=text, media_type=HOSTILE[0]) for text in HOSTILE
        ),
        statements=tuple(
            Statement(
                side=side, name=HOSTILE[8], size=3, sha256=digest(side), text="\n".join(HOSTILE), omitted=7
            )
            for side in ("for", "against", "against")
        ),
    )


def contested() -> Dossier:
    """Two exhibits and both parties' statements, the second twice."""
    return replace(
        dossier(),
        exhibits=(
            Exhibit(name="accusation.pdf", note="first published on 3 October", size=48_211,
                    sha256=digest("accusation"), media_type="application/pdf"),
            Exhibit(name="screen shot 2.html", note="", size=912, sha256=digest("shot"), media_type="text/html"),
        ),
        statements=(
            Statement(side="for", name="claim.txt", size=70, sha256=digest("claim"),
                      text="The curves of the two models agree.\n\nNobody else has them."),
            Statement(side="against", name="denial.txt", size=9000, sha256=digest("denial"),
                      text="We trained from scratch.", omitted=8976),
            Statement(side="against", name="reply.txt", size=24, sha256=digest("reply"), text="See our loss curves."),
        ),
    )  # fmt: skip


def long_tables() -> Dossier:
    """A finding with a table of 3000 rows and a subject of 900 files."""
    whole = dossier({"big-8b": 0.4}, {})
    table = Table(
        title="Everything",
        columns=("row", "value"),
        rows=tuple((f"row-{i}", i / 7) for i in range(3000)),
        omitted=17,
    )
    first = whole.findings[0]
    assert isinstance(first.outcome, Measurement)
    grown = replace(first, outcome=replace(first.outcome, tables=(table,), series=()))
    return replace(whole, findings=(grown,), subjects=(subject("aurora-8b", "suspect", 900),))


def record_of(dossier: Dossier) -> bytes:
    """Bytes of a record, for embedding; the archive has its own canonical form."""
    return json.dumps(asdict(dossier), sort_keys=True, allow_nan=False).encode()
