"""Runs `examples/fleet/ray_rows.py` on a small cluster of this machine alone.

Ray listens on all addresses all the same, and has no setting for that.
"""

import sys

import ray
import ray_rows

ray.init(
    num_cpus=2,
    include_dashboard=False,
    object_store_memory=100_000_000,
    logging_level="warning",
    _temp_dir=sys.argv[3],
)
ray_rows.main(*sys.argv[1:3])
