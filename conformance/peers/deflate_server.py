"""Checks of `autobahn_server --compress` on raw sockets: parameters, windows, sizes, bombs and invalid streams."""

import itertools
import random
import re
import zlib

from deflate import *
from harness import start_server
from inflate import fixed_block
from wire import Ended, upgrade

SIZE_LIMIT = 2 << 20
TALK_BLOCK = fixed_block(*TALK).message()
# The compressed message and the beginning of the inflated one, each in a buffer of at most the limit, and some memory
# of the process itself.
KIB_ALLOWED = (2 * SIZE_LIMIT >> 10) + 512


class Server:
    """A running echo server with these options."""

    def __init__(self, start, *options):
        self.program, self.port = start(["--compress", *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.program.stop()

    def offer(self, *values):
        """Sends an offer in these header lines. Returns the connection and the answer, or None."""
        lines = [f"Sec-WebSocket-Extensions: {value}" for value in values]
        connection = Connection(self.port, upgrade(self.port, extra=lines))
        answers = connection.response.all("sec-websocket-extensions")
        assert len(answers) <= 1, f"expected at most one answer, got {len(answers)}"
        return connection, answers[0] if answers else None

    def link(self, offer=Params(client_max_window_bits=True)):
        connection, answer = self.offer(offer)
        assert answer, "the offer was not accepted"
        return Link(connection.socket, connection.buffer, *agreed(offer, parse(answer)))

    def still_serves(self):
        with self.link() as link:
            link.echo([(TEXT, TALK, 1)])
            link.finish()


def all_offers():
    windows = (None, *WINDOWS)
    return [Params(*each) for each in itertools.product((False, True), (False, True), windows, (True, *windows))]


# --- Parameters and windows -------------------------------------------------------------------------------------


def windows(report, start, full):
    """Sends every offer to servers with all settings, and talks over each resulting pair of contexts."""
    for bits, takeover in itertools.product(WINDOWS, (True, False)):
        options = ["--window-bits", str(bits), *([] if takeover else ["--no-context-takeover"])]
        failures, talks = [], 0
        offers, seen = all_offers(), set()
        if not full and (bits, takeover) != (15, True):
            offers = random.Random(bits).sample(offers, 60)
        with Server(start, *options) as server:
            for offer in offers:
                try:
                    connection, answer = server.offer(offer)
                    with connection:
                        assert answer, "the offer was not accepted"
                        params = parse(answer)
                        contexts = agreed(offer, params)
                        as_configured(params, offer, bits, takeover)
                        if contexts not in seen and (full or takeover and bits == 15 or len(seen) < 8):
                            seen.add(contexts)
                            talk(Link(connection.socket, connection.buffer, *contexts))
                            talks += 1
                except (AssertionError, Ended, OSError, Corrupt) as error:
                    failures.append(f"'{offer}' answered '{answer}': {error}")
        name = f"window of {bits} bits{'' if takeover else ', no takeover'}: {len(offers)} offers, {talks} conversations"
        report(name, "; ".join([f"{len(failures)} of them", *failures[:3]]) if failures else None)


def as_configured(answer, offer, bits, takeover):
    """Checks that the answer respects the options of the example."""
    assert (answer.server_max_window_bits or 15) <= bits, "the window is larger than configured"
    if offer.client_max_window_bits is not None:
        assert (answer.client_max_window_bits or 15) <= bits, "the client's window is larger than configured"
    if not takeover:
        assert answer.server_no_context_takeover and answer.client_no_context_takeover, "takeover is configured off"


OFFERS = [  # the header lines of the offer, and whether it is accepted
    (["permessage-deflate"], True),
    (["permessage-deflate;server_max_window_bits=9"], True),
    (['permessage-deflate; server_max_window_bits="9"'], True),  # RFC 6455 9.1: a token may be quoted
    (["x-other; a=1, permessage-deflate"], True),
    (["x-other", "permessage-deflate"], True),
    (["permessage-deflate; unknown, permessage-deflate"], True),
    (["permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=10"], True),
    (["permessage-deflate; unknown"], False),
    (["permessage-deflate; server_no_context_takeover=1"], False),
    (["permessage-deflate; client_no_context_takeover=true"], False),
    (["permessage-deflate; server_no_context_takeover; server_no_context_takeover"], False),
    (["permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"], False),
    (["permessage-deflate; server_max_window_bits"], False),
    *((["permessage-deflate; server_max_window_bits=" + value], False) for value in ("7", "16", "08", "010", "1e1", "9.0")),
    *((["permessage-deflate; client_max_window_bits=" + value], False) for value in ("0", "7", "16", "08", "255", "265")),
    (["x-webkit-deflate-frame"], False),
    (["permessage-deflated"], False),
]


def offers(report, start):
    with Server(start) as server:
        for values, accepted in OFFERS:

            def body(values=values, accepted=accepted):
                connection, answer = server.offer(*values)
                with connection:
                    assert bool(answer) == accepted, f"the answer is {answer!r}"
                    if not accepted:
                        connection.send(frame(TEXT, b"plain"))
                        connection.expect(TEXT, b"plain")
                        connection.send(frame(TEXT, b"\x00", rsv=4))
                        connection.expect_close(1002)

            check(report, f"offer {' | '.join(values)}", body)


# --- Sizes ------------------------------------------------------------------------------------------------------


def sizes_of(full):
    edges = {edge + more for edge in (4096, 8192, 16384, 32768, 65535, 65536, 131072) for more in (-1, 0, 1)}
    steps = {int(2000 * 1.1**i) for i in range(44)}
    return sorted({*range(0, 2001, 1 if full else 7), *range(300), *edges, *steps, 131073})


def payloads(size):
    text = json_text(2048)
    yield (text * (size // len(text) + 1))[:size]
    yield noise(size, size)
    yield (b"a" * (size // 2) + noise(size - size // 2, size))[::-1]


def all_sizes(report, start, full):
    settings = [
        ([], Params()),
        (["--window-bits", "9", "--level", "1"], Params(True, True, None, True)),
        (["--window-bits", "9"], Params(client_max_window_bits=True)),
        (["--level", "1", "--threshold", "0"], Params()),
        (["--level", "9", "--threshold", "1000"], Params(server_max_window_bits=8, client_max_window_bits=8)),
    ]
    for options, offer in settings if full else settings[:2]:
        sizes = sizes_of(full)

        def body():
            with Server(start, *options) as server, server.link(offer) as link:
                messages = [(BINARY, data, 1 + size % 3) for size in sizes for data in payloads(size)]
                for i in range(0, len(messages), 8):
                    link.echo(messages[i : i + 8])
                link.finish()

        check(report, f"{len(sizes)} sizes, three kinds of data, {' '.join(options) or 'defaults'}, {offer}", body)


# --- Bombs ------------------------------------------------------------------------------------------------------


def zeros(mebibytes):
    """Returns this many MiB of zeros, compressed to about 1/1000."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = compressor.compress(bytes(1 << 20)) + compressor.flush(zlib.Z_FULL_FLUSH)
    return (piece * mebibytes)[:-4]


def bombs(report, start):
    bomb = zeros(1024)
    empty = b"\x00\x00\x00\xff\xff"
    unfinished = frame(BINARY, empty * 20_000, fin=False, rsv=4)
    endless = frame(CONTINUATION, empty * 20_000, fin=False)
    nothing = frame(BINARY, empty, fin=False, rsv=4) + frame(CONTINUATION, empty, fin=False) * 20_000
    cases = [
        ("1 GiB of zeros in a message", lambda link: link.send_payload(BINARY, bomb), (1009,)),
        ("1 GiB of zeros as text", lambda link: link.send_payload(TEXT, bomb), (1009,)),
        ("1 GiB of zeros in 1,000 fragments", lambda link: link.send_payload(BINARY, bomb, fragments=1000), (1009,)),
        ("1 GiB of zeros before the last fragment", before_the_last_fragment(BINARY, bomb), (1009,)),
        ("1 GiB of zeros after a good message", after_a_good_one(bomb), (1009,)),
        ("1 GiB of zeros after 100,000 empty blocks", lambda link: link.send_payload(BINARY, empty * 100_000 + bomb), (1009,)),
        ("a message of empty blocks that never ends", lambda link: link.send(unfinished + endless * 40), (1009,)),
        ("fragments of empty blocks without end", lambda link: link.send(nothing), (1008, 1009)),
        ("a byte above the limit", lambda link: link.send_message(BINARY, bytes(SIZE_LIMIT + 1)), (1009,)),
    ]
    for offer in (Params(), Params(True, True), Params(client_max_window_bits=9)):
        for name, send, codes in cases:

            def body():
                with Server(start) as server:
                    before = memory(server.program, "VmRSS")
                    reset_peak(server.program)
                    with server.link(offer) as link:
                        send(link)
                        skip_pongs(link)
                        link.expect_close(*codes)
                        risen = memory(server.program, "VmHWM") - before
                        assert risen < KIB_ALLOWED, f"the memory rose by {risen} KiB"
                        link.send(close_frame(codes[0]))
                        link.expect_end()
                    server.still_serves()

            check(report, f"{name}, {offer}", body)

    def harmless():
        with Server(start) as server, server.link(Params()) as link:
            for payload in (empty * 100_000 + b"\x00", b"", b"\x00", empty * 3 + b"\x00"):
                link.send_payload(BINARY, payload)
                link.expect_message(BINARY, b"")
            link.send_message(BINARY, bytes(SIZE_LIMIT), fragments=5)
            link.expect_message(BINARY, bytes(SIZE_LIMIT))
            link.finish()

    check(report, "100,000 empty blocks are an empty message, and a message of the limit comes back", harmless)


def after_a_good_one(bomb):
    def send(link):
        link.echo([(TEXT, TALK, 1)])
        link.send_payload(BINARY, bomb)

    return send


def before_the_last_fragment(opcode, payload):
    """An empty fragment ends the message. The server does not inflate a message before its end."""

    def send(link):
        link.send_frame(opcode, payload, fin=False, rsv=4)
        link.send_frame(CONTINUATION)

    return send


def skip_pongs(link):
    """Reads all pongs up to the next other frame."""
    while True:
        while len(link.buffer) < 2:
            link.read_more()
        if link.buffer[0] & 15 != PONG:
            return
        link.receive()


def memory(program, field):
    with open(f"/proc/{program.process.pid}/status", encoding="ascii") as file:
        return int(re.search(rf"^{field}:\s*(\d+) kB", file.read(), re.MULTILINE).group(1))


def reset_peak(program):
    with open(f"/proc/{program.process.pid}/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


# --- Invalid streams ----------------------------------------------------------------------------------------------


def invalid_streams(report, start):
    with Server(start) as server, Server(start, "--no-context-takeover") as forgetful:

        def fails(name, send, code, offer=Params(client_max_window_bits=True), at=server):
            def body():
                with at.link(offer) as link:
                    send(link)
                    skip_pongs(link)
                    link.expect_close(code)
                    link.send(close_frame(code))
                    link.expect_end()
                at.still_serves()

            check(report, name, body)

        def payload(data, opcode=BINARY):
            return lambda link: link.send_payload(opcode, data)

        message = Compressor(Context(15, True)).message(TALK)
        fails("RSV1 on a ping", lambda link: link.send_frame(PING, b"hi", rsv=4), 1002)
        fails("RSV1 on a pong", lambda link: link.send_frame(PONG, b"hi", rsv=4), 1002)
        fails("RSV1 on a Close", lambda link: link.send_frame(CLOSE, b"\x03\xe8", rsv=4), 1002)
        for bits in (1, 2, 3, 5, 6, 7):
            fails(f"reserved bits {bits:03b} on a message", lambda link: link.send_frame(TEXT, message, rsv=bits), 1002)
        for name, rsv in (("a compressed", 4), ("an uncompressed", 0)):

            def send(link):
                link.send_frame(TEXT, b"\x00", fin=False, rsv=rsv)
                link.send_frame(CONTINUATION, b"\x00", rsv=4)

            fails(f"RSV1 on a continuation of {name} message", send, 1002)
        fails("a ping inside of a compressed message, then nonsense", half_and_nonsense(message), 1007)

        fails("the reserved kind of block", payload(b"\x07"), 1007)
        fails("a stored block whose lengths do not agree", payload(b"\x00\x05\x00\x05\x00hello"), 1007)
        fails("an uncompressed message marked as compressed", payload(b"Hello, river", TEXT), 1007)
        for seed in range(40):
            data = b"\x06" + noise(60, seed)  # a block of the reserved kind that is not the final one
            fails(f"nonsense {seed}", payload(data), 1007)
        fails("a message that ends inside a block", payload(message[:-20]), 1007)
        fails("a stored block longer than the message", payload(b"\x00\x05\x00\xfa\xffhel"), 1007)
        fails("text that is not UTF-8", payload(fixed_block(0x61, 0xFF).message(), TEXT), 1007)

        bad = before_the_last_fragment(TEXT, fixed_block(0x61, 0xFF).message())
        fails("text that is not UTF-8, before the last fragment", bad, 1007)
        cut = "€".encode()[:2]
        fails("text that ends inside a character", payload(fixed_block(*cut).message(), TEXT), 1007)

        # Distances.
        back = fixed_block((40, 40)).message()
        fails("a distance before the beginning", payload(back), 1007)
        fails("a distance before the beginning, after a byte", payload(fixed_block(97, (3, 2)).message()), 1007)

        def second(link):
            link.echo([(TEXT, TALK, 1)])
            link.send_payload(BINARY, back)

        no_takeover = Params(client_no_context_takeover=True)
        fails("a distance into the message before, without takeover", second, 1007, no_takeover)
        fails("the same, forbidden by the server", second, 1007, Params(), forgetful)

        def ended(link):
            link.send_payload(BINARY, fixed_block(*b"forty bytes and some more, to refer to.....", final=True).message())
            link.expect_message(BINARY, b"forty bytes and some more, to refer to.....")
            link.send_payload(BINARY, back)

        fails("a distance beyond a final block", ended, 1007)

        def beyond(link):
            link.echo([(BINARY, noise(5000), 1)])
            link.send_payload(BINARY, fixed_block((40, 600)).message())

        fails("a distance beyond a window of 9 bits, into the message before", beyond, 1007, Params(client_max_window_bits=9))

        # A connection must not read the messages of another.
        for which, at, offer in (
            ("no takeover", server, no_takeover),
            ("no takeover of the server", forgetful, Params()),
            ("a small window", server, Params(client_max_window_bits=9)),
            ("the largest window", server, Params()),
        ):

            def other_first(link, at=at, offer=offer):
                with at.link(offer) as other:
                    other.echo([(TEXT, TALK, 1)] * 3)
                    link.send_payload(BINARY, back)
                    # Its codecs may be reused only from here on.
                    other.finish()

            fails(f"a distance into what another connection has sent, {which}", other_first, 1007, offer, at)

        def cuts():
            small = Compressor(Context(15, True)).message(TALK)
            for end in range(1, len(small) - 1):
                with server.link(Params()) as link:
                    link.send_payload(TEXT, small[:end])
                    link.expect_close(1007)

        check(report, "a message cut at any byte", cuts)

        def last_blocks():
            with server.link(Params()) as link:
                for final in (True, False, True, True):
                    link.send_payload(TEXT, fixed_block(*b"river", (5, 5), final=final).message())
                    link.expect_message(TEXT, b"riverriver")
                finished = zlib.compress(TALK, wbits=-15)
                link.send_payload(TEXT, finished + finished + b"\x00")
                link.expect_message(TEXT, TALK * 2)
                # Blocks that end at every bit, at the end of a 4 KiB piece of output and elsewhere.
                for size, nine_bits, match in itertools.product((4095, 4096, 4097, 8192), range(8), (0, 100)):
                    tokens = [0x90] * nine_bits + [0x61] * (size - nine_bits - match) + [(match, 1)] * (match > 0)
                    data = b"\x90" * nine_bits + b"a" * (size - nine_bits)
                    stream = fixed_block(*tokens, final=True).whole()
                    for more, plain in ((b"\x00", b""), (stream + b"\x00", data), (TALK_BLOCK, TALK)):
                        link.send_payload(BINARY, stream + more, fragments=1 + nine_bits % 4)
                        link.expect_message(BINARY, data + plain)
                link.finish()

        check(report, "blocks with BFINAL, 7.2.3.4", last_blocks)

        def mixed():
            with server.link(Params()) as link:
                for i in range(60):
                    link.send_message(TEXT, TALK, compress=i % 3 > 0, fragments=1 + i % 5)
                    link.expect_message(TEXT, TALK)
                link.finish()

        check(report, "compressed and uncompressed messages in turn", mixed)


def half_and_nonsense(message):
    def send(link):
        link.send_frame(TEXT, message[:30], fin=False, rsv=4)
        link.send_frame(PING, b"between")
        link.expect(PONG, b"between")
        link.send_frame(CONTINUATION, b"\xff" * 200)

    return send


# --- All of it --------------------------------------------------------------------------------------------------


def check(report, name, body):
    try:
        body()
    except Exception as error:  # any error is the result of this check
        text = " ".join(str(error).split())[:500]
        report(name, text if isinstance(error, AssertionError) else f"{type(error).__name__}: {text}")
    else:
        report(name, None)


def run(report, start, full):
    """Runs all checks. `start(options)` starts an echo server. Calls report(name, None or an error) for each check."""
    offers(report, start)
    invalid_streams(report, start)
    bombs(report, start)
    all_sizes(report, start, full)
    windows(report, start, full)
