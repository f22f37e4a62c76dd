"""Benchmarks: one training epoch per gradient-descent mode, fastnn against its peers.

``pytest bench --benchmark-only`` checks every peer against a float64 reference, times it, and
ends with a table of samples per second and ratios; ``--quick`` gives a smoke run.
"""
