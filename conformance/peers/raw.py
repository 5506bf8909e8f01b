"""Checks on raw sockets: bytes in, and what must come out. Each name begins with the id of the rule it shows; the
README of this folder explains them.

Two servers are driven: one with its default limits (2 MiB for a frame and for a message), and one with small limits
(SMALL below).
"""

import base64
import hashlib
import os
import re
import socket
import struct
import threading
import time

HOST = "127.0.0.1"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # the answer to KEY, from RFC 6455
MASK = b"\x37\xfa\x21\x3d"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

# A message of at most 4096 bytes in at most 8 frames of at most 1024 bytes.
SMALL = ["--max-frame", "1024", "--max-message", "4096", "--max-fragments", "8"]


# --- Frames ---------------------------------------------------------------------------------------------------


def masked(data, key=MASK):
    key = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, length_form=None, length=None):
    """A frame. `length_form` forces a 16- or 64-bit length, `length` declares another than the payload's."""
    size = len(payload) if length is None else length
    form = length_form or (7 if size < 126 else 16 if size < 65536 else 64)
    mask_bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if form == 7:
        head += bytes([mask_bit | size])
    elif form == 16:
        head += bytes([mask_bit | 126]) + struct.pack(">H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", size)
    return head + (MASK + masked(payload) if mask else payload)


def close_frame(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


# --- Connections ----------------------------------------------------------------------------------------------


def upgrade(port, without=(), method="GET", version="HTTP/1.1", path="/", extra=(), **changed):
    """A request for an upgrade, as bytes. A changed header is given as Sec_WebSocket_Key="…"."""
    headers = {
        "Host": f"{HOST}:{port}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    }
    headers.update({name.replace("_", "-"): value for name, value in changed.items()})
    lines = [f"{method} {path} {version}"]
    lines += [f"{name}: {value}" for name, value in headers.items() if name not in without]
    lines += list(extra)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Answer:
    """A response: its status, headers (names in lower case, as a list of pairs) and what follows the head."""

    def __init__(self, data):
        head, separator, self.body = data.partition(b"\r\n\r\n")
        assert separator, f"no whole response: {data[:200]!r}"
        lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3})( .*)?", lines[0])
        assert status, f"status line {lines[0]!r}"
        self.status = int(status.group(1))
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and name == name.strip(), f"header line {line!r}"
            self.headers.append((name.lower(), value.strip()))

    def all(self, name):
        return [value for other, value in self.headers if other == name]

    def one(self, name):
        values = self.all(name)
        assert len(values) == 1, f"{len(values)} headers {name}"
        return values[0]


class Ended(Exception):
    """The server ended the connection."""


class Connection:
    reserved = 0  # bits of the first byte that an extension has given a meaning
    from_client = False  # what is read here

    def __init__(self, port, request=None, more=b""):
        """Connects; with `request` (or the default one) also asks for an upgrade and checks the answer."""
        self.socket = socket.create_connection((HOST, port), 10)
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send((request or upgrade(port)) + more)
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        end = self.buffer.index(b"\r\n\r\n") + 4
        self.answer = Answer(self.buffer[:end])
        self.buffer = self.buffer[end:]
        assert self.answer.status == 101, f"status {self.answer.status} in place of 101"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _more(self):
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"no answer within {self.socket.gettimeout():.0f} s") from None
        except OSError as error:
            raise Ended(f"connection lost: {error}") from None
        if not data:
            raise Ended("end of the connection")
        self.buffer += data

    def _take(self, count):
        while len(self.buffer) < count:
            self._more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # the server has ended the connection: what it said before that can still be read

    def receive(self):
        """The next frame as (opcode, payload, fin). Reserved bits are wrong, and so is a mask from a server."""
        first, second = self._take(2)
        self.bits = first & 0x70
        assert self.bits & ~self.reserved == 0, f"reserved bits in the first byte {first:#04x}"
        assert bool(second & 0x80) == self.from_client, "a masked frame from a server, or none from a client"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self._take(2))
            assert size > 125, "length not in its shortest form"
        elif size == 127:
            (size,) = struct.unpack(">Q", self._take(8))
            assert size > 65535, "length not in its shortest form"
        key = self._take(4) if self.from_client else None
        payload = self._take(size)
        return first & 0x0F, masked(payload, key) if key else payload, bool(first & 0x80)

    def expect(self, opcode, payload):
        """The next message, or control frame, is this one."""
        found, data, fin = self.receive()
        while not fin and found < 8:
            following, part, fin = self.receive()
            assert following == CONTINUATION, f"opcode {following} inside of a fragmented message"
            data += part
        if found == CLOSE and opcode != CLOSE:
            raise AssertionError(f"closed with {code_of(data)} in place of opcode {opcode}")
        assert found == opcode, f"opcode {found} in place of {opcode}"
        assert data == payload, f"{len(data)} bytes {data[:40]!r} in place of {len(payload)}, {payload[:40]!r}"

    def expect_close(self, *codes):
        """The next frame is a Close with one of these codes (None: with no payload)."""
        try:
            opcode, data, _ = self.receive()
        except Ended as ended:
            raise AssertionError(f"{ended} in place of a Close") from None
        assert opcode == CLOSE, f"opcode {opcode} ({data[:40]!r}) in place of a Close"
        assert code_of(data) in codes, f"closed with {code_of(data)} in place of {codes}: {data[2:].decode()!r}"
        data[2:].decode()

    def expect_end(self, seconds=5.0):
        """The server ends the connection, and sends nothing before that."""
        self.socket.settimeout(seconds)
        try:
            self._take(1)
        except Ended:
            return
        except AssertionError:
            raise AssertionError(f"the server does not end the connection within {seconds:.0f} s") from None
        raise AssertionError("the server sends more after its Close")

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)


