"""A desk that takes the lease from whoever holds it, at random moments, and sends until it is taken back.

``python lease_thief.py CONFIG NAME SECONDS SEED``. Its orders are one share, immediate or cancel, far below
the market, of symbols that carry its NAME; prints one JSON line with what it did.
"""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import time

from tests.support.kill_world import ACCOUNT, MANY, SESSION, OrderPath, intent_of
from workbench.config import load_settings
from workbench.core.orders import client_order_id
from workbench.core.types import NANO, TimeInForce
from workbench.errors import JournalConflict, LeaseLost, WorkbenchError

#: The first half of the symbols is that of desk "a", the second that of desk "b".
HALF = len(MANY) // 2
STRATEGY = "trend"


def main(config: str, name: str, seconds: float, seed: int) -> None:
    draw = random.Random(f"{name} {seed}")
    path = OrderPath(load_settings(config), holder=f"desk-{name}", take=False)
    ends = time.monotonic() + seconds
    done = {"steals": 0, "lost": 0, "sent": 0, "conflicts": 0}
    number = 0
    while time.monotonic() < ends:
        time.sleep(draw.uniform(0.0, 0.1))
        try:
            path.steal()
            done["steals"] += 1
            path.oms.recover()
            for _ in range(draw.randrange(1, 40)):
                since_ns = path.link.broker.now_ns() - 60 * NANO
                batch = []
                for _order in range(draw.randrange(1, 4)):
                    number += 1
                    symbol = MANY[number % HALF + (HALF if name == "b" else 0)]
                    leg = f"{name} {number}"
                    identity = client_order_id(ACCOUNT, STRATEGY, 1, symbol, leg)
                    intent = dataclasses.replace(
                        intent_of(MANY.index(symbol)), client_order_id=identity, leg=leg, session=SESSION,
                        time_in_force=TimeInForce.IOC,
                    )  # fmt: skip
                    path.oms.intend(intent, "d", ())
                    batch.append(identity)
                path.oms.send_many(batch)
                done["sent"] += len(batch)
                path.oms.poll(since_ns=since_ns)
        except LeaseLost:
            done["lost"] += 1
        except JournalConflict:  # the symbol has an order that the other desk has not resolved yet
            done["conflicts"] += 1
        except WorkbenchError as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error.message}"}), flush=True)
            raise
    print(json.dumps(done), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4]))
