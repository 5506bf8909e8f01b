"""Checks of our clients against a server on raw sockets: `autobahn_client`, which echoes messages over any number of
connections, and `connect`, which reports an invalid answer.
"""

import base64
import hashlib
import itertools
import os
import random
import re
import socket
import subprocess

from deflate import *
from deflate_server import after_a_good_one, check, skip_pongs, zeros
from harness import Program
from wire import Ended


class Server:
    """A listening socket. The checks accept its connections one at a time."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.listener.settimeout(10)
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}/"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self, *answers):
        """Accepts a request with these lines of extensions. Returns the connection, further bytes and the offer."""
        connection, _ = self.listener.accept()
        connection.settimeout(10)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b""
        while b"\r\n\r\n" not in request:
            data = connection.recv(65536)
            assert data, "the request is incomplete"
            request += data
        head, _, rest = request.partition(b"\r\n\r\n")
        headers = [line.partition(": ")[::2] for line in head.decode().split("\r\n")[1:]]
        found = {name.lower(): value for name, value in headers}
        accept = hashlib.sha1((found["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}"]
        lines += [f"Sec-WebSocket-Extensions: {answer}" for answer in answers]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        offer = found.get("sec-websocket-extensions")
        return connection, rest, parse(offer) if offer else None

    def link(self, answer):
        """Accepts a request with an answer that must fit the offer."""
        connection, rest, offer = self.accept(answer)
        return Link(connection, rest, *agreed(offer, answer), from_client=True)

    def send_text(self, text):
        """Accepts a request without compression and sends one message."""
        connection, rest, _ = self.accept()
        link = Link(connection, rest, Context(15, False), Context(15, False), from_client=True)
        with link:
            link.send_frame(TEXT, text)
            link.finish()


def answers_to(offer):
    """Yields every answer that RFC 7692 allows."""
    for params in itertools.product((False, True), (False, True), (None, *WINDOWS), (None, *WINDOWS)):
        try:
            agreed(offer, Params(*params))
        except AssertionError:
            continue
        yield Params(*params)


def expected_offer(bits, takeover):
    limit = None if bits == 15 else bits
    return Params(not takeover, not takeover, limit, limit or True)


def windows(report, client, log, full):
    """Sends every answer to the offers of clients with all settings, and talks over each connection."""
    for bits, takeover in itertools.product(WINDOWS, (True, False)):
        options = ["--compress", "--window-bits", str(bits), *([] if takeover else ["--no-context-takeover"])]
        offer = expected_offer(bits, takeover)
        answers = list(answers_to(offer))
        if not full:
            answers = random.Random(bits).sample(answers, min(len(answers), 60 if bits == 15 and takeover else 6))
        failures = []

        def conversation(server):
            connection, rest, offered = server.accept(answer)
            assert offered == offer, f"expected the offer '{offer}', got '{offered}'"
            with Link(connection, rest, *agreed(offer, answer), from_client=True) as link:
                talk(link)

        def body():
            with Server() as server, Client([client, "--url", server.url.rstrip("/"), *options], log) as program:
                server.send_text(str(len(answers)).encode())
                nonlocal answer
                for answer in answers:
                    try:
                        conversation(server)
                    except (AssertionError, Ended, Corrupt) as error:
                        failures.append(f"'{answer}': {error}")
                server.send_text(b"done")
                status = program.wait(10)
                assert status == 0, f"the client ended with {status}\n{program.tail()}"
            assert not failures, "; ".join([f"{len(failures)} of them", *failures[:3]])

        answer = None
        name = f"window of {bits} bits{'' if takeover else ', no takeover'}: {len(answers)} answers"
        check(report, name, body)


class Client(Program):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


# --- Invalid answers ----------------------------------------------------------------------------------------------

INVALID = [
    "x-other",
    "permessage-deflated",
    "permessage-deflate; unknown",
    "permessage-deflate; unknown=1",
    "permessage-deflate; server_no_context_takeover=1",
    "permessage-deflate; client_no_context_takeover=true",
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
    "permessage-deflate; client_max_window_bits=9; client_max_window_bits=9",
    "permessage-deflate; client_max_window_bits",
    "permessage-deflate; server_max_window_bits",
    *(f"permessage-deflate; server_max_window_bits={value}" for value in ("7", "16", "08", "+9", "9.0", "-8", "", "265")),
    *(f"permessage-deflate; client_max_window_bits={value}" for value in ("7", "16", "015", "x", "0x9", '"16"')),
    "permessage-deflate, permessage-deflate",
    "permessage-deflate, x-other",
    "permessage-deflate; =9",
    "permessage-deflate; ;",
    'permessage-deflate; server_max_window_bits="9',
    ("permessage-deflate", "permessage-deflate"),
]

VALID = [
    ("permessage-deflate;server_max_window_bits=8;client_max_window_bits=8", "compressed"),
    ('permessage-deflate; server_max_window_bits="10"', "compressed"),
    (None, "not compressed"),
]

# Valid answers that do not fit the offer: the window and takeover of the client, and the answer.
UNFITTING = [
    ((9, True), "permessage-deflate"),
    ((9, True), "permessage-deflate; server_max_window_bits=10"),
    ((9, True), "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10"),
    ((15, False), "permessage-deflate"),
    ((15, False), "permessage-deflate; client_no_context_takeover"),
]


def expect_failed_handshake(server, program, answers):
    connection, rest, _ = server.accept(*answers)
    with connection:
        assert not rest and not connection.recv(100), "the client continues after the handshake"
    status = program.wait(10)
    assert status not in (None, 0), f"the client ended with {status}"
    assert re.search("deflate|extension|max_window_bits|takeover", program.output(), re.I), program.output()


def invalid_answers(report, connect, client, log):
    for answers in INVALID:
        answers = answers if isinstance(answers, tuple) else (answers,)

        def body():
            with Server() as server, Client([connect, server.url], log) as program:
                expect_failed_handshake(server, program, answers)

        check(report, f"the answer {' | '.join(answers)} fails the handshake", body)

    for (bits, takeover), answer in UNFITTING:

        def body():
            options = ["--compress", "--window-bits", str(bits), *([] if takeover else ["--no-context-takeover"])]
            with Server() as server, Client([client, "--url", server.url.rstrip("/"), *options], log) as program:
                expect_failed_handshake(server, program, [answer])

        offer = expected_offer(bits, takeover)
        check(report, f"the answer {answer} to {offer} fails the handshake", body)

    for answer, words in VALID:

        def body():
            with Server() as server, Client([connect, server.url], log, stdin=subprocess.PIPE) as program:
                connection, rest, _ = server.accept(*([answer] if answer else []))
                with connection:
                    contexts = agreed(Params(client_max_window_bits=True), parse((answer or NAME).replace('"', "")))
                    link = Link(connection, rest, *contexts, from_client=True)
                    program.process.stdin.write(TALK + b"\n")
                    program.process.stdin.close()
                    size = link.expect_message(TEXT, TALK)
                    assert bool(size) == (words == "compressed"), f"{size} bytes"
                    link.send_message(TEXT, b"back", compress=bool(size))
                    link.expect_close(1000)
                    link.send_frame(CLOSE, b"\x03\xe8")
                status = program.wait(10)
                assert status == 0, f"the client ended with {status}"
                assert f", {words}" in program.output() and "back" in program.output(), program.output()

        check(report, f"the answer {answer} is accepted: {words}", body)


# --- Invalid streams ----------------------------------------------------------------------------------------------


def invalid_streams(report, client, log):
    message = Compressor(Context(15, True)).message(TALK)
    bomb = zeros(1024)
    cases = [
        ("nonsense", lambda link: link.send_payload(BINARY, b"\x07"), 1007),
        ("a message that ends inside a block", lambda link: link.send_payload(TEXT, message[:-20]), 1007),
        ("a distance before the beginning", lambda link: link.send_payload(TEXT, fixed_block((9, 9)).message()), 1007),
        ("text that is not UTF-8", lambda link: link.send_payload(TEXT, fixed_block(0xFF).message()), 1007),
        ("RSV1 on a ping", lambda link: link.send_frame(PING, b"", rsv=4), 1002),
        ("RSV1 on a continuation", continuation(message), 1002),
        ("1 GiB of zeros", lambda link: link.send_payload(BINARY, bomb), 1009),
        ("1 GiB of zeros after a good message", after_a_good_one(bomb), 1009),
    ]

    def body():
        failures = []
        with Server() as server, Client([client, "--url", server.url.rstrip("/"), "--compress"], log) as program:
            server.send_text(str(len(cases)).encode())
            for name, send, code in cases:
                with server.link(Params()) as link:
                    try:
                        send(link)
                        skip_pongs(link)
                        link.expect_close(code)
                    except (AssertionError, Ended) as error:
                        failures.append(f"{name}: {error}")
            server.send_text(b"done")
            assert program.wait(10) == 0, f"the client ended with {program.ended()}\n{program.tail()}"
        assert not failures, "; ".join(failures)

    check(report, f"{len(cases)} invalid streams and bombs from a server", body)


def continuation(message):
    def send(link):
        link.send_frame(TEXT, message[:30], fin=False, rsv=4)
        link.send_frame(CONTINUATION, message[30:], rsv=4)

    return send


def run(report, connect, client, folder, full):
    log = os.path.join(folder, "deflate-client.log")
    invalid_answers(report, connect, client, log)
    invalid_streams(report, client, log)
    windows(report, client, log, full)
