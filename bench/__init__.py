"""Benchmarks: fastnn against its peers, its builds against each other, threads, memory.

``pytest bench --benchmark-only`` checks every peer against a float64 reference, times it, and
ends with tables; ``--quick`` gives a smoke run, ``--table FILE`` keeps the tables as Markdown.
``python -m bench.roofline`` measures what the machine can do.
"""
