"""Drives an echo server with the client of websockets for Python.

python websockets_client.py URL SUBPROTOCOL compress|plain

The server must support this subprotocol and accept messages of up to 2 MiB. Prints `ok NAME` or `not ok NAME WHY` for
each check, separated by tabs, and `done N` at the end.
"""

import asyncio
import random
import sys
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import checks

URL, KNOWN, COMPRESSION = sys.argv[1:4]
COMPRESS = COMPRESSION == "compress"
SIZES = [0, 1, 125, 126, 65535, 65536, 1 << 20]
MULTI = "naïve Ærøskøbing 鮭は川を遡る 🐟🏔️ \U0010ffff\0end"
CHECKS = []


def check(name, *arguments):
    def add(body):
        CHECKS.append((name, lambda: body(*arguments)))
        return body

    return add


def data_of(size):
    return random.Random(size).randbytes(size)


@asynccontextmanager
async def opened(**options):
    """Opens a connection. At the end it closes it with 1000, which the server must answer."""
    connection = await connect(URL, proxy=None, max_size=None, ping_interval=None, close_timeout=5, **options)
    try:
        yield connection
        await connection.close()
        assert connection.close_code == 1000, f"close code {connection.close_code}"
    finally:
        await connection.close()


async def echoes(connection, message):
    await connection.send(message)
    answer = await connection.recv()
    assert type(answer) is type(message), f"the echo is a {type(answer).__name__}"
    assert answer == message, f"the echo differs, its length is {len(answer)}"


@check("extension is negotiated as configured")
async def extension():
    async with opened() as connection:
        names = [extension.name for extension in connection.protocol.extensions]
        assert ("permessage-deflate" in names) == COMPRESS, f"extensions: {names}"


async def text(size):
    async with opened() as connection:
        await echoes(connection, "x" * size)


async def binary(size):
    async with opened() as connection:
        await echoes(connection, data_of(size))


for each in SIZES:
    check(f"text of {each} bytes", each)(text)
    check(f"binary of {each} bytes", each)(binary)


@check("all sizes in turn on one connection")
async def in_turn():
    async with opened() as connection:
        for size in SIZES:
            await echoes(connection, data_of(size))
            await echoes(connection, "y" * size)


@check("100 messages without waiting, in order")
async def in_order():
    async with opened() as connection:
        for i in range(100):
            await connection.send(f"message {i}")
        for i in range(100):
            answer = await connection.recv()
            assert answer == f"message {i}", answer


@check("multi-byte text")
async def multi_byte():
    async with opened() as connection:
        await echoes(connection, MULTI)
        await echoes(connection, MULTI * 2000)


@check("fragmented text, one character per frame")
async def fragmented_text():
    async with opened() as connection:
        await connection.send(list(MULTI))
        answer = await connection.recv()
        assert answer == MULTI, answer


@check("fragmented binary, with a ping between")
async def fragmented_binary():
    data = data_of(30_000)
    async with opened() as connection:

        async def parts():
            yield data[:10_000]
            pong = await connection.ping("between")
            await asyncio.wait_for(pong, 10)
            yield data[10_000:20_000]
            yield data[20_000:]

        await connection.send(parts())
        answer = await connection.recv()
        assert answer == data, "the echo differs"


async def ping(size):
    async with opened() as connection:
        # websockets matches pongs to pings by their payload.
        await (await connection.ping(data_of(size)))


for each in (0, 4, 125):
    check(f"ping with {each} bytes", each)(ping)


@check("an unsolicited pong is dropped")
async def unsolicited_pong():
    async with opened() as connection:
        await connection.pong(b"unsolicited")
        await echoes(connection, "still here")


@check("close with 4001 and a reason")
async def close_with_reason():
    connection = await connect(URL, proxy=None, close_timeout=5)
    await connection.close(4001, "the river is frozen ❄")
    assert connection.close_code == 4001, f"close code {connection.close_code}"
    assert connection.close_reason == "the river is frozen ❄", f"reason {connection.close_reason}"


@check("subprotocol: one of two offered is known")
async def subprotocol():
    async with opened(subprotocols=["unknown.example", KNOWN]) as connection:
        assert connection.subprotocol == KNOWN, connection.subprotocol
        await echoes(connection, "hi")


@check("subprotocol: none offered, none answered")
async def no_subprotocol():
    async with opened() as connection:
        assert "Sec-WebSocket-Protocol" not in connection.response.headers


@check("subprotocol: only an unknown one offered, no header answered")
async def unknown_subprotocol():
    async with opened(subprotocols=["unknown.example"]) as connection:
        assert "Sec-WebSocket-Protocol" not in connection.response.headers


@check("200 connections at a time")
async def many():
    all_are_open = asyncio.Barrier(200)

    async def one(i):
        async with opened() as connection:
            await all_are_open.wait()
            await echoes(connection, f"{i} " * 300)
            await echoes(connection, data_of(1000 + i))

    async with asyncio.TaskGroup() as group:
        for i in range(200):
            group.create_task(one(i))


@check("a message above the limit is closed with 1009")
async def too_big():
    connection = await connect(URL, proxy=None, close_timeout=5)
    try:
        await connection.send(data_of((2 << 20) + 1))
        await connection.recv()
    except ConnectionClosed:
        pass
    assert connection.close_code == 1009, f"close code {connection.close_code}"


@check("a message of exactly the limit")
async def exactly_the_limit():
    async with opened() as connection:
        await echoes(connection, data_of(2 << 20))


asyncio.run(checks.run(CHECKS))
