"""A Titan edge node, written from the protocol's description alone: node.py ACCESS_POINT UUID."""

import asyncio
import json
import sys
import urllib.request

import websockets

CREATE, DATA, CLOSE, UDP, HALF_CLOSE = 2, 3, 4, 5, 6


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


class Node:
    def __init__(self, socket):
        self.socket = socket
        self.sessions = {}
        self.flows = {}

    async def serve(self):
        async for data in self.socket:
            got = fields(data)
            session, payload = got[2], got.get(3, b"")
            if got[1] == CREATE:
                queue = self.sessions[session] = asyncio.Queue()
                asyncio.create_task(self.session(session, fields(payload)[2].decode(), queue))
            elif got[1] in (DATA, HALF_CLOSE, CLOSE) and session in self.sessions:
                self.sessions[session].put_nowait((got[1], payload))
            elif got[1] == UDP:
                await self.datagram(session, fields(payload))

    async def session(self, session, addr, queue):
        host, port = addr.rsplit(":", 1)
        try:
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except OSError as error:
            reply = field(2, str(error).encode())
            await self.socket.send(message(CREATE, session, reply))
            return
        await self.socket.send(message(CREATE, session, field(1, 1)))
        writing = asyncio.create_task(self.write(writer, queue))
        while data := await reader.read(32 * 1024):
            await self.socket.send(message(DATA, session, data))
        writing.cancel()
        writer.close()
        await self.socket.send(message(CLOSE, session))
        del self.sessions[session]

    async def write(self, writer, queue):
        while True:
            kind, payload = await queue.get()
            if kind == DATA:
                writer.write(payload)
                await writer.drain()
            elif kind == HALF_CLOSE:
                writer.write_eof()
            else:
                writer.close()
                return

    async def datagram(self, session, datagram):
        if session not in self.flows:
            host, port = datagram[1].decode().rsplit(":", 1)
            loop = asyncio.get_running_loop()
            self.flows[session], _ = await loop.create_datagram_endpoint(
                lambda: Flow(self, session), remote_addr=(host, int(port))
            )
        self.flows[session].sendto(datagram[2])


class Flow(asyncio.DatagramProtocol):
    def __init__(self, node, session):
        self.node, self.session = node, session

    def datagram_received(self, data, _addr):
        asyncio.create_task(self.node.socket.send(message(UDP, self.session, data)))


async def main(access_point, uuid):
    with urllib.request.urlopen(f"{access_point}?nodeid={uuid}") as answer:
        pop = json.load(answer)
    url = f"{pop['server_url']}?id={uuid}&os=linux&version=1.0.0"
    headers = {"Authorization": f"Bearer {pop['access_token']}"}
    # The argument has another name from version 14 on.
    named = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"
    async with websockets.connect(url, max_size=None, **{named: headers}) as socket:
        await Node(socket).serve()


asyncio.run(main(*sys.argv[1:]))
