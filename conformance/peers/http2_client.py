"""Opens WebSockets over HTTP/2 (RFC 8441) with the h2 library: http2_client.py PORT COUNT.

All of them are streams of one connection. Each echoes a text and a message of 100,000 bytes, and closes with 1000. Then the
server must end the stream.
"""

import socket
import struct
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

MASK = b"\x11\x22\x33\x44"
LONG = bytes(range(250)) * 400


def frame(first, payload):
    length = len(payload)
    if length < 126:
        head = bytes([first, 0x80 | length])
    elif length < 1 << 16:
        head = bytes([first, 0x80 | 126]) + struct.pack(">H", length)
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack(">Q", length)
    return head + MASK + bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))


def expected(first, payload):
    """Returns the frame that a server sends."""
    length = len(payload)
    if length < 126:
        return bytes([first, length]) + payload
    return bytes([first, 127]) + struct.pack(">Q", length) + payload


class Stream:
    def __init__(self, number):
        self.status = None
        self.received = bytearray()
        self.has_ended = False
        text = f"message of stream {number}".encode()
        close = struct.pack(">H", 1000)
        messages = [(0x81, text), (0x82, LONG), (0x88, close)]
        self.to_send = b"".join(frame(*message) for message in messages)
        self.wanted = b"".join(expected(*message) for message in messages)


def main(port, count):
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    connection.initiate_connection()
    transport = socket.create_connection(("127.0.0.1", port), 10)
    transport.settimeout(30)
    streams = {}

    def pump():
        """Sends what the windows allow, and handles what arrives."""
        for number, stream in streams.items():
            while stream.status == "200" and stream.to_send:
                room = min(connection.local_flow_control_window(number), connection.max_outbound_frame_size)
                if room == 0:
                    break
                connection.send_data(number, stream.to_send[:room])
                stream.to_send = stream.to_send[room:]
        transport.sendall(connection.data_to_send())
        data = transport.recv(1 << 16)
        assert data, "the server has closed the connection"
        for event in connection.receive_data(data):
            handle(event)

    def handle(event):
        stream = streams.get(getattr(event, "stream_id", None))
        if isinstance(event, h2.events.ResponseReceived):
            stream.status = next(value for name, value in event.headers if name in (":status", b":status"))
            stream.status = stream.status if isinstance(stream.status, str) else stream.status.decode()
        elif isinstance(event, h2.events.DataReceived):
            stream.received += event.data
            connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            stream.has_ended = True
        elif isinstance(event, h2.events.StreamReset):
            # RFC 9113 8.1: after a complete response a server may ask to end the rest of the request with NO_ERROR.
            assert stream.has_ended and event.error_code == 0, event
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise AssertionError(f"{event}")

    # RFC 8441 3: only a server that has sent the setting takes the method.
    while connection.remote_settings.enable_connect_protocol != 1:
        pump()
    for _ in range(count):
        number = connection.get_next_available_stream_id()
        streams[number] = Stream(number)
        headers = [
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "http"),
            (":authority", f"127.0.0.1:{port}"),
            (":path", "/ws"),
            ("sec-websocket-version", "13"),
        ]
        connection.send_headers(number, headers)
    while not all(stream.has_ended for stream in streams.values()):
        pump()
    for number, stream in streams.items():
        assert stream.received == stream.wanted, f"stream {number}: other bytes"
    print(f"ok\t{count} WebSockets on one connection\ndone\t1")


main(int(sys.argv[1]), int(sys.argv[2]))
