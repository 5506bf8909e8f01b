"""An inflater (RFC 1951) that shares no code with zlib. It works bit by bit and records the largest distance of a stream.

zlib has no raw window of 8 bits, and it accepts a distance beyond the requested window if it still has the bytes. This
inflater checks every distance.
"""


class Corrupt(Exception):
    """The error for bytes that are not a deflate stream, or a distance that reaches before its beginning."""


def code_of(lengths):
    """Returns the canonical code of RFC 1951 3.2.2, as {code with a leading 1: symbol}."""
    code, table = 1, {}
    for length in range(1, 16):
        code <<= 1
        for symbol, each in enumerate(lengths):
            if each == length:
                if code >= 2 << length:
                    raise Corrupt("the code has too many symbols")
                table[code] = symbol
                code += 1
    return table


ORDER = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15)
LENGTHS = [(3 + i, 0) for i in range(8)] + [(3 + ((4 + i % 4) << (i // 4 - 1)), i // 4 - 1) for i in range(8, 28)]
LENGTHS += [(258, 0)]
DISTANCES = [(1 + i, 0) for i in range(4)] + [(1 + ((2 + i % 2) << (i // 2 - 1)), i // 2 - 1) for i in range(4, 30)]
FIXED = (code_of([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8), code_of([5] * 30))
EMPTY_BLOCK = b"\x00\x00\xff\xff"


class Inflater:
    """The inflater of one direction of a connection. A message may refer back to those inflated before."""

    def __init__(self):
        self.output = bytearray()
        self.start = 0  # the beginning of the stream: after a block with BFINAL a new one begins
        self.furthest = 0

    def message(self, data):
        """Inflates a message, after adding the end of an empty block (RFC 7692 7.2.2)."""
        begin = len(self.output)
        self.data, self.at, self.held, self.count = data + EMPTY_BLOCK, 0, 0, 0
        final = False
        while final or self.at < len(self.data) or self.count:
            if final:
                self.held = self.count = 0
                self.start = len(self.output)
            # After a block with BFINAL, the rest of its last byte is ignored.
            final = self.block()
            if final and self.data[self.at :] == EMPTY_BLOCK:
                self.start = len(self.output)
                break
        return bytes(self.output[begin:])

    def bits(self, count):
        while self.count < count:
            if self.at == len(self.data):
                raise Corrupt("the message ends inside a block")
            self.held |= self.data[self.at] << self.count
            self.at += 1
            self.count += 8
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        return value

    def symbol(self, table):
        data, at, held, count, code = self.data, self.at, self.held, self.count, 1
        while code < 1 << 16:
            if count == 0:
                if at == len(data):
                    raise Corrupt("the message ends inside a block")
                held, count, at = data[at], 8, at + 1
            code = code << 1 | held & 1
            held >>= 1
            count -= 1
            if code in table:
                self.at, self.held, self.count = at, held, count
                return table[code]
        raise Corrupt("undefined code")

    def block(self):
        """Inflates a block. Returns whether it was the final one."""
        final, kind = self.bits(1), self.bits(2)
        if kind == 0:
            self.held = self.count = 0
            size, complement = self.bits(16), self.bits(16)
            if size != complement ^ 0xFFFF or self.at + size > len(self.data):
                raise Corrupt("the length of a stored block is wrong")
            self.output += self.data[self.at : self.at + size]
            self.at += size
        elif kind == 1:
            self.coded(*FIXED)
        elif kind == 2:
            self.coded(*self.tables())
        else:
            raise Corrupt("reserved kind of block")
        return final == 1

    def tables(self):
        symbols, distances, count = self.bits(5) + 257, self.bits(5) + 1, self.bits(4) + 4
        lengths = [0] * 19
        for each in ORDER[:count]:
            lengths[each] = self.bits(3)
        code, lengths = code_of(lengths), []
        while len(lengths) < symbols + distances:
            length = self.symbol(code)
            if length < 16:
                lengths.append(length)
            elif length == 16:
                lengths += lengths[-1:] * (3 + self.bits(2))
            else:
                lengths += [0] * (3 + self.bits(3) if length == 17 else 11 + self.bits(7))
        if len(lengths) > symbols + distances:
            raise Corrupt("more code lengths than declared")
        return code_of(lengths[:symbols]), code_of(lengths[symbols:])

    def coded(self, symbols, distances):
        output = self.output
        while (symbol := self.symbol(symbols)) != 256:
            if symbol < 256:
                output.append(symbol)
                continue
            if symbol > 285:
                raise Corrupt("undefined length")
            base, extra = LENGTHS[symbol - 257]
            length = base + self.bits(extra)
            base, extra = DISTANCES[self.symbol(distances)]
            distance = base + self.bits(extra)
            begin = len(output) - distance
            if begin < self.start:
                raise Corrupt(f"a distance of {distance} with {len(output) - self.start} bytes before it")
            self.furthest = max(self.furthest, distance)
            if distance < length:
                output += (output[begin:] * (length // distance + 1))[:length]
            else:
                output += output[begin : begin + length]


# --- Streams that no compressor writes ----------------------------------------------------------------


def fixed_block(*tokens, final=False):
    """Returns a block with the fixed codes. A number is a byte, and a pair is (length, distance). The block may end inside
    a byte."""
    bits = Bits()
    bits.add(int(final), 1)
    bits.add(1, 2)
    symbols, distances = ({symbol: code for code, symbol in table.items()} for table in FIXED)
    for token in (*tokens, 256):
        if isinstance(token, int):
            bits.code(symbols[token])
            continue
        for value, ranges, codes, first in zip(token, (LENGTHS, DISTANCES), (symbols, distances), (257, 0)):
            which = max(i for i, (base, _) in enumerate(ranges) if base <= value)
            bits.code(codes[first + which])
            bits.add(value - ranges[which][0], ranges[which][1])
    return bits


class Bits:
    def __init__(self):
        self.digits = []  # in the order of the stream

    def add(self, value, count):
        self.digits += [str(value >> i & 1) for i in range(count)]

    def code(self, code):
        """Adds a code with a leading 1, as in the tables above. Its highest bit comes first."""
        self.digits += f"{code:b}"[1:]

    def whole(self):
        return int("".join(reversed(self.digits)), 2).to_bytes((len(self.digits) + 7) // 8, "little")

    def message(self):
        """Returns the payload of a message: the bits and the beginning of an empty block."""
        self.add(0, 3)
        return self.whole()
