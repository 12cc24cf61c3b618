"""Reads an event stream and acknowledges each event as it comes."""

import json
import sys

import httpx

url = sys.argv[1]
events = []
with httpx.Client(timeout=30, trust_env=False) as client, httpx.Client(timeout=30, trust_env=False) as other:
    with client.stream("GET", url) as response:
        for line in response.iter_lines():
            if line.startswith("data: "):
                events.append(line.removeprefix("data: "))
                other.post(url, content=b"")
print(json.dumps({"events": events}))
