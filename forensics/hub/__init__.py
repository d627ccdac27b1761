"""A checkpoint on a hub, read in place: the parent fetches byte ranges, the worker that parses them has no network.

Import the modules where they are needed: they bring an HTTP client, and `forensics --help` should not.
"""
