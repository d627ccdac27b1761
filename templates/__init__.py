"""Words and layout of the reports; no sums."""
