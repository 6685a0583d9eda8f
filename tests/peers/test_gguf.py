"""GGUF files of every supported tensor type: the folder that `retrace import` makes against the gguf package's values.

Run by scripts/peer-python with the path of the retrace binary.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file
from tokenizers.pre_tokenizers import ByteLevel
from transformers import AutoTokenizer

RETRACE = pathlib.Path(sys.argv[1]).resolve()
WIDTH, FEED_FORWARD, HEADS, KV_HEADS, LAYERS = 256, 512, 4, 2, 2
MERGES = ["h e", "he l", "hel l", "Ġ w", "1 2"]
TEXTS = ["hello world 123 12 1234", "don't <|end|> stop\n\n\n  x\t", "Zürich 日本 \U0001f469\u200d\U0001f4bb"]


def blocks(rng, kind, shape):
    """Bytes of a tensor of this type: quantised where the package can, else random blocks with finite scales."""
    values = (rng.standard_normal(shape) * 0.1).astype(numpy.float32)
    try:
        return gguf.quants.quantize(values, kind)
    except NotImplementedError:
        per_block, size = gguf.GGML_QUANT_SIZES[kind]
        data = rng.integers(0, 256, (*shape[:-1], shape[-1] // per_block, size), dtype=numpy.uint8)
        halves = {Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208]}[kind]
        for at in halves:
            scales = (rng.standard_normal(data.shape[:-1]) * 0.01).astype(numpy.float16)
            data[..., at:at + 2] = scales[..., None].view(numpy.uint8)
        return data.reshape(*shape[:-1], -1)


def permuted(hf_rows, heads):
    """Row order of llama.cpp's converter."""
    order = numpy.arange(hf_rows).reshape(heads, 2, hf_rows // heads // 2).swapaxes(1, 2).reshape(-1)
    return order


def write(path, kind, pre, add_bos, rng):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(12345.0)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<|begin|>", "<|end|>"] + sorted(ByteLevel.alphabet()) + [m.replace(" ", "") for m in MERGES]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3] + [1] * (len(tokens) - 2))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(add_bos)
    kv_rows = WIDTH // HEADS * KV_HEADS
    shapes = {"token_embd": (len(tokens), WIDTH), "output": (len(tokens), WIDTH)}
    hf_names = {"token_embd": "model.embed_tokens", "output": "lm_head", "output_norm": "model.norm"}
    norms = ["output_norm"]
    for i in range(LAYERS):
        for ours, hf, shape in [("attn_q", "self_attn.q_proj", (WIDTH, WIDTH)), ("attn_k", "self_attn.k_proj", (kv_rows, WIDTH)),
                                ("attn_v", "self_attn.v_proj", (kv_rows, WIDTH)), ("attn_output", "self_attn.o_proj", (WIDTH, WIDTH)),
                                ("ffn_gate", "mlp.gate_proj", (FEED_FORWARD, WIDTH)), ("ffn_up", "mlp.up_proj", (FEED_FORWARD, WIDTH)),
                                ("ffn_down", "mlp.down_proj", (WIDTH, FEED_FORWARD))]:
            shapes[f"blk.{i}.{ours}"] = shape
            hf_names[f"blk.{i}.{ours}"] = f"model.layers.{i}.{hf}"
        for ours, hf in [("attn_norm", "input_layernorm"), ("ffn_norm", "post_attention_layernorm")]:
            norms.append(f"blk.{i}.{ours}")
            hf_names[f"blk.{i}.{ours}"] = f"model.layers.{i}.{hf}"
    expected = {}
    for name, shape in shapes.items():
        data = blocks(rng, kind, shape)
        values = gguf.quants.dequantize(data, kind).astype(numpy.float32).reshape(shape)
        if name.endswith(("attn_q", "attn_k")):
            values = values[numpy.argsort(permuted(shape[0], HEADS if name.endswith("q") else KV_HEADS))]
        expected[hf_names[name] + ".weight"] = values
        writer.add_tensor(name + ".weight", data, raw_dtype=kind)
    for name in norms:
        values = rng.standard_normal(WIDTH).astype(numpy.float32)
        expected[hf_names[name] + ".weight"] = values
        writer.add_tensor(name + ".weight", values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def main():
    rng = numpy.random.default_rng(7)
    kinds = [Type.F32, Type.F16, Type.BF16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K, Type.Q5_K,
             Type.Q6_K]
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        for i, kind in enumerate(kinds):
            pre = ["smollm", "gpt-2", "llama-bpe"][i % 3]
            add_bos = i % 2 == 0
            path, folder = temporary / f"{kind.name}.gguf", temporary / kind.name
            expected = write(path, kind, pre, add_bos, rng)
            subprocess.run([RETRACE, "import", path, folder], check=True, capture_output=True)
            made = load_file(folder / "model.safetensors")
            assert made.keys() == expected.keys(), made.keys() ^ expected.keys()
            for name, values in expected.items():
                assert made[name].dtype == torch.float32
                assert numpy.array_equal(made[name].numpy(), values), f"{kind.name}: {name} has other values"
            config = json.loads((folder / "config.json").read_text())
            assert (config["rope_theta"], config["rms_norm_eps"]) == (12345.0, 1e-5)
            assert config["bos_token_id"] == 0 and config["eos_token_id"] == 1 and not config["tie_word_embeddings"]

            subprocess.run([RETRACE, "import", path, temporary / "half", "--dtype", "bfloat16"], check=True,
                           capture_output=True)
            for name, tensor in load_file(temporary / "half" / "model.safetensors").items():
                assert torch.equal(tensor, made[name].to(torch.bfloat16)), f"{kind.name}: bfloat16 of {name}"

            theirs = AutoTokenizer.from_pretrained(folder)
            assert theirs.eos_token == "<|end|>"
            for text in TEXTS:
                ids = theirs(text).input_ids
                assert (ids[0] == 0) == add_bos, f"{pre}: BOS"
                ids = ids[1:] if add_bos else ids
                assert theirs.decode(ids) == text, f"{pre}: {text!r} came back as {theirs.decode(ids)!r}"
                if "<|" in text:
                    continue  # ours never makes a special token of text
                (temporary / "text").write_text(text)
                ours = subprocess.run([RETRACE, "tokenizer", "encode", folder, temporary / "text"], check=True,
                                      capture_output=True, text=True).stdout.split()
                assert [int(x) for x in ours] == ids, f"{pre}: ids of {text!r}"
            print(f"{kind.name}, {pre}, {'BOS' if add_bos else 'no BOS'}: equal")


main()
