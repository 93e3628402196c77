"""The sandbox next to pydantic's monty, on the same programs in turns.

    python3 -m venv /tmp/monty && /tmp/monty/bin/pip install pydantic-monty==1.4.0
    /tmp/monty/bin/python eval/sandbox/monty.py [path to mbpp.jsonl]

Prints the median time of a five-line program in a fresh session, and with MBPP's file how many of
its reference programs pass their own asserts. Compare with `cargo bench --bench sandbox`, run at
the same time on the same machine.
"""

import json
import statistics
import sys
import time

import pydantic_monty

FIVE_LINES = """eggs = 16
eaten = 3 + 4
sold = eggs - eaten
price = 2
sold * price
"""


def main():
    with pydantic_monty.Monty() as pool:
        milliseconds = []
        for _ in range(2000):
            start = time.perf_counter()
            with pool.checkout() as session:
                value = session.feed_run(FIVE_LINES)
            milliseconds.append((time.perf_counter() - start) * 1e3)
            assert value == 18
        print(f"five-line program, fresh session  {statistics.median(milliseconds):.3f} ms")
        if len(sys.argv) > 1:
            rows = [json.loads(line) for line in open(sys.argv[1])]
            passed = sum(passes(pool, row) for row in rows)
            print(f"MBPP reference programs           {passed} of {len(rows)}")


def passes(pool, row):
    program = "\n".join([row["code"], row["test_setup_code"], *row["test_list"]])
    try:
        with pool.checkout(limits={"max_feed_duration_secs": 20.0}) as session:
            session.feed_run(program)
        return True
    except Exception:
        return False


main()
