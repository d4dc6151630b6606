/* A server that is as fast as one core allows, so that the client is what is measured: it gives every request the reply in
   REPLY_FILE, one write() for each of its chunks, one behind the other, with ids of its own in every one.
   usage: yardstick_server REPLY_FILE SECONDS     prints its port; ends when its standard input does, or after SECONDS */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_PIECES = 4096, MOST_BYTES = 1 << 20, MOST_FDS = 65536, REQUEST_BYTES = 16384, MOST_IDS = 4, ID_DIGITS = 32 };

/* What one write() sends. At each of `ids` stand 32 digits that number the reply. */
struct piece { const char *data; long size, ids[MOST_IDS]; int n_ids; };
struct request { long size; char data[REQUEST_BYTES]; };

static char reply[MOST_BYTES];
static struct piece pieces[MOST_PIECES];
static int n_pieces;
static struct request *requests[MOST_FDS];

static void die(const char *what) { perror(what); exit(1); }

static void refuse(const char *why) { fprintf(stderr, "%s\n", why); exit(1); }

static void add_piece(const char *from, const char *to) {
    if (n_pieces == MOST_PIECES) refuse("the reply has too many chunks");
    struct piece *piece = &pieces[n_pieces++];
    piece->data = from;
    piece->size = to - from;
    const char mark[] = "\"id\":\"chatcmpl-";
    for (const char *at = from; (at = memmem(at, to - at, mark, strlen(mark)));) {
        at += strlen(mark);
        if (piece->n_ids == MOST_IDS || to - at < ID_DIGITS) refuse("the reply has a chunk of another form");
        piece->ids[piece->n_ids++] = at - from;
    }
}

/* The head goes with the first chunk, and the end of the body with the last one, as servers write them. */
static void read_reply(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    long size = fread(reply, 1, sizeof reply, file);
    char *end = reply + size, *body = memmem(reply, size, "\r\n\r\n", 4);
    if (!body || size < 5 || size == sizeof reply || memcmp(end - 5, "0\r\n\r\n", 5)) refuse("not a whole reply in chunks");
    char *from = reply;
    for (char *at = body + 4; at < end - 5;) {
        char *data;
        long length = strtol(at, &data, 16);
        at = data + 2 + length + 2;
        if (length <= 0 || at > end - 5) refuse("the reply has a chunk of another form");
        char *to = at == end - 5 ? end : at;
        add_piece(from, to);
        from = to;
    }
}

/* Whether the request is there in full. */
static int complete(const struct request *request) {
    char *body = memmem(request->data, request->size, "\r\n\r\n", 4);
    if (!body) return 0;
    char *length = strcasestr(request->data, "\r\ncontent-length:");
    long want = length && length < body ? atol(length + strlen("\r\ncontent-length:")) : 0;
    return request->data + request->size - (body + 4) >= want;
}

static void answer(int fd) {
    static unsigned long n;
    static char data[MOST_BYTES];
    char digits[ID_DIGITS + 1];
    snprintf(digits, sizeof digits, "%0*lx", ID_DIGITS, ++n);
    for (int i = 0; i < n_pieces; i++) {
        memcpy(data, pieces[i].data, pieces[i].size);
        for (int k = 0; k < pieces[i].n_ids; k++) memcpy(data + pieces[i].ids[k], digits, ID_DIGITS);
        if (write(fd, data, pieces[i].size) != pieces[i].size) return; /* it is gone, which the next read will tell */
    }
}

static void serve(int fd) {
    struct request *request = requests[fd];
    long size = read(fd, request->data + request->size, REQUEST_BYTES - 1 - request->size);
    if (size <= 0) { close(fd); return; } /* gone, or a request that is longer than any that is served here */
    request->size += size;
    request->data[request->size] = 0;
    if (!complete(request)) return;
    request->size = 0;
    answer(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    read_reply(argv[1]);
    alarm(atoi(argv[2]));
    signal(SIGPIPE, SIG_IGN);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof here;
    int door = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0), one = 1;
    if (door < 0 || bind(door, (struct sockaddr *)&here, length) || listen(door, 4096)) die("listen");
    getsockname(door, (struct sockaddr *)&here, &length);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    for (int i = 0; i < 2; i++) {
        struct epoll_event want = {.events = EPOLLIN, .data.fd = i ? door : STDIN_FILENO};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, want.data.fd, &want)) die("epoll_ctl");
    }
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(poll, events, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) return 0;
            if (fd != door) { serve(fd); continue; }
            if ((fd = accept(door, 0, 0)) < 0 || fd >= MOST_FDS) die("accept");
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (!requests[fd]) requests[fd] = malloc(sizeof *requests[fd]);
            requests[fd]->size = 0;
            struct epoll_event want = {.events = EPOLLIN, .data.fd = fd};
            epoll_ctl(poll, EPOLL_CTL_ADD, fd, &want);
        }
    }
}
