"""Quantised safetensors and torch files: groups of entries that together are one matrix, decoded in bounded memory."""

from forensics.checkpoint.quantised.claims import (
    SCHEMES,
    Claims,
    Scheme,
    claim,
    contradictions,
    schemes_table,
)

__all__ = ["SCHEMES", "Claims", "Scheme", "claim", "contradictions", "schemes_table"]
