/* The cheapest client there can be: epoll, read, look for the last chunk, forget the bytes.
   usage: yardstick PORT STREAMS REQUESTS RAMP_MS REQUEST_FILE     prints: CPU seconds, wall seconds */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char request[65536], tail[65536][5], data[65536];
static long request_size;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(1); }

static void ask(int fd) { if (write(fd, request, request_size) != request_size) die("write"); }

int main(int argc, char **argv) {
    if (argc != 6) return 2;
    int port = atoi(argv[1]), streams = atoi(argv[2]), left = atoi(argv[3]), done = 0, total = left, opened = 0;
    double ramp = atof(argv[4]) / 1e3;
    FILE *file = fopen(argv[5], "rb");
    if (!file) die(argv[5]);
    request_size = fread(request, 1, sizeof request, file);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int poll = epoll_create1(0), one = 1, *fds = calloc(streams, sizeof *fds);
    for (int i = 0; i < streams; i++) {
        if ((fds[i] = socket(AF_INET, SOCK_STREAM, 0)) < 0 || fds[i] >= 65536) die("socket");
        if (connect(fds[i], (struct sockaddr *)&to, sizeof to)) die("connect");
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct epoll_event want = {.events = EPOLLIN, .data.fd = fds[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, fds[i], &want);
    }
    double begin = now();
    while (done < total) {
        for (; opened < streams && left && now() - begin >= ramp * opened / streams; opened++, left--) ask(fds[opened]);
        struct epoll_event events[256];
        int n = epoll_wait(poll, events, 256, opened < streams && left ? 1 : 10000);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            long size = read(fd, data, sizeof data);
            if (size <= 0) die("the server closed");
            long keep = size < 5 ? size : 5; /* the last five bytes of the stream so far */
            memmove(tail[fd], tail[fd] + keep, 5 - keep);
            memcpy(tail[fd] + 5 - keep, data + size - keep, keep);
            if (memcmp(tail[fd], "0\r\n\r\n", 5)) continue;
            memset(tail[fd], 0, 5);
            done++;
            if (left) { left--; ask(fd); }
        }
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("%f %f\n", used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
           now() - begin);
    return 0;
}
