"""Ask the same of many rows on a Dask cluster: `python dask_rows.py reviews.jsonl answers`.

Wants dask[bag] and distributed beside what `ask.py` wants. For a cluster of several machines, give
`Client` the address of its scheduler.
"""

import asyncio
import json
import sys

import ask
import dask.bag
from dask.distributed import Client, LocalCluster

WORKERS = 4


def answer(rows: list[dict]) -> list[dict]:
    """Ask for a partition; if the process dies, another does so from the start."""
    return asyncio.run(ask.ask(list(rows)))


def main(path: str, folder: str) -> None:
    """Ask for each row of a file of JSON Lines, and write such files."""
    cluster = LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        client.upload_file(ask.__file__)
        rows = dask.bag.read_text(path, blocksize="16 KiB").map(json.loads)
        lines = rows.map_partitions(answer).map(json.dumps)
        lines.to_textfiles(f"{folder}/*.jsonl", last_endline=True)
        answered = dask.bag.read_text(f"{folder}/*.jsonl").map(json.loads)
        failed = answered.filter(lambda line: line["error"] is not None)
        print(f"{failed.count().compute()} rows have no answer.")


if __name__ == "__main__":
    main(*sys.argv[1:])
