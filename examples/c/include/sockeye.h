/* A C interface to sockeye-core: one WebSocket connection without I/O, as a server.
 *
 * The caller moves the bytes and watches the clock. A session is used by one thread at a time. No
 * function takes NULL for a session; sockeye_free alone accepts it. */
#ifndef SOCKEYE_H
#define SOCKEYE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sockeye_session sockeye_session;

enum sockeye_event_kind {
    SOCKEYE_NONE,   /* nothing until bytes arrive, bytes are written, or time passes */
    SOCKEYE_OPEN,   /* the WebSocket is open */
    SOCKEYE_TEXT,   /* a message; data is valid UTF-8 */
    SOCKEYE_BINARY, /* a message */
    SOCKEYE_ENDED   /* the last event: free the session and close the transport */
};

/* data points into the session, and is valid until the next sockeye_poll_event or sockeye_free. */
struct sockeye_event {
    enum sockeye_event_kind kind;
    const uint8_t *data;
    size_t len;
};

/* Creates a session for a transport that has just been accepted. */
sockeye_session *sockeye_server(void);
void sockeye_free(sockeye_session *session);

/* Bytes in. Take all events after bytes have been received. Read no more from the transport while
 * sockeye_poll_transmit returns bytes: the session takes a message only while there is room for an
 * answer, and keeps the bytes that follow. */
void sockeye_receive(sockeye_session *session, const uint8_t *bytes, size_t len);
struct sockeye_event sockeye_poll_event(sockeye_session *session);

/* Bytes out. Returns NULL if there is nothing to write. Poll events again after a write. */
const uint8_t *sockeye_poll_transmit(const sockeye_session *session, size_t *len);
void sockeye_transmitted(sockeye_session *session, size_t written);

/* Time, in nanoseconds of a monotonic clock. Without a deadline, UINT64_MAX. */
uint64_t sockeye_poll_timeout(const sockeye_session *session);
void sockeye_handle_timeout(sockeye_session *session, uint64_t now);

/* The end. */
bool sockeye_wants_shutdown(const sockeye_session *session);
void sockeye_handle_eof(sockeye_session *session);

/* Both return false if nothing was queued: the WebSocket is not open, its queue is full, the text is
 * not UTF-8, or the code must not be sent. There is always room to answer a message. */
bool sockeye_send(sockeye_session *session, bool is_text, const uint8_t *data, size_t len);
bool sockeye_close(sockeye_session *session, uint16_t code);

#endif
