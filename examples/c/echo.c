/* An echo server in C: one thread, poll(2), and a session for each connection. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "sockeye.h"

enum { MAX_PEERS = 256 };

struct peer {
    int socket;
    sockeye_session *session;
};

static volatile sig_atomic_t stopped;

static void stop(int number) {
    (void)number;
    stopped = 1;
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* Does everything that is possible without waiting. Returns false when the connection is over. */
static bool pump(struct peer *peer) {
    for (;;) {
        struct sockeye_event event;
        sockeye_handle_timeout(peer->session, now()); /* has no effect before it is due */
        while ((event = sockeye_poll_event(peer->session)).kind != SOCKEYE_NONE) {
            if (event.kind == SOCKEYE_ENDED)
                return false;
            /* Both fail only while the connection is closing. */
            if (event.kind == SOCKEYE_TEXT && event.len == 3 && memcmp(event.data, "bye", 3) == 0)
                sockeye_close(peer->session, 1000);
            else if (event.kind == SOCKEYE_TEXT || event.kind == SOCKEYE_BINARY)
                sockeye_send(peer->session, event.kind == SOCKEYE_TEXT, event.data, event.len);
        }

        size_t len;
        const uint8_t *bytes = sockeye_poll_transmit(peer->session, &len);
        if (bytes) {
            ssize_t written = send(peer->socket, bytes, len, MSG_NOSIGNAL);
            if (written < 0)
                return errno == EAGAIN || errno == EINTR;
            sockeye_transmitted(peer->session, (size_t)written);
            continue; /* there is room for more events */
        }
        if (sockeye_wants_shutdown(peer->session))
            shutdown(peer->socket, SHUT_WR);

        uint8_t chunk[16384];
        ssize_t n = recv(peer->socket, chunk, sizeof chunk, 0);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        if (n == 0)
            sockeye_handle_eof(peer->session);
        sockeye_receive(peer->session, chunk, (size_t)n);
    }
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    address.sin_port = htons(argc > 1 ? (uint16_t)atoi(argv[1]) : 9501);
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) {
        perror("cannot listen");
        return 1;
    }
    fcntl(listener, F_SETFL, O_NONBLOCK);
    struct sigaction action = {.sa_handler = stop};
    sigaction(SIGINT, &action, NULL);

    static struct peer peers[MAX_PEERS];
    static struct pollfd polled[MAX_PEERS + 1];
    nfds_t count = 0;
    bool pauses = false; /* accept has failed, most likely for lack of file descriptors */
    while (!stopped) {
        uint64_t next = UINT64_MAX, time = now();
        for (nfds_t i = 0; i < count; i++) {
            size_t len;
            bool writes = sockeye_poll_transmit(peers[i].session, &len) != NULL;
            polled[i] = (struct pollfd){.fd = peers[i].socket, .events = writes ? POLLOUT : POLLIN};
            uint64_t timeout = sockeye_poll_timeout(peers[i].session);
            next = timeout < next ? timeout : next;
        }
        polled[count] = (struct pollfd){.fd = listener, .events = count < MAX_PEERS && !pauses ? POLLIN : 0};
        if (pauses && next > time + 100000000u)
            next = time + 100000000u;
        uint64_t wait = next > time ? (next - time) / 1000000 + 1 : 0;
        poll(polled, count + 1, next == UINT64_MAX ? -1 : wait > 60000 ? 60000 : (int)wait);

        int socket = count < MAX_PEERS ? accept(listener, NULL, NULL) : -1;
        pauses = socket < 0 && count < MAX_PEERS && errno != EAGAIN && errno != EINTR;
        if (socket >= 0) {
            fcntl(socket, F_SETFL, O_NONBLOCK);
            peers[count] = (struct peer){socket, sockeye_server()};
            polled[count++].revents = POLLIN;
        }
        for (nfds_t i = count; i-- > 0;) {
            if ((polled[i].revents == 0 && sockeye_poll_timeout(peers[i].session) > now()) || pump(&peers[i]))
                continue;
            sockeye_free(peers[i].session);
            close(peers[i].socket);
            peers[i] = peers[--count];
        }
    }
    while (count-- > 0) {
        sockeye_free(peers[count].session);
        close(peers[count].socket);
    }
    return 0;
}
