"""Asks a name server through SOCKS 5 (RFC 1928, 7), two hundred names at once.

dns.py SOCKS_HOST:PORT DNS_PORT: prints `ok` if every answer is the right one.
"""

import socket
import struct
import sys

NAMES = 200
ADDRESS = socket.inet_aton("192.0.2.7")
# Of RFC 1928: reserved, no fragment; then the target as an address, or as a name.
TARGETS = [b"\0\0\0\1" + socket.inet_aton("127.0.0.1"), b"\0\0\0\3\x09localhost"]


def query(number):
    name = b"".join(bytes([len(label)]) + label for label in (b"n%d" % number, b"tagio", b"test"))
    return struct.pack("!6H", number, 0x0100, 1, 0, 0, 0) + name + b"\0" + struct.pack("!2H", 1, 1)


def main(proxy, port):
    host, proxy_port = proxy.rsplit(":", 1)
    control = socket.create_connection((host, int(proxy_port)))
    control.sendall(b"\5\1\0")
    assert control.recv(2) == b"\5\0"
    control.sendall(b"\5\3\0\1" + bytes(6))
    reply = control.recv(10)
    assert reply[:4] == b"\5\0\0\1", reply
    relay = (socket.inet_ntoa(reply[4:8]), struct.unpack("!H", reply[8:])[0])
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.settimeout(1)
    head = {target: target + struct.pack("!H", port) for target in TARGETS}
    missing = set(range(NAMES))
    # Datagrams may be lost: asked again, as every resolver does.
    for _ in range(20):
        for number in missing:
            udp.sendto(head[TARGETS[number % 2]] + query(number), relay)
        try:
            while missing:
                answer, sender = udp.recvfrom(2048)
                assert sender == relay, sender
                start = next(start for start in head.values() if answer.startswith(start))
                answer = answer[len(start) :]
                number, flags, _, answers = struct.unpack("!4H", answer[:8])
                assert flags & 0x800F == 0x8000 and answers == 1, answer
                assert answer.endswith(ADDRESS), answer
                missing.discard(number)
        except TimeoutError:
            continue
        break
    assert not missing, missing
    print("ok")


main(sys.argv[1], int(sys.argv[2]))
