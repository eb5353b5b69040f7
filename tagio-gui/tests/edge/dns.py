"""Asks a name server through SOCKS5 (RFC 1928), written from the RFCs alone: dns.py SOCKS_PORT DNS_PORT NAME PAUSE.

Prints `udp ADDRESS` for an answer by UDP ASSOCIATE, waits PAUSE seconds on the same association, prints `again ADDRESS`,
then `tcp ADDRESS` for one by CONNECT.
"""

import socket
import struct
import sys
import time

socks_port, dns_port, pause = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[4])
NAME = sys.argv[3].encode()
SERVER = b"\x01" + socket.inet_aton("127.0.0.1") + struct.pack(">H", dns_port)


def read(stream, count):
    data = b""
    while len(data) < count:
        more = stream.recv(count - len(data))
        assert more, "closed early"
        data += more
    return data


def ask_proxy(command, address):
    stream = socket.create_connection(("127.0.0.1", socks_port), 20)
    stream.sendall(b"\x05\x01\x00")
    assert read(stream, 2) == b"\x05\x00"
    stream.sendall(b"\x05" + bytes([command]) + b"\x00" + address)
    reply = read(stream, 10)
    assert reply[:2] == b"\x05\x00" and reply[3] == 1, reply
    return stream, (socket.inet_ntoa(reply[4:8]), struct.unpack(">H", reply[8:])[0])


def query(number):
    labels = b"".join(bytes([len(label)]) + label for label in NAME.split(b"."))
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + b"\x00\x00\x01\x00\x01"


def address(answer, number):
    got, flags, _, answers, _, _ = struct.unpack(">HHHHHH", answer[:12])
    assert got == number and flags & 0x800F == 0x8000 and answers == 1, answer
    return socket.inet_ntoa(answer[-4:])


def by_udp(user, door, number):
    # A datagram may be lost: asked again, as every resolver does.
    for _ in range(10):
        user.sendto(b"\x00\x00\x00" + SERVER + query(number), door)
        try:
            datagram, _ = user.recvfrom(2048)
        except socket.timeout:
            continue
        assert datagram[:10] == b"\x00\x00\x00" + SERVER, datagram
        return address(datagram[10:], number)
    raise SystemExit("no answer")


control, door = ask_proxy(3, b"\x01" + bytes(6))
user = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
user.settimeout(2)
print("udp", by_udp(user, door, 1), flush=True)
time.sleep(pause)
print("again", by_udp(user, door, 2), flush=True)
control.close()

stream, _ = ask_proxy(1, SERVER)
asked = query(3)
stream.sendall(struct.pack(">H", len(asked)) + asked)
length = struct.unpack(">H", read(stream, 2))[0]
print("tcp", address(read(stream, length), 3), flush=True)
