#!/bin/sh
# Writes the seeds of `frames`, `ops`, `handshake`, `proxies`, `session` and `server`: inputs that reach far into the code.
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

# A script (settings, then calls), or the streams of several clients (settings, then what each sends).
printf '\000\000\000\000\000\000\000\000\000\010\005\044\000\006\001hello\044\004\004text4\044\011\001p\044\013\002\003\3504\074' > server/echo
printf '\000\000\000\000\000\000\000\000\000\014\000\000\014\140\005\014 \011\0148\0114\014\001\000P\014Y\003LL4' > server/http
printf '\000\001\001\000\000\030\020\000\001\001\002\010\000\011\000444445l\227d\210\214\050\044\000\002\000x8\036\241\310H\3104m\377E4' > server/slow
printf '\000\000\000\000\000\001 \000\000\001\024\010\001\011\006P\044\000\005\002wait\030\000\377\030\000\377\031\000\377\024\024\000\002\001a\041\000\377\220\2454P\100L' > server/gate
printf '\000\000\006\000\003\000\000\000\000\010\020\034\001\002d\034\001\000\074P\034\000\000\050\044\010\0004\034\001\000\3774' > server/deflate
printf '\000\000\000\020\000\000\007\000\000\020\020\010\000\001P\021\023\011 \002\000\022\043\012\004\003\000\023\002\251P456' > server/proxy
printf '\000\0008\007\000\000\000\000\000\010\005\044\011\004ping\044\012\004pong\204\044\000\007\000pausedt\001x\210\224\000\001a\224\003\001b\230d\200\001\044\013\003\003\350\0414H\240LL' > server/control
printf '\000\002\000\000\000\000\000\000\001\001\000\002\000\010\000\011\000\012\001h\045\000\001\002\140d2LPL\134\012X\003\000L45' > server/shutdown
printf '\000\000\001\100\000\010\000\000\000\010\005\024\036\000\003\001ab\044\000\005\014wait\024\011\004\002\001b\214\310P\044\000\001\023\044\000\001\0044' > server/threads
printf '\000\000\000\000\000\000\000\000D\001\230\002 \010\000\011\000\012\000\045\000\004\005all\046\000\006\012large56\174y\234\076' > server/faults
printf '\001\000\000\000\000\000D\002\001\002\140\007\001\005\010\004\002Hi\010\005\001a\010\011\001p\010\010\001b\010\013\005\003\350bye\000\001\000\004\011\000\003abc\010\000\005\025wait\005\000\310\010\000\006\024close\010\000\001x\000' > server/chunks
printf '\001\004\007\000\000\000\230\005\001\001\020\006\001A\310\010\000\005\025wait\006\001BZ\006\000B\011\010\010\000\007\0002\000\014\022GET / HTTP/1.0\015\012\015\012\000' > server/chunks_deflate
