"""A stranger's whole plugin: do both checkpoints count the same vocabulary?"""

from dataclasses import dataclass

from forensics import Abstain, Measurement, Pair, Probe, Reason, hookimpl


@dataclass(frozen=True, kw_only=True)
class SpecimenProbe(Probe):
    """Compares the numbers of embedding rows; a shared size is a hint, never evidence."""

    id = "specimen-vocabulary-size"
    version = "1"
    title = "Vocabulary size"
    measures = "Ratio of the smaller to the larger vocabulary; shared by all who use one tokenizer."

    def examine(self, pair: Pair) -> Measurement:
        """The ratio of embedding rows, from 0 to 1."""
        sizes = sorted(side.architecture.vocabulary for side in (pair.suspect, pair.candidate))
        if sizes[0] == 0:
            raise Abstain(Reason.MISSING_TENSORS, "a side has no token embedding")
        return Measurement(
            value=sizes[0] / sizes[1],
            quantity="smaller vocabulary divided by larger, 0 to 1",
            summary=f"The vocabularies hold {sizes[0]} and {sizes[1]} tokens.",
        )


@hookimpl
def forensics_probes() -> list[Probe]:
    """Offers the one probe."""
    return [SpecimenProbe()]
