"""A Titan POP, written from the protocol's description alone, which tries a node: pop.py ECHO_PORT UDP_PORT.

Prints `pop PORT`, and `ok WHAT` for each thing that the node did right; then it closes the link, and expects the node
back.
"""

import asyncio
import json
import sys

import websockets

CREATE, DATA, CLOSE, UDP, HALF_CLOSE = 2, 3, 4, 5, 6
TOKEN = "a token of this POP"
UUID = "08bd0658-1f61-11f0-8061-8bd115314f4c"


def varint(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number, value):
    """A field of Protocol Buffers: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value else b""


def fields(data):
    """The fields of a message, by number."""
    found, at = {}, 0

    def read():
        nonlocal at
        number = shift = 0
        while True:
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while at < len(data):
        key = read()
        if key & 7 == 0:
            found[key >> 3] = read()
        else:
            assert key & 7 == 2, key
            length = read()
            found[key >> 3] = data[at : at + length]
            at += length
    return found


def message(kind, session, payload=b""):
    return field(1, kind) + field(2, session) + field(3, payload)


def say(line):
    print(line, flush=True)


class Pop:
    def __init__(self, echo, udp):
        self.echo, self.udp = echo, udp
        self.links = 0
        self.port = None

    async def http(self, reader, writer):
        """The bootstrap URL and the access point."""
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        here = self.http_port
        if path == "/bootstrap.json":
            answer = {"bootstraps": [f"http://127.0.0.1:{here}/bootstrap.json"],
                      "accesspoints": [f"http://127.0.0.1:{here}/moved"]}
        elif path.startswith("/moved"):
            rest = path.removeprefix("/moved")
            writer.write(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nConnection: close\r\n"
                         b"Location: /node/pop%s\r\n\r\n" % rest.encode())
            await writer.drain()
            return writer.close()
        else:
            assert path == f"/node/pop?nodeid={UUID}", path
            answer = {"server_url": f"ws://127.0.0.1:{self.port}/ws/node", "access_token": TOKEN}
        body = json.dumps(answer).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    async def link(self, socket, *_):
        path = getattr(socket, "path", None) or socket.request.path
        headers = getattr(socket, "request_headers", None) or socket.request.headers
        assert path.startswith(f"/ws/node?id={UUID}&os=") and path.endswith("&version=1.0.0"), path
        assert headers["Authorization"] == f"Bearer {TOKEN}"
        self.links += 1
        if self.links > 1:
            say("ok back")
            return await asyncio.Future()
        try:
            await self.try_node(socket)
        except Exception as error:  # noqa: BLE001, the test shows it
            say(f"failed {error!r}")
            raise

    async def try_node(self, socket):
        async def of(session):
            """The next message of a session; others are lost."""
            while True:
                got = fields(await socket.recv())
                if got[2] == session:
                    return got[1], got.get(3, b"")

        async def create(session, addr):
            await socket.send(message(CREATE, session, field(2, addr.encode())))

        waiter = await socket.ping(b"8 bytes!")
        await waiter
        say("ok pong")

        # Data before the answer, in order, then the end of one direction: all of it comes back, inverted.
        sent = bytes(range(256)) * 4096
        await create(b"early", f"localhost:{self.echo}")
        for at in range(0, len(sent), 32 * 1024):
            await socket.send(message(DATA, b"early", sent[at : at + 32 * 1024]))
        await socket.send(message(HALF_CLOSE, b"early"))
        kind, payload = await of(b"early")
        assert kind == CREATE and fields(payload) == {1: 1}, (kind, payload)
        got = bytearray()
        while True:
            kind, payload = await of(b"early")
            if kind != DATA:
                break
            got += payload
        assert bytes(byte ^ 0xFF for byte in got) == sent, len(got)
        if kind == HALF_CLOSE:
            kind, _ = await of(b"early")
        assert kind == CLOSE, kind
        say("ok session")

        await create(b"refused", "127.0.0.1:1")
        kind, payload = await of(b"refused")
        assert kind == CREATE and 1 not in fields(payload) and fields(payload)[2], payload
        await create(b"private", "10.0.0.1:80")
        kind, payload = await of(b"private")
        assert kind == CREATE and b"not allowed" in fields(payload)[2], payload
        await create(b"nonsense", "no port")
        kind, payload = await of(b"nonsense")
        assert kind == CREATE and 1 not in fields(payload), payload
        say("ok refusals")

        datagram = field(1, f"localhost:{self.udp}".encode()) + field(2, b"abc")
        for _ in range(2):
            await socket.send(message(UDP, b"flow", datagram))
            assert await of(b"flow") == (UDP, b"cba")
        say("ok datagrams")

        # What makes no sense to a node does it no harm.
        for odd in (DATA, HALF_CLOSE, CLOSE, 1, 99):
            await socket.send(message(odd, b"nobody", b"x"))
        await create(b"closed", f"127.0.0.1:{self.echo}")
        await socket.send(message(CLOSE, b"closed"))
        waiter = await socket.ping(b"8 bytes!")
        await waiter
        say("ok odd")
        await socket.close()


async def main(echo, udp):
    pop = Pop(int(echo), int(udp))
    http = await asyncio.start_server(pop.http, "127.0.0.1", 0)
    pop.http_port = http.sockets[0].getsockname()[1]
    async with websockets.serve(pop.link, "127.0.0.1", 0, max_size=None) as server:
        pop.port = list(server.sockets)[0].getsockname()[1]
        say(f"pop {pop.http_port}")
        await asyncio.Future()


asyncio.run(main(*sys.argv[1:]))
