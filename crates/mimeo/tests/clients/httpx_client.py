"""Asks for a URL over HTTP/2 through a proxy, trusting one CA."""

import json
import ssl
import sys

import httpx

url, proxy, ca = sys.argv[1:]
with httpx.Client(http2=True, proxy=proxy, verify=ssl.create_default_context(cafile=ca), timeout=30, trust_env=False) as client:
    response = client.get(url)
    print(json.dumps({"status": response.status_code, "version": response.http_version}))
