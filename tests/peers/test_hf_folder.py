"""HF folders that Retrace writes, opened by transformers and safetensors; and folders of transformers scored by Retrace.

Run by scripts/peer-python with the path of the retrace binary; tests_model beside it writes the folders.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

RETRACE = pathlib.Path(sys.argv[1]).resolve()
TESTS_MODEL = RETRACE.parent / "tests_model"
TEXT = pathlib.Path(__file__).read_text()
LOGPROB_BOUND = 1e-4
# Keys of config.json that transformers keeps under the same name.
SAME = ["vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "max_position_embeddings", "rms_norm_eps", "tie_word_embeddings",
        "bos_token_id", "eos_token_id", "pad_token_id", "attention_bias", "mlp_bias", "hidden_act"]


def add_tokenizer(folder):
    """A byte-level BPE of 300 tokens with no special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([TEXT], trainers.BpeTrainer(
        vocab_size=300, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')


def check_files(folder):
    """The files by safetensors' own reader."""
    files = sorted(folder.glob("*.safetensors"))
    names, size_bytes = [], 0
    for path in files:
        header_bytes = int.from_bytes(path.read_bytes()[:8], "little")
        assert header_bytes % 8 == 0, f"{path.name}: a header of {header_bytes} bytes"
        with safe_open(path, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}, path
            for name in opened.keys():
                tensor = opened.get_tensor(name)
                size_bytes += tensor.numel() * tensor.element_size()
                names.append((name, path.name))
    assert [name for name, _ in names] == sorted(name for name, _ in names), "tensors are not in the order of names"
    index = folder / "model.safetensors.index.json"
    assert index.exists() == (len(files) > 1)
    if len(files) > 1:
        index = json.loads(index.read_text())
        assert index["metadata"]["total_size"] == size_bytes
        assert index["weight_map"] == dict(names)
    return len(files)


def score(folder, text_file):
    result = subprocess.run([RETRACE, "score", folder, text_file, "--per-token"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def agrees(folder, model, text_file):
    """Retrace's log-probabilities of the text against the model's; returns the greatest difference."""
    ours = score(folder, text_file)
    ids = AutoTokenizer.from_pretrained(folder)(text_file.read_text()).input_ids
    assert ours["ids"] == ids
    assert ours["logprobs"][0] is None and ours["tokens"] == len(ids) - 1
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].float()
    theirs = torch.log_softmax(logits[:-1], -1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    difference = (torch.tensor(ours["logprobs"][1:]) - theirs).abs().max().item()
    assert difference < LOGPROB_BOUND, f"{folder.name}: log-probabilities differ by {difference}"
    return difference


def main():
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        subprocess.run([TESTS_MODEL, "weights: folders for transformers to open"], check=True, capture_output=True,
                       env=dict(os.environ, RETRACE_HF_OUT=str(temporary)))
        text_file = temporary / "text.txt"
        text_file.write_text(TEXT[:300])
        for name in ["tied", "scaled-sharded", "bf16"]:
            folder = temporary / name
            num_files = check_files(folder)
            assert (num_files > 1) == (name != "tied")
            add_tokenizer(folder)

            written = json.loads((folder / "config.json").read_text())
            config = AutoConfig.from_pretrained(folder)
            for key in SAME:
                assert getattr(config, key) == written[key], f"{name}: {key} is {getattr(config, key)}"
            assert config.rope_parameters["rope_theta"] == written["rope_theta"]
            if written["rope_scaling"]:
                for key, value in written["rope_scaling"].items():
                    assert config.rope_parameters[key] == value, f"{name}: rope {key}"

            model, report = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
            for key in ["missing_keys", "unexpected_keys", "mismatched_keys"]:
                assert not report[key], f"{name}: {key} {report[key]}"
            assert model.generation_config.eos_token_id == written["eos_token_id"]
            difference = agrees(folder, model.eval(), text_file)

            # And back: what transformers saves (its own config.json, shards, RoPE as a dict) is scored alike.
            saved = temporary / f"{name}-saved"
            model.save_pretrained(saved, max_shard_size="50KB")
            shutil.copy(folder / "tokenizer.json", saved)
            assert len(list(saved.glob("*.safetensors"))) > 1
            a, b = score(folder, text_file), score(saved, text_file)
            assert a["logprobs"] == b["logprobs"], f"{name}: scores changed on the way through transformers"
            print(f"{name}: {num_files} file(s), log-probabilities within {difference:.1e}")


main()
