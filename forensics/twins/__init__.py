"""Twins of a checkpoint, made in memory and tensor by tensor, whose relation to it is known.

A twin is a view of a checkpoint (`view.TwinView`) that gives changed rows, vectors and anchors. What changes them is a
gauge (`gauged`), under which the model computes what it did, or noise and rounding (`disturbed`); `kinds` lists them.
"""
