"""Ask the same of many rows on a Ray cluster: `python ray_rows.py reviews.jsonl answers`.

Wants ray[data] beside what `ask.py` wants. On a cluster of several machines, hand over this folder:
`ray job submit --working-dir examples/fleet -- python ray_rows.py reviews.jsonl answers`.
"""

import sys
from collections.abc import AsyncIterator

import pyarrow as pa
import ray
from ask import answers, model
from ray.data import ActorPoolStrategy
from ray.data.expressions import col

WORKERS = 4
ANSWER = pa.schema([("id", pa.string()), ("answer", pa.string()), ("error", pa.string())])


class Asker:
    """A process, which asks for one block of rows after the other.

    If it dies, Ray starts another one and gives it the block again, as a whole.
    """

    def __init__(self) -> None:
        self.llm = model()

    async def __call__(self, block: pa.Table) -> AsyncIterator[pa.Table]:
        yield pa.Table.from_pylist(await answers(self.llm, block.to_pylist()), ANSWER)


def main(path: str, folder: str) -> None:
    """Ask for each row of a file of JSON Lines, and write such files."""
    rows = ray.data.read_json(path).repartition(target_num_rows_per_block=250)
    asked = rows.map_batches(
        Asker,
        compute=ActorPoolStrategy(size=WORKERS),
        batch_size=None,  # a block
        batch_format="pyarrow",
        num_cpus=0.1,  # it waits
    )
    asked.write_json(folder)
    failed = ray.data.read_json(folder).filter(expr=col("error").is_not_null())
    print(f"{failed.count()} rows have no answer.")


if __name__ == "__main__":
    main(*sys.argv[1:])
