"""Upstreams for the end-to-end tests. Each prints its port and serves until it is killed."""

import base64
import hashlib
import http.server
import io
import json
import ssl
import sys
import threading
import zipfile


def serve(handler, certificate=None, key=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, body, content_type="application/json", status=200):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Json(Quiet):
    def do_GET(self):
        self.answer(json.dumps({"path": self.path}).encode())


class Events(Quiet):
    """Sends an event only after the one before was acknowledged, so that nothing but a live stream passes."""

    acknowledged = threading.Semaphore(0)

    def do_POST(self):
        Events.acknowledged.release()
        self.answer(b"{}")

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, word in enumerate(["one", "two", "three"]):
            data = f"id: {number}\ndata: {word}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if not Events.acknowledged.acquire(timeout=20):
                return
        self.wfile.write(b"0\r\n\r\n")


def sample_wheel():
    """A package small enough to be made here."""
    name = "mimeo_sample-1.0.dist-info"
    files = {
        "mimeo_sample.py": "",
        f"{name}/METADATA": "Metadata-Version: 2.1\nName: mimeo-sample\nVersion: 1.0\n",
        f"{name}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},{len(text)}\n"
        for path, text in files.items()
    )
    files[f"{name}/RECORD"] = record + f"{name}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as wheel:
        for path, text in files.items():
            wheel.writestr(path, text)
    return out.getvalue()


class Index(Quiet):
    wheel = sample_wheel()

    def do_GET(self):
        file = "mimeo_sample-1.0-py3-none-any.whl"
        if self.path == "/simple/mimeo-sample/":
            self.answer(f'<!DOCTYPE html><a href="/files/{file}">{file}</a>'.encode(), "text/html")
        elif self.path == f"/files/{file}":
            self.answer(Index.wheel, "application/octet-stream")
        else:
            self.answer(b"not here", "text/plain", 404)


def websocket():
    import asyncio

    from websockets.asyncio.server import serve as serve_websocket

    async def echo(connection):
        async for message in connection:
            await connection.send(f"echo: {message}")

    async def main():
        async with serve_websocket(echo, "127.0.0.1", 0) as server:
            print(server.sockets[0].getsockname()[1], flush=True)
            await server.serve_forever()

    asyncio.run(main())


def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    print(port, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    kind, *rest = sys.argv[1:]
    if kind == "websocket":
        websocket()
    elif kind == "moto":
        moto()
    else:
        serve({"sse": Events, "https": Json, "index": Index}[kind], *rest)