def code_of(data):
    return struct.unpack(">H", data[:2])[0] if len(data) >= 2 else None


def http(port, request, seconds=10.0):
    """Sends a request that must be refused; returns the answer. The server has to end the connection."""
    with socket.create_connection((HOST, port), 10) as connection:
        connection.settimeout(seconds)
        try:
            connection.sendall(request)
        except OSError:
            pass
        received = b""
        while True:
            try:
                data = connection.recv(65536)
            except TimeoutError:
                raise AssertionError(f"the connection is still open after {seconds:.0f} s: {received!r}") from None
            except OSError:
                break  # a reset, as some of the request was not read
            if not data:
                break
            received += data
    return Answer(received)


# --- Checks ---------------------------------------------------------------------------------------------------


class Checks:
    """A list of named checks, to be run with the ports of the two servers."""

    def __init__(self, port, small_port):
        self.port = port
        self.small_port = small_port
        self.list = []
        self.slow = []  # checks that mostly wait, all run at the same time
        self.frames()
        self.handshake()
        self.refusals()
        self.waiting()

    def add(self, name, body):
        self.list.append((name, body))

    def fails(self, name, data, code, before=(), port=None):
        """After `data` come the frames `before`, a Close with `code`, and the end of the connection."""
        codes = code if isinstance(code, tuple) else (code,)

        def body():
            with Connection(port or self.port) as connection:
                connection.send(data)
                for opcode, payload in before:
                    connection.expect(opcode, payload)
                connection.expect_close(*codes)
                connection.send(close_frame(codes[0] or 1000))
                connection.expect_end()

        self.add(name, body)

    def works(self, name, data, answers, port=None):
        """After `data` come these frames, and the connection still works."""

        def body():
            with Connection(port or self.port) as connection:
                connection.send(data)
                for opcode, payload in answers:
                    connection.expect(opcode, payload)
                connection.send(frame(TEXT, b"still here"))
                connection.expect(TEXT, b"still here")
                connection.send(close_frame(1000))
                connection.expect_close(1000)
                connection.expect_end()

        self.add(name, body)

    def frames(self):
        fails, works = self.fails, self.works
        start = frame(TEXT, b"ab", fin=False)
        hi = (TEXT, b"hi")

        fails("W1 unmasked text", frame(TEXT, b"hi", mask=False), 1002)
        fails("W1 unmasked empty text", frame(TEXT, mask=False), 1002)
        fails("W1 unmasked ping", frame(PING, b"hi", mask=False), 1002)
        fails("W1 unmasked Close", frame(CLOSE, b"\x03\xe8", mask=False), 1002)
        fails("W1 unmasked text after a good one", frame(TEXT, b"hi") + frame(TEXT, b"no", mask=False), 1002, [hi])

        for name, bits in (("RSV1", 4), ("RSV2", 2), ("RSV3", 1), ("all reserved bits", 7)):
            fails(f"W2 {name} on text", frame(TEXT, b"hi", rsv=bits), 1002)
            fails(f"W2 {name} on a ping", frame(PING, b"hi", rsv=bits), 1002)
            fails(f"W2 {name} on a continuation", start + frame(CONTINUATION, b"cd", rsv=bits), 1002)
            fails(f"W2 {name} on a Close", frame(CLOSE, b"\x03\xe8", rsv=bits), 1002)
        fails("W2 RSV1 after a good message", frame(TEXT, b"hi") + frame(TEXT, b"no", rsv=4), 1002, [hi])

        for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15):
            fails(f"W3 opcode {opcode}", frame(opcode, b"hi"), 1002)
            fails(f"W3 opcode {opcode} between fragments", start + frame(opcode), 1002)

        most = b"p" * 125
        works("W4 ping of 0 bytes", frame(PING), [(PONG, b"")])
        works("W4 ping of 125 bytes", frame(PING, most), [(PONG, most)])
        works("W4 two pings", frame(PING, b"1") + frame(PING, b"2"), [(PONG, b"1"), (PONG, b"2")])
        works("W4 pongs are dropped", frame(PONG) + frame(PONG, most), [])
        for name, opcode in (("ping", PING), ("pong", PONG), ("Close", CLOSE)):
            head = b"\x03\xe8" if opcode == CLOSE else b""
            fails(f"W4 {name} of 126 bytes", frame(opcode, head + b"p" * (126 - len(head))), 1002)
            fails(f"W4 {name} with FIN=0", frame(opcode, head, fin=False), 1002)
            fails(f"W4 {name} of 126 declared bytes", frame(opcode, length=126), 1002)

        fails("W5 16-bit length for 5 bytes", frame(TEXT, b"hello", length_form=16), 1002)
        fails("W5 16-bit length for 0 bytes", frame(TEXT, length_form=16), 1002)
        fails("W5 16-bit length for 125 bytes", frame(BINARY, most, length_form=16), 1002)
        fails("W5 64-bit length for 125 bytes", frame(BINARY, most, length_form=64), 1002)
        fails("W5 64-bit length for 65535 bytes", frame(BINARY, b"x" * 65535, length_form=64), 1002)
        fails("W5 16-bit length on a ping", frame(PING, b"hi", length_form=16), 1002)
        fails("W5 64-bit length with its top bit", frame(BINARY, length=1 << 63), 1002)
        fails("W5 64-bit length of all ones", frame(BINARY, length=(1 << 64) - 1), 1002)

        fails("W6 continuation with no start", frame(CONTINUATION, b"hi"), 1002)
        fails("W6 unfinished continuation with no start", frame(CONTINUATION, b"hi", fin=False), 1002)
        fails("W6 continuation after a whole message", frame(TEXT, b"hi") + frame(CONTINUATION), 1002, [hi])
        fails("W6 text inside of a fragmented one", start + frame(TEXT, b"cd"), 1002)
        fails("W6 binary inside of a fragmented text", start + frame(BINARY, b"cd", fin=False), 1002)
        merged = start + frame(CONTINUATION, b"cd")
        fails("W6 continuation after the last fragment", merged + frame(CONTINUATION, b"ef"), 1002, [(TEXT, b"abcd")])

        between = start + frame(PING, b"p") + frame(CONTINUATION, b"cd", fin=False) + frame(PONG) + frame(PING, b"q")
        answers = [(PONG, b"p"), (PONG, b"q"), (TEXT, b"abcdef")]
        works("W7 pings and a pong between fragments", between + frame(CONTINUATION, b"ef"), answers)
        fails("W7 Close between fragments", start + close_frame(1000), 1000)

        works("W8 empty text and empty binary", frame(TEXT) + frame(BINARY), [(TEXT, b""), (BINARY, b"")])
        empty = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION)
        works("W8 a message of three empty fragments", empty, [(TEXT, b"")])
        around = frame(BINARY, fin=False) + frame(CONTINUATION, b"x", fin=False) + frame(CONTINUATION)
        works("W8 empty fragments around a byte", around, [(BINARY, b"x")])

        fails("W9 Close of 1 byte", frame(CLOSE, b"\x03"), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
            fails(f"W9 Close with the code {code}", close_frame(code), 1002)
        for name, reason in (
            ("bad UTF-8", b"\xff"),
            ("a surrogate", b"ok \xed\xa0\x80"),
            ("a cut character", b"ok \xe2\x82"),
            ("an overlong slash", b"\xc0\xaf"),
        ):
            fails(f"W9 Close with {name} in its reason", close_frame(1000, reason), 1007)

        for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
            fails(f"W10 Close with {code} is answered with it", close_frame(code), code)
        fails("W10 Close with the longest reason", close_frame(1000, b"r" * 123), 1000)
        fails("W10 Close with a multi-byte reason", close_frame(4000, "鮭 🐟".encode()), 4000)
        fails("W10 empty Close", frame(CLOSE), (None, 1000))
        self.add("W10 the server ends the connection first", self.server_ends_first)

        fails("W11 text after a Close", close_frame(1000) + frame(TEXT, b"no"), 1000)
        fails("W11 ping after a Close", close_frame(1000) + frame(PING, b"no"), 1000)
        fails("W11 nonsense after a Close", close_frame(1000) + b"\xff" * 20, 1000)
        fails("W11 a second Close", close_frame(1000) + close_frame(1001), 1000)

        # The head alone must do.
        fails("W12 2 MiB + 1 byte declared", frame(BINARY, length=(2 << 20) + 1), 1009)
        fails("W12 1 TiB declared", frame(BINARY, length=1 << 40), 1009)
        fails("W12 the longest length declared", frame(BINARY, length=(1 << 63) - 1), 1009)
        fails("W12 too much declared after a good message", frame(TEXT, b"hi") + frame(TEXT, length=1 << 40), 1009, [hi])
        mib = frame(BINARY, b"x" * (1 << 20), fin=False) + frame(CONTINUATION, b"x" * (1 << 20), fin=False)
        fails("W12 a fragment declared beyond the largest message", mib + frame(CONTINUATION, length=1), 1009)
        kib = b"k" * 1024
        small = self.small_port
        works("W12 a frame of the limit", frame(TEXT, kib), [(TEXT, kib)], port=small)
        fails("W12 a byte above the limit of a frame", frame(TEXT, kib + b"k"), 1009, port=small)
        begun = frame(TEXT, kib, fin=False) + frame(CONTINUATION, kib, fin=False) * 2
        works("W12 a message of the limit", begun + frame(CONTINUATION, kib), [(TEXT, kib * 4)], port=small)
        beyond = begun + frame(CONTINUATION, kib, fin=False) + frame(CONTINUATION, b"k")
        fails("W12 a byte above the limit of a message", beyond, 1009, port=small)
        seven = frame(TEXT, b"f", fin=False) + frame(CONTINUATION, b"f", fin=False) * 6
        works("O6 as many fragments as allowed", seven + frame(CONTINUATION, b"f"), [(TEXT, b"f" * 8)], port=small)
        nine = seven + frame(CONTINUATION, b"f", fin=False) + frame(CONTINUATION, b"f")
        fails("O6 a fragment too many", nine, (1008, 1009), port=small)
        empties = frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 20
        fails("O6 empty fragments count too", empties, (1008, 1009), port=small)

        for name, data in (
            ("an invalid byte", b"ok\xff"),
            ("a surrogate", b"ok\xed\xa0"),
            ("an overlong form", b"\xc0\x80"),
            ("beyond U+10FFFF", b"\xf4\x90"),
            ("a lone continuation byte", b"\x80"),
        ):
            fails(f"E4 {name} early in an unfinished frame", frame(TEXT, data, length=100), 1007)
            fails(f"E4 {name} early in an unfinished message", frame(TEXT, data, fin=False), 1007)
        fails("E4 a character cut by the end of the message", frame(TEXT, b"ok\xe2\x82"), 1007)
        cut = frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82", fin=False) + frame(CONTINUATION, b"\xac")
        works("E4 a character across three fragments", cut, [(TEXT, "€".encode())])
        works("E4 binary is not checked", frame(BINARY, b"\xff\xfe\x80"), [(BINARY, b"\xff\xfe\x80")])

        for name, data in (
            ("a frame's head", b"\x81"),
            ("a long length", b"\x82\xfe\x01"),
            ("a mask", b"\x81\x85\x01\x02"),
            ("a payload", frame(TEXT, b"hello")[:-2]),
            ("a message", start),
            ("nothing", b""),
        ):
            self.add(f"W13 end of file in the middle of {name}", lambda data=data: self.end_of_file(data))
        self.add("W13 a reset connection does no harm", self.reset)

        self.add("bytes one at a time", self.one_at_a_time)

    def server_ends_first(self):
        with Connection(self.port) as connection:
            connection.send(close_frame(1000))
            connection.expect_close(1000)
            connection.expect_end()  # this side has not shut anything down

    def end_of_file(self, data):
        with Connection(self.port) as connection:
            connection.send(data)
            connection.half_close()
            connection.socket.settimeout(5)
            try:
                while True:
                    opcode, payload, _ = connection.receive()
                    assert opcode == CLOSE, f"opcode {opcode} ({payload!r})"
            except Ended:
                pass
        self.still_serves()

    def reset(self):
        for _ in range(20):
            with Connection(self.port) as connection:
                connection.send(frame(TEXT, b"x" * 1000))
                connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.still_serves()

    def still_serves(self):
        with Connection(self.port) as connection:
            connection.send(frame(TEXT, b"hi"))
            connection.expect(TEXT, b"hi")

    def one_at_a_time(self):
        with socket.create_connection((HOST, self.port), 10) as raw:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            request = upgrade(self.port)
            frames = frame(TEXT, b"a" * 130, fin=False) + frame(PING, b"p") + frame(CONTINUATION, "é".encode())
            for i, byte in enumerate(request + frames + close_frame(3000, b"bye")):
                raw.sendall(bytes([byte]))
                if i % 16 == 0:
                    time.sleep(0.001)
            connection = Connection.__new__(Connection)
            connection.socket, connection.buffer = raw, b""
            raw.settimeout(10)
            while b"\r\n\r\n" not in connection.buffer:
                connection._more()
            connection.buffer = connection.buffer.partition(b"\r\n\r\n")[2]
            connection.expect(PONG, b"p")
            connection.expect(TEXT, b"a" * 130 + "é".encode())
            connection.expect_close(3000)
            connection.expect_end()

    # --- The opening handshake ---

    def handshake(self):
        port = self.port

        def accepted(name, request, key=KEY):
            def body():
                with Connection(port, request) as connection:
                    answer = connection.answer
                    expected = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
                    assert answer.one("upgrade").lower() == "websocket", answer.one("upgrade")
                    assert answer.one("connection").lower() == "upgrade", answer.one("connection")
                    assert answer.one("sec-websocket-accept") == base64.b64encode(expected).decode()
                    for absent in ("sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"):
                        assert not answer.all(absent), f"a header {absent} that nobody asked for"
                    assert not answer.all("content-length"), "a Content-Length in a 101"
                    connection.send(frame(TEXT, b"hi"))
                    connection.expect(TEXT, b"hi")

            self.add(name, body)

        assert base64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()) == (
            ACCEPT.encode()
        )
        accepted("H1 a plain upgrade", upgrade(port))
        other = base64.b64encode(os.urandom(16)).decode()
        accepted("H1 another key", upgrade(port, Sec_WebSocket_Key=other), other)
        accepted("H2 tokens in any case", upgrade(port, Upgrade="WebSocket", Connection="UPGRADE"))
        accepted("H2 lists of tokens", upgrade(port, Upgrade="abc, websocket, def", Connection="keep-alive, Upgrade"))
        two = ["Connection: keep-alive", "Connection: upgrade", "Upgrade: abc", "Upgrade: websocket"]
        accepted("H2 several header lines", upgrade(port, without=("Connection", "Upgrade"), extra=two))
        names = upgrade(port).replace(b"Sec-WebSocket-Key", b"sEC-wEBsOCKET-kEY").replace(b"Host", b"hOST")
        accepted("H2 names of headers in any case", names)
        accepted("H2 spaces around a value", upgrade(port, Sec_WebSocket_Version="  13 \t"))
        accepted("any path and query", upgrade(port, path="/some/where?a=1&b=%20"))
        accepted("an Origin and cookies", upgrade(port, extra=["Origin: http://example.test", "Cookie: a=b; c=d"]))

        def same_segment():
            with Connection(port, more=frame(TEXT, b"one") + frame(PING, b"two") + close_frame(1000)) as connection:
                connection.expect(TEXT, b"one")
                connection.expect(PONG, b"two")
                connection.expect_close(1000)
                connection.expect_end()

        self.add("H7 frames in the segment of the request", same_segment)

        def half_a_frame():
            data = frame(TEXT, b"hello")
            with Connection(port, more=data[:4]) as connection:
                connection.send(data[4:])
                connection.expect(TEXT, b"hello")

        self.add("H7 half a frame in the segment of the request", half_a_frame)

    def refusals(self):
        port = self.port

        def refused(name, request, statuses, word=None, headers=()):
            statuses = statuses if isinstance(statuses, tuple) else (statuses,)

            def body():
                answer = http(port, request)
                assert answer.status in statuses, f"status {answer.status} in place of {statuses}: {answer.body[:200]!r}"
                tokens = {token.strip().lower() for value in answer.all("connection") for token in value.split(",")}
                assert "close" in tokens, f"no Connection: close, but {tokens}"
                assert answer.body, "no body"
                lengths = answer.all("content-length")
                if lengths:
                    assert int(lengths[0]) == len(answer.body), f"Content-Length {lengths}, {len(answer.body)} bytes"
                for header, value in headers:
                    assert answer.one(header) == value, f"{header}: {answer.one(header)}"
                text = answer.body.decode("utf-8").lower()
                assert word is None or re.search(word, text, re.DOTALL), f"{word!r} is not in the body: {text[:200]!r}"

            self.add(name, body)

        version = [("sec-websocket-version", "13")]
        refused("H2 method POST", upgrade(port, method="POST"), 405, "method|get")
        refused("H2 method PUT", upgrade(port, method="PUT"), 405, "method|get")
        refused("H2 HTTP/1.0", upgrade(port, version="HTTP/1.0"), 400, "http")
        refused("H2 no Host", upgrade(port, without=("Host",)), 400, "host")
        refused("H2 two Hosts", upgrade(port, extra=["Host: example.test"]), 400, "host")
        refused("H2 no Upgrade", upgrade(port, without=("Upgrade",)), 400, "upgrade")
        refused("H2 Upgrade: h2c", upgrade(port, Upgrade="h2c"), 400, "upgrade")
        refused("H2 Upgrade: websockets", upgrade(port, Upgrade="websockets"), 400, "upgrade")
        refused("H2 no Connection", upgrade(port, without=("Connection",)), 400, "connection")
        refused("H2 Connection: keep-alive", upgrade(port, Connection="keep-alive"), 400, "connection")
        refused("H2 no version", upgrade(port, without=("Sec-WebSocket-Version",)), 426, "version", version)
        for value in ("8", "7", "0", "14", "013", "13.0", "thirteen", ""):
            refused(f"H2 version {value!r}", upgrade(port, Sec_WebSocket_Version=value), 426, "version", version)

        refused("H3 no key", upgrade(port, without=("Sec-WebSocket-Key",)), 400, "key")
        for name, key in (
            ("empty", ""),
            ("of 15 bytes", base64.b64encode(b"x" * 15).decode()),
            ("of 17 bytes", base64.b64encode(b"x" * 17).decode()),
            ("with spare bits", "dGhlIHNhbXBsZSBub25jZR=="),
            ("with one =", "dGhlIHNhbXBsZSBub25jZQ="),
            ("with no =", "dGhlIHNhbXBsZSBub25jZQ"),
            ("with other characters", "dGhlIHNhbXBsZSBub25j_-=="),
            ("with a space", "dGhlIHNhbXBsZSBub 5jZQ=="),
        ):
            refused(f"H3 a key {name}", upgrade(port, Sec_WebSocket_Key=key), 400, "key")
        refused("H3 two keys", upgrade(port, extra=[f"Sec-WebSocket-Key: {KEY}"]), 400, "key")

        host = f"Host: {HOST}:{port}\r\n".encode()
        upgrade_is_expected = "websocket.*upgrade|upgrade.*websocket"
        refused("H4 plain GET", b"GET / HTTP/1.1\r\n" + host + b"\r\n", 400, upgrade_is_expected)
        refused("H4 plain GET, keep-alive", b"GET /x HTTP/1.1\r\n" + host + b"Connection: keep-alive\r\n\r\n", 400)
        posted = b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\n\r\nhello"
        refused("H4 plain POST", posted, (400, 405))

        # All that is wrong with these upgrades is what their names say.
        def head(*lines):
            return upgrade(port)[:-2] + b"".join(line + b"\r\n" for line in lines) + b"\r\n"

        refused("H6 nonsense", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400)
        refused("H6 no version of HTTP", b"GET /\r\n" + host + b"\r\n", 400)
        refused("H6 the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505))
        refused("H6 a folded line", head(b"X-Folded: a", b" b"), 400)
        refused("H6 a space before the colon", head(b"X-Space : a"), 400)
        refused("H6 a line without a colon", head(b"nonsense"), 400)
        refused("H6 a NUL in a value", head(b"X-Nul: a\0b"), 400)
        refused("H6 a lone CR in a value", head(b"X-Cr: a\rb"), 400)
        refused("H6 bare LF", head().replace(b"\r\n", b"\n"), 400)
        refused("H6 one bare LF", upgrade(port).replace(b"Upgrade: websocket\r\n", b"Upgrade: websocket\n"), 400)
        refused("H6 two differing Content-Length", head(b"Content-Length: 3", b"Content-Length: 4") + b"abcd", 400)
        both = head(b"Content-Length: 5", b"Transfer-Encoding: chunked") + b"0\r\n\r\n"
        refused("H6 Content-Length and Transfer-Encoding", both, 400)
        refused("H6 a head above 16 KiB", upgrade(port, extra=["X-Long: " + "x" * 17000]), 431)
        refused("H6 a path above 16 KiB", upgrade(port, path="/" + "x" * 17000), (414, 431))
        refused("H12 101 headers", upgrade(port, extra=[f"X-{i}: {i}" for i in range(101)]), (400, 431))

    # --- Deadlines (10 s by default) ---

    def waiting(self):
        def silent():
            with socket.create_connection((HOST, self.port), 10) as connection:
                self.ends_within(connection, 15)

        def dripping():
            with socket.create_connection((HOST, self.port), 10) as connection:
                self.ends_within(connection, 15, drip=upgrade(self.port))

        def no_answer_to_a_close():
            with Connection(self.port) as connection:
                connection.send(frame(TEXT, b"no", mask=False))
                connection.expect_close(1002)
                self.ends_within(connection.socket, 15)

        self.slow.append(("H12 a client that says nothing", silent))
        self.slow.append(("H12 a client that sends its request byte by byte", dripping))
        self.slow.append(("O8 a peer that does not answer a Close", no_answer_to_a_close))

    @staticmethod
    def ends_within(connection, seconds, drip=b""):
        """The server ends the connection in time, while a byte of `drip` is sent every half second."""
        until = time.monotonic() + seconds
        connection.settimeout(0.5)
        while time.monotonic() < until:
            try:
                if not connection.recv(4096):
                    return
            except TimeoutError:
                pass
            except OSError:
                return
            if drip:
                try:
                    connection.sendall(drip[:1])
                except OSError:
                    return
                drip = drip[1:]
        raise AssertionError(f"the connection is still open after {seconds} s")

    def run(self, report):
        """Runs all; calls report(name, None or what was wrong) for each."""

        def outcome(body):
            try:
                body()
            except (AssertionError, Ended) as error:
                return str(error)
            except Exception as error:  # whatever it is, it is this check's result
                return f"{type(error).__name__}: {error}"
            return None

        results = {}
        threads = []
        for name, body in self.slow:
            thread = threading.Thread(target=lambda name=name, body=body: results.update({name: outcome(body)}))
            thread.start()
            threads.append(thread)
        for name, body in self.list:
            report(name, outcome(body))
        for thread in threads:
            thread.join()
        for name, _ in self.slow:
            report(name, results.get(name, "the check itself failed"))
