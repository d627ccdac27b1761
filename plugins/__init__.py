"""Bundled probes: one file each, importing only the façade `forensics`; no file knows another."""
