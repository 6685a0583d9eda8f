"""torchrun's own reader understands the error file that a failing retrace leaves.

argv[1] is the retrace binary.
"""
import os
import subprocess
import sys
import tempfile
import time

from torch.distributed.elastic.multiprocessing.errors import ProcessFailure


def fail_with(binary, words, path):
    environment = dict(os.environ, TORCHELASTIC_ERROR_FILE=path, RANK="5")
    return subprocess.run([binary, *words], env=environment, capture_output=True, text=True, check=False)


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        recipe = os.path.join(folder, "typo.toml")
        with open(recipe, "w", encoding="utf-8") as file:
            file.write("[optim]\nlearnig_rate = 1\n")
        path = os.path.join(folder, "error.json")
        before = int(time.time())
        result = fail_with(binary, ["run", recipe], path)
        assert result.returncode == 2, f"status {result.returncode}: {result.stderr}"
        assert result.stderr.startswith("[rank 5] error: "), result.stderr
        failure = ProcessFailure(local_rank=5, pid=1, exitcode=result.returncode, error_file=path)
        assert "typo.toml:2:" in failure.message["message"], failure.message
        assert "typo.toml:2:" in failure.message["extraInfo"]["py_callstack"], failure.message
        assert before <= failure.timestamp <= int(time.time()) + 1, failure.timestamp
        os.remove(path)
        assert fail_with(binary, ["--version"], path).returncode == 0
        assert not os.path.exists(path), "a command that succeeds leaves no error file"
        print("torchrun reads:", failure.message["message"])


if __name__ == "__main__":
    main()
