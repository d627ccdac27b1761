"""What one instrument's findings are drawn as: the pair, with the controls of the case in the same picture.

A control is a model known to be unrelated, so its curve is what an unrelated curve looks like in this very case. It is
laid over each candidate's picture and has none of its own, unless no candidate has one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from forensics.matrices import Matrix
from forensics.readings import Measurement, Series, Table
from forensics.records import Finding
from forensics.report import experts, figures, numbers, populations, ranges
from forensics.report.canvas import Drawing, short
from forensics.report.heatmaps import heatmaps
from forensics.report.populations import Beside

OVERLAID = 2
"""Controls whose curves are laid over a candidate's."""
FEWEST = 3
"""Layers with a reading from which on they are drawn as a curve where a finding brings no other."""
SUSPECT, CANDIDATE = "suspect", "candidate"
"""Names that probes give to the lines of the two sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exhibited:
    """The findings of one instrument with what can be drawn of each."""

    findings: tuple[Finding, ...]
    tags: Mapping[str, str]
    order: tuple[int, ...]
    """Places of findings that have a picture of their own, in the order in which they get one."""
    controls: tuple[int, ...]
    """Places of the controls' findings that gave a reading."""
    beyond: int
    """Controls with curves that have no picture and are laid over none."""

    @classmethod
    def of(cls, findings: Sequence[Finding], tags: Mapping[str, str]) -> Exhibited:
        """Candidates with the highest readings first, then controls with something that is not laid over."""
        known = tuple(findings)
        read = [k for k, finding in enumerate(known) if isinstance(finding.outcome, Measurement)]
        controls = tuple(k for k in read if is_control(known[k], tags))
        told = [k for k in read if k not in controls and _has_picture(known[k])]
        told.sort(key=lambda k: -_value(known[k]))
        over = any(lines(known[k]) for k in told)
        own = [k for k in controls if (matrices(known[k]) if over else _has_picture(known[k]))]
        beyond = sum(bool(lines(known[k])) for k in controls[OVERLAID:]) if over else 0
        return cls(findings=known, tags=tags, order=(*told, *own), controls=controls, beyond=beyond)

    @property
    def overlaid(self) -> bool:
        """Whether candidates have curves over which controls are laid."""
        return any(lines(self.findings[k]) for k in self.order if k not in self.controls)

    def tag(self, finding: Finding) -> str:
        """What stands for its candidate in figures."""
        return self.tags.get(finding.candidate, "?")


def is_control(finding: Finding, tags: Mapping[str, str]) -> bool:
    """Whether it is on a control: their tags are `C1`, `C2`, …."""
    return tags.get(finding.candidate, "").startswith("C")


def drawn(shown: Exhibited, place: int) -> tuple[Drawing, ...]:
    """Every picture of the finding at a place: curves, heat maps, experts, and ranges with the section's first."""
    finding = shown.findings[place]
    beside = _beside(shown, place)
    series, said = _overlaid(shown, place)
    made = list(figures.curves(series, beside, said))
    who = f"{shown.tag(finding)} {short(finding.candidate, 24)}"
    made += heatmaps(matrices(finding), beside, f"{who},")
    outcome = finding.outcome
    if isinstance(outcome, Measurement) and (found := experts.coverage(outcome.tables)) is not None:
        made.append(experts.expert_map(found, beside, f"{who}."))
    if place == next((k for k in shown.order if _ranged(shown.findings[k])), None):
        made += _ranges(shown)
    return tuple(made)


def _has_picture(finding: Finding) -> bool:
    """Whether anything can be drawn of it."""
    tables = finding.outcome.tables if isinstance(finding.outcome, Measurement) else ()
    experts_told = any(table.columns == experts.COLUMNS for table in tables)
    return bool(lines(finding) or matrices(finding) or experts_told or _ranged(finding))


def _ranged(finding: Finding) -> tuple[Table, ...]:
    """Tables of figures beside those of known pairs."""
    tables = finding.outcome.tables if isinstance(finding.outcome, Measurement) else ()
    return tuple(table for table in tables if table.columns == ranges.COLUMNS)


