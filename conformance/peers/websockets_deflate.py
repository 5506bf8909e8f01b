"""Windows and contexts of permessage-deflate, with websockets for Python as the peer.

python websockets_deflate.py client URL     drives an echo server
python websockets_deflate.py server         drives a client that echoes and requests cases like an Autobahn client

Prints `ok NAME` or `not ok NAME WHY` for each check, separated by tabs, and `done N` at the end. As a server it first
prints `listening on ws://127.0.0.1:PORT`.
"""

import asyncio
import itertools
import json
import random
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)

import checks

ROLE, *REST = sys.argv[1:]
# websockets cannot send with a window of 8 bits.
SERVER, CLIENT = ((9, 12, 15), (8, 9, 12, 15)) if ROLE == "server" else ((8, 9, 12, 15), (9, 12, 15))
COMBINATIONS = [
    {
        "server_max_window_bits": server,
        "client_max_window_bits": client,
        "server_no_context_takeover": server_off,
        "client_no_context_takeover": client_off,
    }
    for server, client, server_off, client_off in itertools.product(SERVER, CLIENT, (False, True), (False, True))
]

JSON = json.dumps([{"id": i, "river": ("Tana", "Teno", "Tay")[i % 3], "up": i % 2 > 0} for i in range(4000)])
MESSAGES = [
    message
    for size in (0, 1, 2, 127, 128, 129, 1000, 4096, 20_000, 65_536, 131_072)
    for message in (JSON[:size], random.Random(size).randbytes(size), JSON[size % 999 :][:size].encode())
]


async def echoes(connection, message):
    await connection.send(message)
    await expect(connection, message)


async def expect(connection, message):
    answer = await connection.recv()
    assert type(answer) is type(message), f"the echo is a {type(answer).__name__}"
    assert answer == message, f"the echo differs, its length is {len(answer)} of {len(message)}"


async def talk(connection):
    extensions = [each for each in connection.protocol.extensions if isinstance(each, PerMessageDeflate)]
    assert len(extensions) == 1, f"extensions {connection.protocol.extensions}"
    sizes, decode = [], extensions[0].decode

    def noting(frame, **options):
        if frame.rsv1:
            sizes.append(len(frame.data))
        return decode(frame, **options)

    extensions[0].decode = noting
    await echoes(connection, JSON[:65_536])
    assert sizes and sizes[0] < 32_768, f"not compressed: {sizes}"
    for message in MESSAGES:
        await echoes(connection, message)

    # Many messages without waiting, with and without fragments.
    async def many():
        for message in MESSAGES:
            third, two = len(message) // 3, len(message) * 2 // 3
            await connection.send([message[:third], message[third:two], message[two:]])
            await connection.send(message)

    sending = asyncio.create_task(many())
    for message in MESSAGES:
        await expect(connection, message)
        await expect(connection, message)
    await sending
    await connection.close()
    assert connection.close_code == 1000, f"close code {connection.close_code}"


async def check(combination, body):
    kept = {off: "" if combination[off] else " kept" for off in combination if off.endswith("takeover")}
    name = f"server {combination['server_max_window_bits']}{kept['server_no_context_takeover']}, "
    name += f"client {combination['client_max_window_bits']}{kept['client_no_context_takeover']}"
    await checks.check(name, body)


async def client(url):
    async def one(combination):
        extensions = [ClientPerMessageDeflateFactory(**combination)]
        async with connect(
            url, proxy=None, max_size=None, ping_interval=None, compression=None, extensions=extensions
        ) as connection:
            await talk(connection)

    for combination in COMBINATIONS:
        await check(combination, one(combination))
    checks.print_done()


class InTurn(ServerPerMessageDeflateFactory):
    """Accepts each case with the next combination. The requests before and after the cases may get any."""

    def __init__(self):
        super().__init__()
        self.combinations = iter([COMBINATIONS[0], *COMBINATIONS])

    def process_request_params(self, params, accepted_extensions):
        combination = next(self.combinations, COMBINATIONS[0])
        return ServerPerMessageDeflateFactory(**combination).process_request_params(params, accepted_extensions)


async def server():
    finished = asyncio.Event()

    async def handle(connection):
        path = connection.request.path
        if path.startswith("/runCase"):
            await check(COMBINATIONS[checks.done], talk(connection))
            return
        if path == "/getCaseCount":
            await connection.send(str(len(COMBINATIONS)))
        await connection.close()
        if path.startswith("/updateReports"):
            finished.set()

    options = {"max_size": None, "ping_interval": None, "compression": None, "extensions": [InTurn()]}
    async with serve(handle, "127.0.0.1", 0, **options) as listener:
        print(f"listening on ws://127.0.0.1:{listener.sockets[0].getsockname()[1]}", flush=True)
        await finished.wait()
    checks.print_done()


asyncio.run(client(*REST) if ROLE == "client" else server())
