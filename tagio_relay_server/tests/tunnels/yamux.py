"""A client of the reverse tunnel, written from its first page and yamux's specification alone.

`yamux.py CONTROL_PORT LOCAL_PORT`: one TCP connection to the relay, a stream of yamux per visitor, each to the service.
"""

import asyncio
import struct
import sys

HEADER = struct.Struct(">BBHII")
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
WINDOW_BYTES = 256 * 1024
PIECE_BYTES = 16 * 1024


class Reset(Exception):
    pass


class Stream:
    def __init__(self, session, number):
        self.session, self.number = session, number
        self.received = asyncio.Queue()
        self.credit, self.more_credit = WINDOW_BYTES, asyncio.Event()

    async def read(self):
        piece = await self.received.get()
        if piece is None:
            raise Reset
        if piece:
            self.session.send(WINDOW_UPDATE, 0, self.number, len(piece))
        return piece

    async def write(self, piece):
        while piece:
            while not self.credit:
                self.more_credit.clear()
                await self.more_credit.wait()
            part, piece = piece[: self.credit], piece[self.credit :]
            self.credit -= len(part)
            self.session.send(DATA, 0, self.number, len(part), part)
            await self.session.writer.drain()

    def end(self):
        self.session.send(DATA, FIN, self.number, 0)


class Session:
    def __init__(self, reader, writer, local):
        self.reader, self.writer, self.local = reader, writer, local
        self.streams = {}
        self.visits = set()

    def send(self, kind, flags, number, length, payload=b""):
        self.writer.write(HEADER.pack(0, kind, flags, number, length) + payload)

    async def serve(self):
        while True:
            header = await self.reader.readexactly(HEADER.size)
            version, kind, flags, number, length = HEADER.unpack(header)
            assert version == 0, header
            if kind == PING:
                if flags & SYN:
                    self.send(PING, ACK, 0, length)
            elif kind == GO_AWAY:
                return
            else:
                await self.frame(kind, flags, number, length)

    async def frame(self, kind, flags, number, length):
        payload = await self.reader.readexactly(length) if kind == DATA else b""
        if flags & SYN:
            # Streams of the relay, which was dialled, have even numbers.
            assert number % 2 == 0 and number not in self.streams, number
            stream = self.streams[number] = Stream(self, number)
            self.send(WINDOW_UPDATE, ACK, number, 0)
            visit = asyncio.create_task(self.visit(stream))
            self.visits.add(visit)
            visit.add_done_callback(self.visits.discard)
        stream = self.streams.get(number)
        if stream is None:
            return
        if kind == WINDOW_UPDATE:
            stream.credit += length
            stream.more_credit.set()
        if payload:
            stream.received.put_nowait(payload)
        if flags & FIN:
            stream.received.put_nowait(b"")
        if flags & RST:
            stream.received.put_nowait(None)

    async def visit(self, stream):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.local)
        except OSError:
            self.send(DATA, RST, stream.number, 0)
            return
        outward = asyncio.create_task(self.outward(reader, stream))
        try:
            while piece := await stream.read():
                writer.write(piece)
                await writer.drain()
            # The visitor has said all; it may still listen.
            writer.write_eof()
            await outward
        except Reset:
            outward.cancel()
        except ConnectionError:
            self.send(DATA, RST, stream.number, 0)
            outward.cancel()
        finally:
            writer.close()
            del self.streams[stream.number]

    async def outward(self, reader, stream):
        while piece := await reader.read(PIECE_BYTES):
            await stream.write(piece)
        stream.end()


async def main(control, local):
    # It says nothing before it is asked for something, as old clients do.
    reader, writer = await asyncio.open_connection("127.0.0.1", control)
    await Session(reader, writer, local).serve()


asyncio.run(main(*map(int, sys.argv[1:])))
