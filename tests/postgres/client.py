"""Run as a process of a fleet: asks for a dollar until it is refused, and prints how many it was given."""

import asyncio
import sys

from bruno_llm_base import CostTracker
from bruno_llm_base.cost.rows import Claim

NAMES = ("p", "m", "", "")
DOLLAR = 10**12


async def main(url, dollars):
    ledger = CostTracker(url).ledger
    claims = [Claim((), "", dollars * DOLLAR)]
    held = []
    while True:
        hold, _ = await ledger.hold(NAMES, DOLLAR, claims)
        if hold is None:
            break
        held.append(hold)
        sys.stdout.write("held\n")
        sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