def _ranges(shown: Exhibited) -> list[Drawing]:
    """One picture for all pairs of the case that an instrument set beside known ones."""
    own = [shown.findings[k] for k in dict.fromkeys((*shown.order, *shown.controls))]
    tables = [(f"{shown.tag(f)} {short(f.candidate, 20)}", table) for f in own for table in _ranged(f)]
    drawing = ranges.range_picture(*ranges.ranged(tables))
    return [] if drawing is None else [drawing]


def _beside(shown: Exhibited, place: int) -> Beside:
    """The reference pairs of the finding's reading and the other controls of the case."""
    finding = shown.findings[place]
    others = [shown.findings[k] for k in shown.controls if k != place]
    return Beside(
        case=(shown.tag(finding), _value(finding)),
        counts=populations.bins(finding.background),
        title="" if finding.background is None else finding.background.title,
        controls=tuple((shown.tag(other), _value(other)) for other in others),
        one_scale=_layered(finding),
    )


def _overlaid(shown: Exhibited, place: int) -> tuple[tuple[Series, ...], str]:
    """The finding's lines, the first controls' in the same panels, and what is shown in words."""
    finding = shown.findings[place]
    own = lines(finding)
    who = f"{shown.tag(finding)} {short(finding.candidate, 24)}"
    plain = {line.panel for line in own} - {
        line.panel for line in own if line.name not in (SUSPECT, CANDIDATE)
    }
    named = [_renamed(line, who, plain) for line in own]
    others = [] if place in shown.controls else [shown.findings[k] for k in shown.controls[:OVERLAID]]
    panels = {line.panel for line in own}
    laid: list[str] = []
    for other in others:
        tag = shown.tag(other)
        control = f"{tag} {short(other.candidate, 16)} (control)"
        over = [line for line in lines(other) if line.panel in panels and line.name != SUSPECT]
        laid += [control] if over else []
        named += [
            _renamed(line, control, plain)
            if line.panel in plain
            else replace(line, name=f"{line.name}, {tag}")
            for line in over
        ]
    more = len(shown.controls) - len(others) if others else 0
    said = f"{who}" + (f" with {' and '.join(laid)}" if laid else "")
    said += f"; curves of {numbers.count(more)} more controls are in the record" if laid and more else ""
    return tuple(named), f"{said}."


def _renamed(line: Series, who: str, plain: set[str]) -> Series:
    """The other model's line of a panel that has only the two sides, under that model's name."""
    return replace(line, name=who) if line.panel in plain and line.name == CANDIDATE else line


def matrices(finding: Finding) -> tuple[Matrix, ...]:
    """The finding's matrices, for heat maps."""
    return finding.outcome.matrices if isinstance(finding.outcome, Measurement) else ()


def lines(finding: Finding) -> tuple[Series, ...]:
    """The finding's own series, or its values per layer where it brings none; the other model's are `candidate`."""
    found = finding.outcome
    if not isinstance(found, Measurement):
        return ()
    if found.series or sum(value is not None for value in found.layers) < FEWEST:
        return tuple(
            replace(line, name=CANDIDATE) if line.name == finding.candidate else line for line in found.series
        )
    return (
        Series(
            panel="by layer",
            name=CANDIDATE,
            x_label="examined layer",
            y_label="reading",
            x=tuple(float(i) for i in range(len(found.layers))),
            y=found.layers,
        ),
    )


def _layered(finding: Finding) -> bool:
    """Whether its one curve is the reading itself layer by layer."""
    found = finding.outcome
    if not isinstance(found, Measurement):
        return False
    known = [value for value in found.layers if value is not None]
    told = [[value for value in line.y if value is not None] for line in lines(finding)]
    return bool(known) and len(told) == 1 and told[0] == known


def _value(finding: Finding) -> float:
    """The reading; of a finding without one it is never asked."""
    return finding.outcome.value if isinstance(finding.outcome, Measurement) else 0.0
