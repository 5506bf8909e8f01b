#!/bin/sh
# Writes the seeds of `frames`, `ops`, `handshake`, `proxies` and `session`: inputs that reach far into the code.
set -eu
cd "$(dirname "$0")/seeds"

# Choices (server or client, limits), a seed for the cut, then frames.
printf '\036\005\201\205\067\372\041\075\177\237\115\121\130' > frames/text
printf '\177\005\201\005Hello\211\002hi\001\002\316\273\000\001\316\200\001\273\210\005\003\350bye' > frames/fragments
printf '\036\011\202\376\000\176\000\000\000\000%0126d' 0 > frames/length16
printf '\136\003\202\377\000\000\000\000\000\001\000\000\001\002\003\004%0300d' 0 > frames/length64
printf '\037\003\211\175%0125d\210\000' 0 > frames/control
printf '\037\003\001\001a\000\001b\200\001c\001\001a\000\001b\000\001c\200\001d' > frames/many
printf '\036\003\001\203\000\000\000\000\316\273\355\200\201\000\000\000\000\240' > frames/bad_text

# Configuration, then calls: a byte chooses the call (above 127 on the client), then come its sizes and bytes.
printf '\003\000\000\005\200\005\074\274\201\006\074\274\036\002hi\074\274\074' > ops/messages
printf '\103\000\000\310\074\003\310\074\274' > ops/fragments
printf '\000\000\024\001\003abc\036\001x\024\200\002de\056\010\132\003\074\274\246\000\003bye\274\074\274' > ops/parts
printf '\002\377\000\005\156\003\156\200\074\274\156\377\171\371' > ops/time
printf '\001\010\200\100\274\253\004\211\200\000\000\074\052\051\250\047\001' > ops/faults

# The side, a seed for the cut, then the bytes that arrive.
printf '\000\002GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: soap, chat\r\nCookie: a=b; c=d\r\nOrigin: http://example.com\r\n\r\n\201\200' > handshake/request
printf '\000\002POST /a?b HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc' > handshake/post
printf '\001\003HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n\201\000' > handshake/accepted
printf '\001\003HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nfoo\r\n0\r\n\r\n' > handshake/refused
printf '\012\0013;a=b\r\nfoo\r\n10\r\n0123456789abcdef\r\n0\r\nX: y\r\n\r\nGET' > handshake/chunked
printf '\003\004\025wss://host:81/p?q=1%%200123456789abcdef\000\004chat\000\000\002v2\000\001\006Origin\010http://a\003\003X-Y\001z' > handshake/both

# Choices (bit 0: calls; 1: a client; 4: HTTP), a seed for the cut, then the bytes of the peer or calls.
printf '\020\005GET /p HTTP/1.1\r\nHost: a\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nfooGET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n\201\202\000\000\000\000hi\001\201\000\000\000\000a\211\200\000\000\000\000\200\201\000\000\000\000b\210\200\000\000\000\000' > session/server
printf '\002\003HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\201\002hi\211\001p\210\002\003\350' > session/client
printf '\121\003\177GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSock\034et-Version: 13\r\n\r\n\201\202\000\000\000\000hi\264\160\240\226\002ok\160\240\252\202\377\341' > session/calls

# A choice (a header, addresses, or fields of either kind), a seed for the cut, then the bytes.
printf '\000\002PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\nGET' > proxies/v1
printf '\000\002\r\n\r\n\000\r\nQUIT\n\041\021\000\017\313\000\161\007\300\000\002\001\334\004\001\273\004\000\000GET' > proxies/v2
printf '\001\000\001\040\001\015\270' > proxies/addresses
printf '\002\0006.6.6.6, 203.0.113.7\n10.0.0.2, [fd00::1]:80' > proxies/list
printf '\005\000for=6.6.6.6;host=a, for="[2001:db8::7]:47"\nfor=10.0.0.2;proto=https, for=unknown, for=_x' > proxies/forwarded
