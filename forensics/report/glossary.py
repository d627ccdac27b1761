"""The words of a report for readers who meet them for the first time, and what they can read up."""

from __future__ import annotations

GLOSSARY: tuple[tuple[str, str], ...] = (
    ("Abstention", "an instrument says that it can say nothing here, and why. It counts for nobody."),
    ("Adapter", "a small set of changes to a model, kept apart from it; merged when it is added in for good."),
    ("Architecture", "the building plan of a model: how many layers, how wide, how they are joined."),
    ("Bound (cap)", "the largest likelihood ratio that the reference population can bear, however striking a match."),
    ("Candidate", "a model that the suspect may have been made from."),
    ("Checkpoint", "the files of one model: its weights, settings, tokenizer and texts."),
    ("Cllr", "what a method’s likelihood ratios cost on pairs of known origin: 0 is perfect, 1 says nothing."),
    ("Control", "a model known to be unrelated, examined like a candidate to see what the instruments say of it."),
    ("Coverage", "the share of the suspect’s weights that was recognised and read."),
    ("Digest (SHA-256)", "a number of 64 digits computed from a file; another file has another one."),
    ("Embedding", "the list of numbers by which a model stands for one token."),
    ("Exact test", "a test whose p-value holds by symmetry alone, without any reference population."),
    ("Family", "all models that go back to one random beginning; the unit in which evidence is counted."),
    ("Fine-tuning", "training a finished model further, on less and other text."),
    ("Holm’s correction", "makes p-values larger because several tests were made; keeps chance finds out."),
    ("Interval (95 %)", "how far the likelihood ratio would move had other families been in the reference."),
    ("Layer", "one of the many equal steps that a model works in, one after the other."),
    ("Likelihood ratio (LR)", "how many times more probable the findings are under one statement than the other."),
    ("log10 LR", "the LR’s power of ten: +1 is ten times more probable if derived, −1 ten times if independent."),
    ("p-value", "how probable so good a match is by chance if the two models are independent."),
    ("Permuting, rotating", "re-ordering or turning a model’s inner coordinates; its answers stay the same."),
    ("Prior", "what a reader thought before seeing the findings. It is the reader’s, never the report’s."),
    ("Probe (instrument)", "one method of comparison, with its own reading, limits and blind spots."),
    ("Pruning", "leaving out parts of a model."),
    ("Quantising", "storing weights with fewer digits, to save room."),
    ("Record", "the file dossier.json, in which everything stands that this report tells."),
    ("Reference population", "pairs of models of known origin, from which the weight of a reading is learnt."),
    ("Suspect", "the model whose descent is asked about. The word accuses nobody."),
    ("Tippett curves", "for pairs of known origin, how many have an LR beyond each value; they show what misleads."),
    ("Tokenizer", "cuts text into the pieces (tokens) that a model reads and writes."),
    ("Weights (parameters)", "the numbers that a model has learnt; they are what is compared here."),
)  # fmt: skip

REFERENCES = (
    "ENFSI Guideline for Evaluative Reporting in Forensic Science, version 3.0, 2015 (STEOFRAE).",
    "ISO 21043-4 and 21043-5, Forensic sciences: interpretation, reporting, 2025.",
    "Morrison et al., Consensus on validation of forensic voice comparison, Science & Justice 61(3), 2021.",
    "Brümmer and du Preez, Application-independent evaluation of speaker detection, Comp. Speech & Lang. 20, 2006.",
    "Vergeer et al., Numerical likelihood ratios … often based on extrapolation, Science & Justice 56, 2016.",
    "van Lierop et al., An overview of log likelihood ratio cost in forensic science, FSI: Synergy 8, 2024.",
    "Holm, A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979.",
    "The program’s own documents: docs/methods.md, docs/validation.md, docs/reading-a-dossier.md.",
)
"""Literature that the figures and the form of the report go back to."""
