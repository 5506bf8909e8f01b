"""A WebSocket peer on a plain socket. It builds and reads frames with its own code, written from RFC 6455."""

import re
import socket
import struct

HOST = "127.0.0.1"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the example of RFC 6455
MASKING_KEY = b"\x37\xfa\x21\x3d"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


# --- Frames ---------------------------------------------------------------------------------------------------


def masked(data, key=MASKING_KEY):
    key = (key * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True):
    """Returns a frame. `rsv` holds the three reserved bits: RSV1 is 4."""
    mask_bit = 0x80 if mask else 0
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    if len(payload) < 126:
        head += bytes([mask_bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", len(payload))
    return head + (MASKING_KEY + masked(payload) if mask else payload)


def close_frame(code, reason=b""):
    return frame(CLOSE, struct.pack(">H", code) + reason)


def code_of(payload):
    """Returns the code in the payload of a Close, or None."""
    return struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else None


# --- The opening handshake ------------------------------------------------------------------------------------


def upgrade(port, extra=()):
    """Returns a request for a WebSocket with these header lines added."""
    lines = [
        "GET / HTTP/1.1",
        f"Host: {HOST}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {KEY}",
        "Sec-WebSocket-Version: 13",
        *extra,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


class Response:
    """An HTTP response: its status, its headers as pairs with names in lower case, and the bytes after the head."""

    def __init__(self, data):
        head, separator, self.body = data.partition(b"\r\n\r\n")
        assert separator, f"incomplete response: {data[:200]!r}"
        lines = head.decode("latin-1").split("\r\n")
        status = re.fullmatch(r"HTTP/1\.1 (\d{3})( .*)?", lines[0])
        assert status, f"malformed status line {lines[0]!r}"
        self.status = int(status.group(1))
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert colon and name == name.strip(), f"malformed header line {line!r}"
            self.headers.append((name.lower(), value.strip()))

    def all(self, name):
        return [value for other, value in self.headers if other == name]

    def one(self, name):
        values = self.all(name)
        assert len(values) == 1, f"expected one {name} header, found {len(values)}"
        return values[0]


# --- Connections ----------------------------------------------------------------------------------------------


class Ended(Exception):
    """The server ended the connection."""


class Connection:
    reserved = 0  # the reserved bits of the first byte that an extension uses
    from_client = False  # whether the frames read here come from a client

    def __init__(self, port, request=None):
        """Connects, sends `request` (or the usual one) and checks that the answer is a 101."""
        self.socket = socket.create_connection((HOST, port), 10)
        self.socket.settimeout(10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.send(request or upgrade(port))
        while b"\r\n\r\n" not in self.buffer:
            self.read_more()
        end = self.buffer.index(b"\r\n\r\n") + 4
        self.response = Response(self.buffer[:end])
        self.buffer = self.buffer[end:]
        assert self.response.status == 101, f"expected status 101, got {self.response.status}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def read_more(self):
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise AssertionError(f"no answer within {self.socket.gettimeout():.0f} s") from None
        except OSError as error:
            raise Ended(f"connection lost: {error}") from None
        if not data:
            raise Ended("end of the connection")
        self.buffer += data

    def take(self, count):
        while len(self.buffer) < count:
            self.read_more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # The server has ended the connection. The bytes it sent before can still be read.

    def receive(self):
        """Returns the next frame as (opcode, payload, fin). Fails on unused reserved bits and on a wrong mask bit."""
        first, second = self.take(2)
        self.bits = first & 0x70
        assert self.bits & ~self.reserved == 0, f"reserved bits in the first byte {first:#04x}"
        assert bool(second & 0x80) == self.from_client, "a masked frame from a server, or an unmasked one from a client"
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack(">H", self.take(2))
            assert size > 125, "the length is not in its shortest form"
        elif size == 127:
            (size,) = struct.unpack(">Q", self.take(8))
            assert size > 65535, "the length is not in its shortest form"
        key = self.take(4) if self.from_client else None
        payload = self.take(size)
        return first & 0x0F, masked(payload, key) if key else payload, bool(first & 0x80)

    def expect(self, opcode, payload):
        """Fails unless the next message or control frame is this one."""
        found, data, fin = self.receive()
        while not fin and found < 8:
            following, part, fin = self.receive()
            assert following == CONTINUATION, f"opcode {following} inside a fragmented message"
            data += part
        if found == CLOSE and opcode != CLOSE:
            raise AssertionError(f"expected opcode {opcode}, got a Close with {code_of(data)}")
        assert found == opcode, f"expected opcode {opcode}, got {found}"
        assert data == payload, f"expected {len(payload)} bytes {payload[:40]!r}, got {len(data)}, {data[:40]!r}"

    def expect_close(self, *codes):
        """Fails unless the next frame is a Close with one of these codes. None stands for an empty payload."""
        try:
            opcode, data, _ = self.receive()
        except Ended as ended:
            raise AssertionError(f"expected a Close, got: {ended}") from None
        assert opcode == CLOSE, f"expected a Close, got opcode {opcode} ({data[:40]!r})"
        assert code_of(data) in codes, f"expected a Close with {codes}, got {code_of(data)}: {data[2:].decode()!r}"
        data[2:].decode()

    def expect_end(self, seconds=5.0):
        """Fails unless the server ends the connection in time and sends nothing before that."""
        self.socket.settimeout(seconds)
        try:
            self.take(1)
        except Ended:
            return
        except AssertionError:
            raise AssertionError(f"the server did not end the connection within {seconds:.0f} s") from None
        raise AssertionError("the server sent more after its Close")
