"""Ask the same of many rows by workers of Celery: `python celery_rows.py reviews.jsonl answers.jsonl`.

Wants celery[redis] beside what `ask.py` wants. On each machine that is to work, in this folder:
`celery --app celery_rows worker --concurrency 4`.
"""

import asyncio
import json
import os
import sys
from itertools import islice
from pathlib import Path

import ask
from celery import Celery, group

BROKER = os.environ.get("BROKER_URL", "redis://localhost:6379/1")

app = Celery("celery_rows", broker=BROKER, backend=BROKER)
app.conf.update(
    task_acks_late=True,  # what has not ended stays in the queue
    task_reject_on_worker_lost=True,  # where a process dies, another gets what it had
    worker_prefetch_multiplier=1,
    # when what a lost machine had is given to another; longer than any task takes
    broker_transport_options={"visibility_timeout": 3600},
)


@app.task
def answer(rows: list[dict]) -> list[dict]:
    """Ask for some rows; if the process dies, another does so from the start."""
    return asyncio.run(ask.ask(rows))


def main(path: str, into: str) -> None:
    """Ask for each row of a file of JSON Lines, and write such a file."""
    failed = 0
    with Path(path).open() as file, Path(into).open("w") as answers:
        rows = map(json.loads, file)
        tasks = group(answer.s(some) for some in iter(lambda: list(islice(rows, 250)), []))
        for lines in tasks.apply_async().get():
            answers.writelines(f"{json.dumps(line)}\n" for line in lines)
            failed += sum(line["error"] is not None for line in lines)
    print(f"{failed} rows have no answer.")


if __name__ == "__main__":
    main(*sys.argv[1:])
