"""Calls the example `json_rpc` with the client of websockets for Python, and answers the calls of the example.

python json_rpc_client.py URL

Prints `ok NAME` or `not ok NAME WHY` for each check, separated by tabs, and `done N` at the end.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect

import checks

URL = sys.argv[1]


@asynccontextmanager
async def opened():
    """Opens a connection and answers the server's call. At the end it closes it with 1000."""
    connection = await connect(URL, proxy=None, close_timeout=5, subprotocols=["jsonrpc"])
    try:
        assert connection.subprotocol == "jsonrpc", f"subprotocol {connection.subprotocol}"
        call = json.loads(await connection.recv())
        assert call["jsonrpc"] == "2.0" and call["method"] == "name", call
        await send(connection, id=call["id"], result="python")
        yield connection
    finally:
        await connection.close()
    assert connection.close_code == 1000, f"close code {connection.close_code}"


async def send(connection, **fields):
    await connection.send(json.dumps({"jsonrpc": "2.0", **fields}))


async def expect(connection, **fields):
    answer = json.loads(await connection.recv())
    assert answer == {"jsonrpc": "2.0", **fields}, answer


async def expect_error(connection, code, id):
    answer = json.loads(await connection.recv())
    assert answer["error"]["code"] == code and answer["id"] == id and "result" not in answer, answer


async def both_ends_call():
    async with opened() as connection:
        await send(connection, id="a", method="add", params=[40, 2])
        await expect(connection, id="a", result=42)


async def server_waits():
    """The server answers calls while it waits for the result of its own."""
    connection = await connect(URL, proxy=None, close_timeout=5)
    call = json.loads(await connection.recv())
    await send(connection, id=1, method="sum", params=[])
    await expect(connection, id=1, result=0)
    await send(connection, id=call["id"], result="late")
    await send(connection, id=2, method="add", params=[1])
    await expect(connection, id=2, result=1)
    await connection.close()


async def notifications():
    async with opened() as connection:
        for _ in range(1000):
            await send(connection, method="add", params=[1])
        await send(connection, id=7, method="sum", params=[])
        await expect(connection, id=7, result=1000)


async def errors():
    async with opened() as connection:
        await send(connection, id=1, method="divide", params=[])
        await expect_error(connection, -32601, 1)
        await send(connection, id=2, method="add", params=["one"])
        await expect_error(connection, -32602, 2)
        await connection.send("{")
        await expect_error(connection, -32700, None)
        await connection.send("[]")
        await expect_error(connection, -32600, None)


async def pipelined():
    """The calls exceed the high-water mark together, and so do the answers."""
    async with opened() as connection:
        ids = [f"{n}{'x' * 2000}" for n in range(100)]
        for id in ids:
            await send(connection, id=id, method="sum", params=[])
        for id in ids:
            await expect(connection, id=id, result=0)


CHECKS = [
    ("both ends call", both_ends_call),
    ("calls while the server waits", server_waits),
    ("notifications", notifications),
    ("errors", errors),
    ("calls above the mark, pipelined", pipelined),
]


asyncio.run(checks.run(CHECKS))
