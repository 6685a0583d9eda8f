"""TensorBoard's own reader opens our event files and finds the numbers of metrics.jsonl.

argv[1] is the retrace binary; tests_core, which writes the run folder, stands beside it.
"""
import json
import math
import os
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def scalars_of_metrics(folder):
    wanted = {}
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            for name, value in record.items():
                if name in ("stage", "round", "step", "global_step", "time") or not isinstance(value, (int, float)):
                    continue
                wanted.setdefault(f"{record['stage']}/{name}", []).append(
                    (record["global_step"], float(value), record["time"]))
    return wanted


def main():
    binary = os.path.abspath(sys.argv[1])
    writer = os.path.join(os.path.dirname(binary), "tests_core")
    assert os.access(writer, os.X_OK), f"{writer} is absent: build the target tests_core first"
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(folder, "run")
        environment = dict(os.environ, RETRACE_EVENTS_OUT=run)
        result = subprocess.run([writer, "tensorboard: a run folder for TensorBoard's own reader"],
                                env=environment, capture_output=True, text=True, check=False)
        assert result.returncode == 0, f"tests_core failed:\n{result.stdout}{result.stderr}"
        reader = EventAccumulator(run, size_guidance={"scalars": 0})
        reader.Reload()
        assert reader.file_version == 2.0, f"file version {reader.file_version}"
        wanted = scalars_of_metrics(run)
        assert len(wanted) == 4, f"tags in metrics.jsonl: {sorted(wanted)}"
        found = sorted(reader.Tags()["scalars"])
        assert found == sorted(wanted), f"tags: {found}, expected {sorted(wanted)}"
        count = 0
        for tag, points in wanted.items():
            events = reader.Scalars(tag)
            steps = [event.step for event in events]
            assert steps == [step for step, _, _ in points], f"{tag}: steps differ"
            for event, (step, value, time) in zip(events, points):
                assert math.isclose(event.value, value, rel_tol=1e-6, abs_tol=1e-12), f"{tag} {step}: {event.value} != {value}"
                assert abs(event.wall_time - time) < 1e-3, f"{tag} {step}: wall time {event.wall_time} != {time}"
                count += 1
        assert [event.step for event in reader.Scalars("train/loss")] == list(range(300))
        print(f"TensorBoard reads {count} scalars of {len(wanted)} tags")


if __name__ == "__main__":
    main()
