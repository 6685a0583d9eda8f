// The Python programs of eval/scoring/grader.h. Messages between them are one JSON value a line; values are
// tagged so that only plain built-in data can be expressed, and rebuilt with their exact types.
#include "eval/scoring/grader.h"

namespace retrace::eval {

const char* const kValueCodec = R"py(
import json, sys
MAX_LINE = 16 << 20
MAX_DEPTH = 100
if hasattr(sys, "set_int_max_str_digits"): sys.set_int_max_str_digits(0)

def pack(x, depth=0):
    if depth > MAX_DEPTH: raise ValueError("a value is nested too deeply")
    if x is None or x is True or x is False: return x
    if isinstance(x, int): return {"i": format(int.__index__(x), "x")}
    if isinstance(x, float): return {"f": float.hex(x)}
    if isinstance(x, complex):
        x = complex.__pos__(x)
        return {"c": [x.real.hex(), x.imag.hex()]}
    if isinstance(x, str): return str.__str__(x)
    if isinstance(x, (bytes, bytearray)): return {"b": bytes(x).hex()}
    down = lambda items: [pack(y, depth + 1) for y in items]
    if isinstance(x, list): return {"l": down(list.__iter__(x))}
    if isinstance(x, tuple): return {"t": down(tuple.__iter__(x))}
    if isinstance(x, set): return {"s": down(set.__iter__(x))}
    if isinstance(x, frozenset): return {"z": down(frozenset.__iter__(x))}
    if isinstance(x, dict): return {"d": [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in dict.items(x)]}
    if isinstance(x, range): return {"r": [format(v, "x") for v in (x.start, x.stop, x.step)]}
    if hasattr(type(x), "__next__"):
        items = []
        for y in x:
            items.append(pack(y, depth + 1))
            if len(items) > 100000: raise ValueError("an iterator does not end")
        return {"n": items}
    return {"o": type(x).__name__[:100]}

class Foreign:
    """Stands for an object that is no plain value; equal to nothing but itself."""

def unpack(x, depth=0):
    if depth > MAX_DEPTH: raise ValueError("a value is nested too deeply")
    if x is None or type(x) in (bool, str): return x
    if type(x) is not dict or len(x) != 1: raise ValueError("an answer breaks the protocol")
    (tag, v), = x.items()
    up = lambda items: [unpack(y, depth + 1) for y in items]
    if tag == "i": return int(v, 16)
    if tag == "f": return float.fromhex(v)
    if tag == "c": return complex(float.fromhex(v[0]), float.fromhex(v[1]))
    if tag == "b": return bytes.fromhex(v)
    if tag == "l": return up(v)
    if tag == "t": return tuple(up(v))
    if tag == "s": return set(up(v))
    if tag == "z": return frozenset(up(v))
    if tag == "d": return {unpack(k, depth + 1): unpack(w, depth + 1) for k, w in v}
    if tag == "r": return range(*(int(w, 16) for w in v))
    if tag == "n": return iter(up(v))
    if tag == "o": return Foreign()
    raise ValueError("an answer breaks the protocol")

def send(stream, message):
    line = json.dumps(message).encode() + b"\n"
    if len(line) > MAX_LINE: raise ValueError("an answer is too large")
    stream.write(line)
    stream.flush()

def receive(stream):
    line = stream.readline(MAX_LINE + 1)
    if not line.endswith(b"\n"): raise EOFError("the candidate's process ended" if not line else "an answer is too large")
    return json.loads(line)
)py";

// Descriptors 3 and 4: the socket to the harness, to read from and to write to.
const char* const kWorkerProgram = R"py(
def serve():
    channel = open(3, "rb"), open(4, "wb")
    send(channel[1], "hello")
    job = receive(channel[0])
    space = {"__name__": "candidate"}
    def attempt(action):
        try:
            return {"value": pack(action())}
        except BaseException as e:
            kind = type(e)
            try: text = str(e)[:500]
            except BaseException: text = ""
            return {"raised": kind.__name__[:100], "text": text}
    def load():
        exec(compile(job["source"], "candidate.py", "exec"), space)
        if not callable(space.get(job["entry"])): raise NameError("the completion does not define " + job["entry"])
    send(channel[1], attempt(load))
    function = space.get(job["entry"])
    while True:
        try: call = receive(channel[0])
        except EOFError: return
        args = unpack(call["args"])
        named = unpack(call["named"])
        answer = attempt(lambda: function(*args, **named))
        try: send(channel[1], answer)
        except (ValueError, MemoryError) as e: send(channel[1], {"raised": type(e).__name__, "text": str(e)})
serve()
)py";

// Descriptor 3: the job; 4: the verdict's pipe; 5 and 6: the socket to the worker, likewise.
const char* const kHarnessProgram = R"py(
import builtins, os
class Candidate(Exception):
    """Something that ends the check and is the candidate's doing."""

def main():
    job = json.loads(open(3, "rb").read())
    out = open(4, "wb")
    source, sink = open(5, "rb"), open(6, "wb")
    def verdict(kind, text=""):
        send(out, {"nonce": job["nonce"], "verdict": kind, "text": text[:1000]})
    def answer():
        try: reply = receive(source)
        except EOFError as e: raise Candidate(str(e))
        except (ValueError, RecursionError): raise Candidate("an answer breaks the protocol")
        if type(reply) is not dict: raise Candidate("an answer breaks the protocol")
        return reply
    def error_of(reply):
        name, text = str(reply.get("raised")), str(reply.get("text"))
        kind = getattr(builtins, name, None)
        known = isinstance(kind, type) and issubclass(kind, Exception) and kind.__name__ == name
        try: return kind(text) if known else Candidate(name + ": " + text)
        except TypeError: return Candidate(name + ": " + text)
    try:
        hello = receive(source)
    except (EOFError, ValueError):
        return verdict("no worker")
    if hello != "hello": return verdict("no worker")
    verdict("started")
    calls = 0
    def candidate(*args, **named):
        nonlocal calls
        calls += 1
        try: send(sink, {"args": pack(args), "named": pack(named)})
        except OSError: raise Candidate("the candidate's process ended")
        reply = answer()
        if "raised" in reply: raise error_of(reply)
        try: return unpack(reply.get("value"))
        except (ValueError, TypeError, RecursionError, KeyError, IndexError, AttributeError):
            raise Candidate("an answer breaks the protocol")
    try:
        send(sink, {"source": job["prompt"] + job["completion"], "entry": job["entry"]})
        loaded = answer()
        if "raised" in loaded: raise Candidate(str(loaded.get("raised")) + ": " + str(loaded.get("text")))
        space = {"__name__": "check"}
        try: prompt = compile(job["prompt"], "prompt.py", "exec")
        except SyntaxError: prompt = compile(job["prompt"] + "    pass\n", "prompt.py", "exec")  # no docstring
        exec(prompt, space)
        exec(compile(job["test"], "test.py", "exec"), space)
        space[job["entry"]] = candidate
        space["check"](candidate)
    except Candidate as e:
        return verdict("failed", str(e))
    except BaseException as e:
        return verdict("failed", type(e).__name__ + (": " + str(e) if str(e) else ""))
    verdict("passed" if calls else "failed", "" if calls else "the check made no call")
main()
)py";

}  // namespace retrace::eval
