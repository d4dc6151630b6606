"""The cheapest client there can be in Python: epoll, read, look for the last chunk, forget the bytes.

    python yardstick.py PORT STREAMS REQUESTS RAMP_MS REQUEST_FILE      prints: CPU seconds of the load, wall seconds

It parses nothing, stamps nothing and keeps nothing, so it is no load generator: it is the part of the cost that any has.
"""

import select
import socket
import sys
import time
from pathlib import Path

LAST = b"0\r\n\r\n"


def main(port: int, streams: int, requests: int, ramp_s: float, request: bytes) -> None:
    poll, socks, tails = select.epoll(), [], {}
    for _ in range(streams):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poll.register(sock.fileno(), select.EPOLLIN)
        socks.append(sock)
    by_fd = {sock.fileno(): sock for sock in socks}
    left, done, opened = requests, 0, 0
    cpu, begin = time.process_time(), time.monotonic()
    while done < requests:
        while opened < streams and left and time.monotonic() - begin >= ramp_s * opened / streams:
            socks[opened].sendall(request)
            opened, left = opened + 1, left - 1
        for fd, _ in poll.poll(0.001 if opened < streams and left else 10, 256):
            sock = by_fd[fd]
            data = sock.recv(65536)
            if not data:
                sys.exit("the server closed")
            if not data.endswith(LAST) and (len(data) >= len(LAST) or not (tails.get(fd, b"") + data).endswith(LAST)):
                tails[fd] = data[-4:]
                continue
            tails[fd] = b""
            done += 1
            if left:
                left -= 1
                sock.sendall(request)
    print(time.process_time() - cpu, time.monotonic() - begin)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), float(sys.argv[4]) / 1e3, Path(sys.argv[5]).read_bytes())
