"""How the archive reads a record back: nothing unknown, nothing that is not finite."""

from __future__ import annotations

from typing import Any

STRICT: Any = {"extra": "forbid", "allow_inf_nan": False, "use_attribute_docstrings": True}
"""The setting that every record carries."""
