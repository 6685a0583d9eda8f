#!/usr/bin/env python3
"""A small model server for the tests of search.serve_command: vLLM's /v1/completions with prompt_logprobs over token
ids, from counts of the pairs of ids within the prompt, and /health, which answers 503 for its first half second.

  serve_ids.py --weights FOLDER --model NAME --host HOST --port PORT --note FILE
"""
import argparse
import http.server
import json
import math
import os
import pathlib
import sys
import time

VOCABULARY = 512


def logprobs(ids):
    """log p(ids[i] | ids[i - 1]) from what stood before it: add-one over pairs, then over single ids."""
    pairs, after, singles, out = {}, {}, {}, [None]
    for i in range(1, len(ids)):
        pair = (ids[i - 1], ids[i])
        single = (singles.get(ids[i], 0) + 1) / (i + VOCABULARY)
        out.append(math.log((pairs.get(pair, 0) + 2 * single) / (after.get(pair[0], 0) + 2)))
        pairs[pair] = pairs.get(pair, 0) + 1
        after[pair[0]] = after.get(pair[0], 0) + 1
        singles[ids[i]] = singles.get(ids[i], 0) + 1
    return out


def main():
    parser = argparse.ArgumentParser()
    for name in ("weights", "model", "host", "port", "note"):
        parser.add_argument("--" + name, required=True)
    options = parser.parse_args()
    weights = pathlib.Path(options.weights)
    files = sorted(path.name for path in weights.iterdir())
    config = json.loads((weights / "config.json").read_text())
    with open(options.note, "a") as note:
        note.write(json.dumps({"pid": os.getpid(), "model": options.model, "files": files,
                               "hidden_size": config["hidden_size"]}) + "\n")
    ready_at = time.monotonic() + 0.5

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.answer(200 if time.monotonic() > ready_at else 503, {})

        def do_POST(self):
            question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            ids = question["prompt"]
            if question["model"] != options.model:
                return self.answer(404, {"error": "no such model"})
            entries = [None if p is None else {str(i): {"logprob": p}} for i, p in zip(ids, logprobs(ids))]
            return self.answer(200, {"choices": [{"text": "", "prompt_logprobs": entries}],
                                     "usage": {"prompt_tokens": len(ids), "completion_tokens": 1}})

        def log_message(self, *words):
            pass

    print("serving", options.model, flush=True)
    http.server.ThreadingHTTPServer((options.host, int(options.port)), Handler).serve_forever()


if __name__ == "__main__":
    sys.exit(main())
