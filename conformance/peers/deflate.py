"""permessage-deflate (RFC 7692) for either end: the rules of its parameters, test messages, and connections that compress with
zlib and check every bit of the answers.
"""

import json
import random
import re
import zlib
from typing import NamedTuple

from inflate import EMPTY_BLOCK, Corrupt, Inflater, fixed_block
from wire import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Connection, close_frame, code_of, frame

NAME = "permessage-deflate"
WINDOWS = range(8, 16)
# The examples compress messages of at least this many bytes.
THRESHOLD = 128


# --- Parameters -------------------------------------------------------------------------------------------------


class Params(NamedTuple):
    """The parameters of an offer or an answer. A window is None if it is absent, and True if it has no value."""

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int | None = None
    client_max_window_bits: int | bool | None = None

    def __str__(self):
        parts = [NAME]
        for name, value in self._asdict().items():
            if value is True:
                parts.append(name)
            elif value:
                parts.append(f"{name}={value}")
        return "; ".join(parts)


class Context(NamedTuple):
    """The agreed parameters of one direction of a connection."""

    bits: int
    takeover: bool


def parse(text):
    """Parses one element strictly by RFC 7692 7.1."""
    name, *parts = [part.strip() for part in text.split(";")]
    assert name == NAME, f"expected the extension {NAME}, got {name!r}"
    found = {}
    for part in parts:
        key, equals, value = part.partition("=")
        assert key in Params._fields, f"7: undefined parameter {key!r}"
        assert key not in found, f"7: repeated parameter {key}"
        if key.endswith("takeover"):
            assert not equals, f"7.1.1: {part} must not have a value"
            found[key] = True
        else:
            assert not equals or re.fullmatch("[89]|1[0-5]", value), f"7.1.2: invalid value in {part}"
            found[key] = int(value) if equals else True
    assert found.get("server_max_window_bits") is not True, "7.1.2.1: server_max_window_bits has no value"
    return Params(**found)


def agreed(offer, answer):
    """Checks that the answer fits the offer. Returns the Contexts of the server and of the client."""
    if offer.server_no_context_takeover:
        assert answer.server_no_context_takeover, "7.1.1.1: the answer lacks server_no_context_takeover"
    if offer.server_max_window_bits:
        assert answer.server_max_window_bits, "7.1.2.1: the answer lacks server_max_window_bits"
        assert answer.server_max_window_bits <= offer.server_max_window_bits, "7.1.2.1: the answer has a larger window than the offer"
    assert answer.client_max_window_bits is not True, "7.1.2.2: client_max_window_bits has no value"
    if offer.client_max_window_bits is None:
        assert answer.client_max_window_bits is None, "7.1.2.2: client_max_window_bits was not offered"
    elif offer.client_max_window_bits is not True and answer.client_max_window_bits:
        assert answer.client_max_window_bits <= offer.client_max_window_bits, "7.1.2.2: the answer has a larger window than the offer"
    server = Context(answer.server_max_window_bits or 15, not answer.server_no_context_takeover)
    # 7.1.1.2, 7.1.2.2: the client also keeps to its own offer.
    offered_bits = offer.client_max_window_bits if offer.client_max_window_bits not in (None, True) else 15
    bits = min(answer.client_max_window_bits or 15, offered_bits)
    takeover = not (answer.client_no_context_takeover or offer.client_no_context_takeover)
    return server, Context(bits, takeover)


# --- Connections ------------------------------------------------------------------------------------------------


class Compressor:
    def __init__(self, context, level=6):
        self.context = context
        # zlib has no raw window of 8 bits. With 9 bits its distances are at most 250.
        self.new = lambda: zlib.compressobj(level, zlib.DEFLATED, -max(9, context.bits))
        self.kept = self.new()

    def message(self, data):
        zlib_object = self.kept if self.context.takeover else self.new()
        compressed = zlib_object.compress(data) + zlib_object.flush(zlib.Z_SYNC_FLUSH)
        if not compressed:  # an empty message after another flush
            return b"\x00"
        assert compressed.endswith(EMPTY_BLOCK)
        return compressed[: -len(EMPTY_BLOCK)]


class Decompressor:
    """Inflates twice: with zlib and the agreed window, and with our own inflater, which checks the distances."""

    def __init__(self, context):
        self.context = context
        self.begin()

    def begin(self):
        self.inflater = Inflater()
        self.zlib_object = zlib.decompressobj(-self.context.bits)

    def message(self, data):
        if not self.context.takeover:
            self.begin()
        assert not data.endswith(EMPTY_BLOCK), "7.2.1: the end of the empty block must be removed"
        plain = self.inflater.message(data)
        furthest, window = self.inflater.furthest, 1 << self.context.bits
        assert furthest <= window, f"a distance of {furthest} exceeds the window of {window}"
        # After a final block (BFINAL) a new stream begins. Only our own inflater supports that.
        if not self.zlib_object.eof:
            other = self.zlib_object.decompress(data + EMPTY_BLOCK)
            assert other == plain or self.zlib_object.eof, "zlib and our own inflater disagree"
        return plain


