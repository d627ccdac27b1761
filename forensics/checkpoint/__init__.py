"""The only room that touches model files. Everything in them is hostile; nothing in them is run."""

from __future__ import annotations

from forensics.checkpoint.facts import ROLES, Anchors, TextFile, TokenizerFacts
from forensics.checkpoint.opened import Checkpoint
from forensics.checkpoint.opening import open_checkpoint

__all__ = ["ROLES", "Anchors", "Checkpoint", "TextFile", "TokenizerFacts", "open_checkpoint"]
