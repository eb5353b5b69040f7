"""A WebSocket service that echoes, and a client of it: `websocket.py serve PORT`, `websocket.py talk HOST PORT`."""

import asyncio
import sys

import websockets

PROTOCOL = "echo.tagio.test"
MESSAGES = ["hello", "", "grüße", bytes(range(256)) * 4096]


async def echo(socket, _path=None):
    async for message in socket:
        if message == "enough":
            await socket.close(4001, "as you like")
        else:
            await socket.send(message)


async def serve(port):
    async with websockets.serve(echo, "127.0.0.1", port, max_size=None, subprotocols=[PROTOCOL]):
        print("serving", flush=True)
        await asyncio.Future()


async def talk(name, port):
    at = {"host": "127.0.0.1", "port": int(port)}
    url = f"ws://{name}:{port}/chat"
    async with websockets.connect(url, max_size=None, subprotocols=[PROTOCOL], **at) as socket:
        assert socket.subprotocol == PROTOCOL, socket.subprotocol
        for message in MESSAGES:
            await socket.send(message)
            assert await socket.recv() == message
        await (await socket.ping())
        await socket.send("enough")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as closed:
            print(closed.rcvd.code, closed.rcvd.reason)


asyncio.run({"serve": serve, "talk": talk}[sys.argv[1]](*sys.argv[2:]))
