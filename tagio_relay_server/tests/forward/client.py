"""A client of the forward tunnel, written from docs/PROTOCOL.md alone.

client.py RELAY_PORT TOKEN TCP_PORT UDP_PORT: prints `ok` if all is as the page says.
"""

import asyncio
import hashlib
import os
import ssl
import struct
import sys

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import DatagramFrameReceived


class Client(QuicConnectionProtocol):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.datagrams = asyncio.Queue()

    def quic_event_received(self, event):
        super().quic_event_received(event)
        if isinstance(event, DatagramFrameReceived):
            self.datagrams.put_nowait(event.data)

    async def ask(self, request):
        """A stream, and the first byte that it is answered with."""
        reader, writer = await self.create_stream()
        writer.write(request)
        return reader, writer, await reader.readexactly(1)


def target(host, port):
    return struct.pack("!HB", port, len(host)) + host


async def main(relay, token, tcp, udp):
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=["mytunnel"], verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65536
    )
    async with connect("127.0.0.1", relay, configuration=configuration, create_protocol=Client) as client:
        reader, _, answer = await client.ask(b"\x02" + bytes([len(token)]) + token)
        assert answer == b"\x00", answer

        # The service says everything backwards, once it has heard the end.
        said = os.urandom(1 << 20)
        reader, writer, answer = await client.ask(b"\x01" + target(b"127.0.0.1", tcp))
        assert answer == b"\x00", answer
        writer.write(said)
        writer.write_eof()
        heard = await reader.read()
        assert hashlib.sha256(heard[::-1]).digest() == hashlib.sha256(said).digest(), len(heard)

        for host, port, reason in [(b"127.0.0.1", 1, 1), (b"10.0.0.1", 80, 4), (b"a b", 80, 5)]:
            reader, _, answer = await client.ask(b"\x01" + target(host, port))
            assert answer + await reader.read() == bytes([0xFF, reason]), (host, answer)
        reader, _, answer = await client.ask(b"\x09")
        assert answer + await reader.read() == b"\xff\x05", answer

        head = target(b"localhost", udp)
        for _ in range(20):
            client._quic.send_datagram_frame(head + b"question")
            client.transmit()
            try:
                reply = await asyncio.wait_for(client.datagrams.get(), 1)
                break
            except asyncio.TimeoutError:
                continue
        assert reply == head + b"question" * 2, reply
    print("ok")


asyncio.run(asyncio.wait_for(main(int(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3]), int(sys.argv[4])), 60))