class Link(Connection):
    """A connection with negotiated compression, after its opening handshake."""

    reserved = 0x40

    def __init__(self, socket, buffer, server, client, from_client=False):
        self.socket, self.buffer = socket, buffer
        self.from_client = from_client
        own, peer = (server, client) if from_client else (client, server)
        self.own, self.peer = own, peer
        self.compressor, self.decompressor = Compressor(own), Decompressor(peer)
        self.random = random.Random(7692)

    def send_frame(self, opcode, payload=b"", fin=True, rsv=0):
        self.send(frame(opcode, payload, fin, rsv, mask=not self.from_client))

    def send_message(self, opcode, data, compress=True, fragments=1):
        """Sends a message, cut at random into this many fragments, with pings between them."""
        payload = self.compressor.message(data) if compress else data
        self.send_payload(opcode, payload, compress, fragments)

    def send_payload(self, opcode, payload, compress=True, fragments=1):
        ends = sorted(self.random.randrange(len(payload) + 1) for _ in range(fragments - 1)) + [len(payload)]
        frames, begin = [], 0
        for i, end in enumerate(ends):
            if i % 3 == 1:
                frames.append(frame(PING, b"between", mask=not self.from_client))
            kind, rsv = (opcode, 4 if compress else 0) if i == 0 else (CONTINUATION, 0)
            frames.append(frame(kind, payload[begin:end], i == fragments - 1, rsv, not self.from_client))
            begin = end
        self.send(b"".join(frames))

    def receive_message(self):
        """Returns the next message as (opcode, data, size on the wire, or None if it was not compressed)."""
        while True:
            opcode, payload, fin = self.receive()
            compressed = bool(self.bits)
            assert opcode != CLOSE, f"expected a message, got a Close with {code_of(payload)} {payload[2:].decode()!r}"
            assert opcode < 8 or not compressed, "6.1: RSV1 on a control frame"
            if opcode < 8:
                break
            if opcode == PING:
                self.send_frame(PONG, payload)
        assert opcode in (TEXT, BINARY), f"expected a message, got opcode {opcode}"
        while not fin:
            following, part, fin = self.receive()
            assert following == CONTINUATION and not self.bits, "6.1: RSV1 is only allowed in the first fragment"
            payload += part
        if not compressed:
            return opcode, payload, None
        return opcode, self.decompressor.message(payload), len(payload)

    def expect_message(self, opcode, data):
        """Fails unless the next message is this one. Returns its size on the wire, or None if not compressed."""
        found, received, size = self.receive_message()
        assert found == opcode, f"expected opcode {opcode}, got {found}"
        assert received == data, f"expected {len(data)} bytes {data[:40]!r}, got {len(received)}, {received[:40]!r}"
        return size

    def echo(self, messages):
        """Sends all (opcode, data, fragments) and then expects them back. Returns the sizes on the wire."""
        for opcode, data, fragments in messages:
            self.send_message(opcode, data, fragments=fragments)
        return [self.expect_message(opcode, data) for opcode, data, _ in messages]

    def finish(self):
        """Performs the closing handshake."""
        self.send_frame(CLOSE, b"\x03\xe8")
        self.expect_close(1000)


# --- Messages ---------------------------------------------------------------------------------------------------


def json_text(size, seed=0):
    """Returns JSON like that of chats and tickers."""
    chance, rows = random.Random(seed), []
    while len(text := json.dumps(rows).encode()) < size:
        rows += [{"id": chance.randrange(10**6), "river": chance.choice(["Tana", "Teno", "Tay"]), "up": True}] * 2
        rows[-1] = {**rows[-1], "price": chance.random()}
    return text[:size]


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def far_apart(bits, seed=0):
    """Returns a mark that repeats at distances around the window, separated by long runs, which compress well."""
    chance, window = random.Random(seed), 1 << bits
    mark = chance.randbytes(40)
    data = bytearray(mark)
    for distance in (window // 2, window - 262, window - 1, window, window + 1, window * 2):
        until = len(data) + distance - len(mark)
        while len(data) < until:
            data += bytes([chance.randrange(256)]) * min(chance.randrange(50, 300), until - len(data))
        data += mark
    return bytes(data)


TALK = json_text(420)


def talk(link):
    """Exchanges messages whose sizes depend on the window and on context takeover."""
    peer, own = link.peer, link.own
    sizes = link.echo(
        [
            (TEXT, TALK, 1),
            (TEXT, TALK, 3),
            (BINARY, far_apart(peer.bits), 1),
            (TEXT, b"hi", 1),
            (BINARY, far_apart(own.bits, 1), 4),
            (BINARY, b"", 2),
            (BINARY, noise(300), 2),
            (BINARY, far_apart(peer.bits) + noise(300), 1),
            (TEXT, TALK, 1),
        ]
    )
    assert all(sizes[i] for i in (0, 1, 2, 8)), f"not compressed: {sizes}"
    assert sizes[0] < len(TALK) * 0.8, f"{sizes[0]} bytes for {len(TALK)}"
    if peer.takeover and peer.bits >= 10:
        assert sizes[1] < sizes[0] / 3, f"the context is not taken over: {sizes[0]}, then {sizes[1]} bytes"
    if not peer.takeover:
        assert sizes[1] == sizes[0], f"the context is taken over: {sizes[0]}, then {sizes[1]} bytes"
    # The largest allowed distance, which zlib never uses, into an earlier message.
    if own.takeover:
        window = noise(1 << own.bits, own.bits)
        for begin in range(0, len(window), 16384):
            part = window[begin : begin + 16384]
            stored = b"\x00" + len(part).to_bytes(2, "little") + (len(part) ^ 0xFFFF).to_bytes(2, "little") + part
            link.send_payload(BINARY, stored + b"\x00", fragments=2)
            link.expect_message(BINARY, part)
        link.send_payload(BINARY, fixed_block((258, len(window))).message())
        link.expect_message(BINARY, (window * 2)[:258])
    link.finish()
