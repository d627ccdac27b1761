"""Which probes vote in the fusion, which stand beside it, and why."""

from __future__ import annotations

from forensics.evidence.transforms import Transform

VOTES = {
    "MLP": ("neuron-match",),
    "attention": ("attention-circuits", "attention-graph"),
    "depth curves": ("weight-std",),
}
"""What is fused: one vote per thing that is read, cast by whichever of its probes sees most. Circuits are lost with the
vocabulary and the heads' graph is not; both read the same heads."""
BESIDE = (
    "activation-overlap", "attention-channels", "depth-curves", "identity-attention", "identity-mlp", "near-init-rows",
    "norm-gains", "qkv-bias", "residual-basis",
)  # fmt: skip
"""Probes with a weight of their own that are never fused: what behaves alike need not descend, gains are lost to one
rescaling and pasted with one file, embeddings are reused on their own and by one initialisation, curves over depth have
their vote in weight-std, channels read what circuits read, and what stands in place is seen by whatever is found
anywhere. What activations and gains cost as fused probes is told in docs/methods.md, Weighing."""
TRANSFORM = Transform(kind="atanh", low=-0.99, high=0.99)
"""Of every reading: all are correlations, or rates that behave like one."""
ANCHORS = ("attention-circuits", "neuron-match")
"""One of these must have spoken before anything is fused: the others alone separate the zoo better than real models."""
CALIBRATED_ELSEWHERE = {"weight-std"}
"""Its own weight comes from published measurements of real models (decision 7)."""
