"""Says two things over a WebSocket, a ping between them, and closes."""

import asyncio
import json
import sys

from websockets.asyncio.client import connect


async def main():
    async with connect(sys.argv[1], proxy=None) as connection:
        await connection.send("hello")
        first = await connection.recv()
        await (await connection.ping())
        await connection.send("again")
        print(json.dumps({"answers": [first, await connection.recv()]}))


asyncio.run(main())
