"""An inflater (RFC 1951) that shares nothing with zlib: bit by bit, and it notes how far back a stream refers.

zlib cannot be asked for a window of 8 bits without its own header, and takes what reaches beyond a window that it was
asked for where the bytes happen to be there. Here every distance is looked at.
"""


class Corrupt(Exception):
    """No deflate stream, or one that refers to where nothing is."""


def code_of(lengths):
    """The canonical code of RFC 1951 3.2.2, as {code with a leading 1: symbol}."""
    code, table = 1, {}
    for length in range(1, 16):
        code <<= 1
        for symbol, each in enumerate(lengths):
            if each == length:
                if code >= 2 << length:
                    raise Corrupt("more codes than there is room for")
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
    """A direction of a connection. Messages refer back to each other if it is used for more than one."""

    def __init__(self):
        self.output = bytearray()
        self.start = 0  # where the stream began: behind a block with BFINAL another one begins
        self.furthest = 0

    def message(self, data):
        """Inflates a message to which the end of an empty block is added (RFC 7692 7.2.2)."""
        begin = len(self.output)
        self.data, self.at, self.held, self.count = data + EMPTY_BLOCK, 0, 0, 0
        final = False
        while final or self.at < len(self.data) or self.count:
            if final:
                self.held = self.count = 0
                self.start = len(self.output)
            # Behind a block with BFINAL the rest of the last byte is nothing.
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
        raise Corrupt("no such code")

    def block(self):
        """Returns whether it was the last one."""
        final, kind = self.bits(1), self.bits(2)
        if kind == 0:
            self.held = self.count = 0
            size, complement = self.bits(16), self.bits(16)
            if size != complement ^ 0xFFFF or self.at + size > len(self.data):
                raise Corrupt("a stored block of another length")
            self.output += self.data[self.at : self.at + size]
            self.at += size
        elif kind == 1:
            self.coded(*FIXED)
        elif kind == 2:
            self.coded(*self.tables())
        else:
            raise Corrupt("no such kind of block")
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
            raise Corrupt("more lengths than announced")
        return code_of(lengths[:symbols]), code_of(lengths[symbols:])

    def coded(self, symbols, distances):
        output = self.output
        while (symbol := self.symbol(symbols)) != 256:
            if symbol < 256:
                output.append(symbol)
                continue
            if symbol > 285:
                raise Corrupt("no such length")
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


# --- The other way, for what no compressor makes ----------------------------------------------------------------


def fixed_block(*tokens, final=False):
    """A block with the fixed codes: bytes as numbers, repetitions as (length, distance). Not ended at a byte."""
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
        self.digits = []  # the first bit first

    def add(self, value, count):
        self.digits += [str(value >> i & 1) for i in range(count)]

    def code(self, code):
        """A code with a leading 1, as in the tables above: its highest bit goes first."""
        self.digits += f"{code:b}"[1:]

    def whole(self):
        return int("".join(reversed(self.digits)), 2).to_bytes((len(self.digits) + 7) // 8, "little")

    def message(self):
        """As the payload of a message: followed by an empty block, whose end is left out."""
        self.add(0, 3)
        return self.whole()
