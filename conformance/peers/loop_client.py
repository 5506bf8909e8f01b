"""Drives an echo server above its high-water mark, and closes from either side, with websockets for Python.

python loop_client.py URL [CERTIFICATE]

The server must accept messages of up to 1 MiB. Prints `ok NAME` or `not ok NAME WHY` for each check, separated by tabs,
and `done N` at the end.
"""

import asyncio
import ssl
import sys
import time

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import checks

URL = sys.argv[1]
TLS = {"ssl": ssl.create_default_context(cafile=sys.argv[2])} if len(sys.argv) > 2 else {}
# Far less than 10 s, which a closing handshake takes if one end does not notice it.
PROMPT = 3.0
# The first one alone exceeds the high-water mark of 64 KiB, and so does each run of short ones after it.
MESSAGES = [b"a" * 70_000, "hi", "b" * 200_000, *["c" * 2000] * 60, b"", b"d" * (1 << 20), "end"]


def opened():
    return connect(URL, proxy=None, max_size=None, ping_interval=None, close_timeout=20, compression=None, **TLS)


async def pipelined():
    async with opened() as connection:
        for message in MESSAGES:
            await connection.send(message)
        for message in MESSAGES:
            answer = await connection.recv()
            assert answer == message, f"expected {len(message)} bytes, got {len(answer)}"


async def at_once():
    """All messages arrive at the server as one run of bytes, and the client does not read before they are sent."""
    async with opened() as connection:
        connection.transport.pause_reading()
        for message in (b"a" * 70_000, "hi", "there"):
            await connection.send(message)
        await asyncio.sleep(0.2)
        connection.transport.resume_reading()
        for message in (b"a" * 70_000, "hi", "there"):
            assert await connection.recv() == message


async def client_closes():
    connection = await opened()
    await connection.send("last")
    assert await connection.recv() == "last"
    start = time.monotonic()
    await connection.close(1000, "done")
    await connection.wait_closed()
    assert connection.close_code == 1000, f"close code {connection.close_code}"
    assert time.monotonic() - start < PROMPT, f"the close took {time.monotonic() - start:.1f} s"


async def server_closes():
    connection = await opened()
    start = time.monotonic()
    connection.transport.write(b"\x81\x81\0\0\0\0\xff")  # text that is not UTF-8
    try:
        await connection.recv()
        raise AssertionError("the server sent a message")
    except ConnectionClosed:
        pass
    await connection.wait_closed()
    assert connection.close_code == 1007, f"close code {connection.close_code}"
    assert time.monotonic() - start < PROMPT, f"the close took {time.monotonic() - start:.1f} s"


async def client_vanishes():
    """The server survives a connection that is cut in the middle of a message."""
    connection = await opened()
    connection.transport.write(b"\x82\xff\0\0\0\0\0\x01\0\0\0\0\0\0abc")
    connection.transport.abort()
    await connection.wait_closed()
    await client_closes()


CHECKS = [
    ("messages above the mark, pipelined", pipelined),
    ("messages above the mark, at once", at_once),
    ("the client closes", client_closes),
    ("the server closes", server_closes),
    ("the client vanishes", client_vanishes),
]


asyncio.run(checks.run(CHECKS))
