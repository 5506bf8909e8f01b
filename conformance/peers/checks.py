"""Runs checks and prints their results.

Prints `ok NAME` or `not ok NAME WHY` for each check, separated by tabs, and `done N` at the end.
"""

import asyncio

done = 0


async def run(checks):
    """Runs pairs of a name and an async function, one after the other."""
    for name, body in checks:
        await check(name, body())
    print_done()


async def check(name, body):
    """Awaits `body`, which has 20 s."""
    global done
    try:
        await asyncio.wait_for(body, 20)
        print(f"ok\t{name}", flush=True)
    except Exception as error:  # any error is the result of the check
        print(f"not ok\t{name}\t{reason_of(error)}", flush=True)
    done += 1


def reason_of(error):
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def print_done():
    print(f"done\t{done}", flush=True)
