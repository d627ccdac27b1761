"""Calibrating: labelled pairs of checkpoints in, a calibration file out; what the fits are made and written with.

`pairs` reads the list, `kinship` tells families, `running` measures it resumably in confined workers, `population`
turns readings into calibrations or says why not, `brought` reads a calibration file for a case.
"""
