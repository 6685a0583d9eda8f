#!/usr/bin/env python3
"""How far apart two runs scored the same thoughts: nats a token of each target's mean.

Usage: compare_scores.py RUN RUN   (folders of `retrace synth`; thoughts that both scored are compared)
"""
import json
import pathlib
import sys


def scores(run):
    """(trajectory, slot, text) -> score, of every candidate that was scored in the run's first round."""
    out = {}
    path = pathlib.Path(run) / "rounds/001/synth/candidates.jsonl"
    for line in path.read_text().splitlines():
        candidate = json.loads(line)
        if candidate.get("score", {}).get("n_tokens"):
            out[candidate["trajectory"], candidate["slot"], candidate["text"]] = candidate["score"]
    return out


def gaps(ours, theirs):
    """Distance of each score that both hold; the targets' tokens must be as many."""
    out = []
    for key in ours.keys() & theirs.keys():
        assert ours[key]["n_tokens"] == theirs[key]["n_tokens"], f"another number of tokens for {key[:2]}"
        out.append(abs(ours[key]["nll"] - theirs[key]["nll"]) / ours[key]["n_tokens"])
    return out


def main():
    if len(sys.argv) != 3 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    try:
        ours, theirs = scores(sys.argv[1]), scores(sys.argv[2])
    except OSError as problem:
        sys.exit(f"error: {problem}\n  hint: name two folders in which `retrace synth` has searched")
    found = gaps(ours, theirs)
    if not found:
        sys.exit(f"error: no thought was scored in both ({len(ours)} and {len(theirs)} scores)")
    print(f"{len(found)} thoughts scored in both (of {len(ours)} and {len(theirs)}): mean gap {sum(found) / len(found):.2e}, "
          f"largest {max(found):.2e} nats a token")


if __name__ == "__main__":
    main()
