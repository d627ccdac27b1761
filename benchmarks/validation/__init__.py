"""The validation report: `python -m benchmarks.validation`."""
