"""The benchmark: what this node does in a second, beside its peers and its limits, measured in one run.

``python -m bench`` lists the operations. Reading order: ``settings`` (what a run is), ``report`` (figures, ratios and
the JSON they end in), ``workload`` (seeded names and records), ``processes`` and ``nodes`` and ``peers`` (what is
measured), ``h2_frames`` and ``load`` (what asks), then one file for each operation. ``README.md`` explains the columns.
"""
