"""Evaluation against its Python references: the interpreter's own random numbers and numpy's (through RULER prompts over
many seeds, drawn again here), lm-eval's GSM8K prompts, answers and scores, its rolling perplexity, and pass@k.

usage: test_eval.py RETRACE_BINARY
"""
import glob
import json
import math
import os
import pathlib
import random
import string
import subprocess
import sys
import tempfile

import numpy
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BINARY = os.path.abspath(sys.argv[1])
WORDS = pathlib.Path(os.environ.get("RETRACE_TEST_DATA", "")) / "ruler"
NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."


def retrace_eval(folder, *settings, status=0, options=()):
    out = tempfile.mkdtemp(dir=folder)
    recipe = pathlib.Path(folder) / "recipe.toml"
    recipe.write_text("")
    command = [BINARY, "eval", str(recipe), *options, "--out", out, f"eval.model={folder}/model", *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, f"{command}\nexit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return pathlib.Path(out)


def lines_of(path):
    return [json.loads(line) for line in open(path, encoding="utf-8")]


def results_of(out):
    (file,) = glob.glob(f"{out}/results_*.json")
    return json.load(open(file))


def make_model(folder, max_length):
    """A tiny Llama and a byte-level BPE that adds no BOS by itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    text = [open(__file__).read(), NOISE, "VAR ABCDE = 12345\nVAR FGHIJ = VAR ABCDE \n", "Question: How many? Answer: #### 12"]
    tokenizer.train_from_iterator(text * 3, trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"]))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=tokenizer.get_vocab_size(), hidden_size=48, intermediate_size=96, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=max_length,
                         bos_token_id=0, eos_token_id=1, tie_word_embeddings=False, initializer_range=0.2)
    LlamaForCausalLM(config).save_pretrained(folder, safe_serialization=True)
    return fast


class Ruler:
    """RULER's draws for lengths below 4096, from the interpreter's and numpy's generators."""

    def __init__(self, seed, length, count):
        self.seed, self.length, self.count = seed, length, count
        random.seed(seed)
        numpy.random.seed(seed)

    def search(self, step, upper, fits):
        low, best = step, None
        while low <= upper:
            middle = (low + upper) // 2
            if fits(middle):
                best, low = middle, middle + 1
            else:
                upper = middle - 1
        return best if best is not None else step

    def units(self, draw, step, gen, extra=0, limit=None):
        limit = limit or self.length
        upper = max(int((limit / (self.count(draw(step)[0]) / step)) * 3), 2 * step)
        return self.search(step, upper, lambda n: self.count(draw(n)[0]) + extra + gen <= limit)

    def fitting(self, draw, units, step, gen, limit=None):
        while True:
            text, answers = draw(units)
            if self.count(text) + gen <= (limit or self.length):
                return text, answers
            if units > step:
                units -= step

    def niah(self, pairs, samples):
        def draw(n):
            key = random.choice(pairs)
            value = str(random.randint(10 ** 6, 10 ** 7 - 1))
            lines = [NOISE] * n
            lines.insert(random.sample(range(n), 1)[0], f"One of the special magic numbers for {key} is: {value}.")
            random.sample(range(1), 1)
            return ("A special magic number is hidden within the following text. Make sure to memorize it. I will quiz you "
                    "about the number afterwards.\n" + "\n".join(lines) + f"\nWhat is the special magic number for {key} "
                    f"mentioned in the provided text? The special magic number for {key} mentioned in the provided text is",
                    [value])
        units = self.units(draw, 5, 128)
        return [self.fitting(draw, units, 5, 128) for _ in range(samples)]

    def vt(self, samples):
        def name(k):
            return "".join(random.choices(string.ascii_uppercase, k=k))

        def draw(n, example=False):
            names = [name(3 if example else 5) for _ in range(5)]
            assert len(set(names)) == 5
            value = "12345" if example else str(numpy.random.randint(10000, 99999))
            chain = [f"VAR {names[0]} = {value}"] + [f"VAR {b} = VAR {a} " for a, b in zip(names, names[1:])]
            lines = [NOISE] * n
            for shift, (place, text) in enumerate(zip(sorted(random.sample(range(n), 5)), chain)):
                lines.insert(place + shift, text)
            return ("Memorize and track the chain(s) of variable assignment hidden in the following text.\n\n" + "\n".join(lines)
                    + f"\nQuestion: Find all variables that are assigned the value {value} in the text above. Answer: "
                    "According to the chain(s) of variable assignment in the text above, 5 variables are assigned the value "
                    f"{value}, they are: ", names)

        def example_draw(n):
            return draw(n, True)
        units = self.units(example_draw, 5, 0, limit=500)
        text, names = self.fitting(example_draw, units, 5, 0, limit=500)
        example = text + " " + " ".join(names) + "\n"

        def with_example(n):
            text, names = draw(n)
            shown = example
            for old in example.split()[-5:]:
                shown = shown.replace(old, name(len(old)))
            shown = shown.replace("12345", str(numpy.random.randint(10000, 99999)))
            return shown + "\n" + text, names
        units = self.units(draw, 5, 30, extra=self.count(example))
        return [self.fitting(with_example, units, 5, 30) for _ in range(samples)]

    def cwe(self, words, samples):
        words = sorted(set(words))
        random.Random(self.seed).shuffle(words)
        template = ("Below is a numbered list of words. In these words, some appear more often than others. Memorize the ones "
                    "that appear most often.\n%s\nQuestion: What are the 10 most common words in the above list? Answer: The top "
                    "10 words that appear most often in the list are:")

        def numbered(items):
            return " ".join(f"{i}. {w}" for i, w in enumerate(items, 1))

        def draw_list(n, often, seldom):
            chosen = random.sample(words, n)
            listed = chosen[:10] * often + chosen[10:] * seldom
            random.Random(self.seed).shuffle(listed)
            return numbered(listed), chosen[:10]

        def draw(n):
            shot, shot_answers = draw_list(20, 3, 1)
            text, answers = draw_list(n, 6, 1)
            return template % shot + " " + numbered(shot_answers) + "\n" + template % text, answers
        per_word = self.count(draw(4096)[0]) / 4096
        upper = max(int(self.length // per_word) * 2, 20)
        units = self.search(10, upper, lambda n: self.count(draw(n)[0]) + 120 <= self.length)
        return [self.fitting(draw, units, 10, 120) for _ in range(samples)]


def check_ruler(folder, tokenizer):
    if not (WORDS / "nounlist.txt").exists():
        print(f"skipped part: RULER prompts, {WORDS} is absent")
        return
    lists = {name: [w.rstrip() for w in open(WORDS / f"{name}list.txt")] for name in ("noun", "adjective", "verb")}
    pairs = sorted({f"{a}-{n}" for a in lists["adjective"] for n in lists["noun"]})
    count = lambda text: len(tokenizer.encode(text, add_special_tokens=False))
    compared = 0
    for seed in (0, 1, 42, 1234, 2 ** 31):
        length, samples = 3000, 3
        out = retrace_eval(folder, "eval.tasks=[niah_single_1, vt, cwe]", f"eval.lengths=[{length}]", f"eval.seed={seed}",
                           f"eval.ruler_samples={samples}", f"eval.ruler_words={WORDS}", options=("--stage", "prepare"))
        expected = {"niah_single_1": Ruler(seed, length, count).niah(pairs, samples),
                    "vt": Ruler(seed, length, count).vt(samples),
                    "cwe": Ruler(seed, length, count).cwe(lists["noun"] + lists["adjective"] + lists["verb"], samples)}
        for task, texts in expected.items():
            ours = lines_of(out / f"prompts/{task}-{length}.jsonl")
            assert [(o["prompt"], o["doc"]["outputs"]) for o in ours] == texts, f"{task} with seed {seed} differs"
            compared += len(texts)
    print(f"RULER: {compared} prompts over 5 seeds are equal")


GSM8K = """
task: gsm8k_local
dataset_path: json
dataset_kwargs: {data_files: {train: TRAIN, test: TEST}}
output_type: generate_until
training_split: train
fewshot_split: train
test_split: test
doc_to_text: "Question: {{question}}\\nAnswer:"
doc_to_target: "{{answer}}"
num_fewshot: 5
generation_kwargs: {until: ["Question:", "</s>", "<|im_end|>"], do_sample: false, temperature: 0.0, max_gen_toks: 24}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, ignore_punctuation: false,
     regexes_to_ignore: [",", "\\\\$", "(?s).*#### ", "\\\\.$"]}
filter_list:
  - {name: strict-match, filter: [{function: regex, regex_pattern: "#### (\\\\-?[0-9\\\\.\\\\,]+)"}, {function: take_first}]}
  - {name: flexible-extract, filter: [{function: regex, group_select: -1, regex_pattern: "(-?[$0-9.,]{2,})|(-?[0-9]+)"}, {function: take_first}]}
"""
PERPLEXITY = """
task: perplexity_local
dataset_path: json
dataset_kwargs: {data_files: {test: TEST}}
output_type: loglikelihood_rolling
test_split: test
doc_to_text: ""
doc_to_target: "{{text}}"
metric_list: [{metric: word_perplexity}, {metric: byte_perplexity}, {metric: bits_per_byte}]
"""


def check_lm_eval(folder):
    try:
        import lm_eval
        from lm_eval.models.huggingface import HFLM
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        print(f"skipped part: lm-eval does not import here ({error})")
        return
    base = pathlib.Path(folder)
    draw = random.Random(5)
    (base / "data/gsm8k").mkdir(parents=True)
    for name, n in (("train", 40), ("test", 9)):
        with open(base / f"data/gsm8k/{name}.jsonl", "w") as out:
            for i in range(n):
                question = f"{name} {i}: " + "how many? " * draw.randint(1, 14)
                out.write(json.dumps({"question": question, "answer": f"So it is.\n#### {draw.randint(0, 9)}"}) + "\n")
    texts = ["def f(x):\n    return x\n" * n for n in (1, 9, 60)] + ["caf\u00e9\u3000\u00a0na\u00efve \x1c end", " ", "x"]
    with open(base / "dev.jsonl", "w") as out:
        for i, text in enumerate(texts):
            out.write(json.dumps({"id": str(i), "path": f"{i}.py", "text": text}) + "\n")
    (base / "tasks").mkdir()
    (base / "tasks/gsm8k.yaml").write_text(GSM8K.replace("TRAIN", f"{base}/data/gsm8k/train.jsonl").replace("TEST", f"{base}/data/gsm8k/test.jsonl"))
    (base / "tasks/perplexity.yaml").write_text(PERPLEXITY.replace("TEST", f"{base}/dev.jsonl"))
    os.environ["HF_DATASETS_CACHE"] = str(base / "cache")
    model = HFLM(pretrained=str(base / "model"), dtype="float32", device="cpu", batch_size=1)
    theirs = lm_eval.simple_evaluate(model=model, tasks=["gsm8k_local", "perplexity_local"], log_samples=True, bootstrap_iters=0,
                                     task_manager=TaskManager(include_path=str(base / "tasks"), include_defaults=False))
    out = retrace_eval(folder, "eval.tasks=[gsm8k, perplexity]", f"eval.data_dir={base}/data", f"eval.perplexity_files=[{base}/dev.jsonl]",
                       "eval.max_gen_tokens=24", "eval.add_bos=false", "run.threads=1")
    ours = results_of(out)["results"]

    (file,) = glob.glob(f"{out}/samples_gsm8k_*.jsonl")
    samples = lines_of(file)
    other = theirs["samples"]["gsm8k_local"]
    assert len(samples) == len(other) == 18
    key = lambda s: (s["doc_id"], s["filter"])
    truncated = 0
    for a, b in zip(sorted(samples, key=key), sorted(other, key=key)):
        prompt = b["arguments"][0][0] if isinstance(b["arguments"], list) else b["arguments"]["gen_args_0"]["arg_0"]
        assert a["arguments"]["gen_args_0"]["arg_0"] == prompt, f"prompt {key(a)} differs"
        assert a["target"] == b["target"] and a["filtered_resps"] == b["filtered_resps"], f"answer {key(a)} differs: {a} {b}"
        assert a["resps"] == b["resps"], f"text {key(a)}: {a['resps']} {b['resps']}"
        assert a["exact_match"] == b["exact_match"]
        for name in ("doc_hash", "prompt_hash", "target_hash"):
            assert a[name] == b[name], f"{name} of {key(a)} differs"
    for name in ("exact_match,strict-match", "exact_match,flexible-extract", "exact_match_stderr,flexible-extract"):
        a, b = ours["gsm8k"][name], theirs["results"]["gsm8k_local"].get(name)
        assert b in (None, "N/A") or math.isclose(a, b, abs_tol=1e-12), (name, a, b)
    truncated = results_of(out)["counts"]["gsm8k"]["truncated_prompts"]
    assert 0 < truncated < 9, f"{truncated} of 9 prompts were cut; the test wants some of both"
    print(f"lm-eval GSM8K: {len(samples)} samples are equal, {truncated} of 9 prompts cut at the left")

    for name in ("word_perplexity", "byte_perplexity", "bits_per_byte"):
        a, b = ours["perplexity_dev"][f"{name},none"], theirs["results"]["perplexity_local"][f"{name},none"]
        assert math.isclose(a, b, rel_tol=1e-5), (name, a, b)
    again = retrace_eval(folder, "eval.tasks=[gsm8k, perplexity]", f"eval.data_dir={base}/data", f"eval.perplexity_files=[{base}/dev.jsonl]",
                         "eval.max_gen_tokens=24", "eval.add_bos=false", "run.threads=1", "run.nproc=2")
    assert results_of(again)["results"] == ours, f"two ranks give other results than one: {results_of(again)['results']}, not {ours}"
    print(f"lm-eval perplexity: bits per byte {ours['perplexity_dev']['bits_per_byte,none']:.6f}, three metrics agree")


def check_pass_at_k(folder):
    base = pathlib.Path(folder)
    (base / "code/humaneval").mkdir(parents=True)
    draw = random.Random(9)
    n, passes = 10, [0, 1, 4, 10]
    with open(base / "code/humaneval/HumanEval.jsonl", "w") as out:
        for i in range(len(passes)):
            out.write(json.dumps({"task_id": f"HumanEval/{i}", "prompt": f"def f{i}(x):\n    \"\"\"x plus {i}.\"\"\"\n", "entry_point": f"f{i}",
                                  "canonical_solution": "", "test": f"def check(candidate):\n    assert candidate(3) == {3 + i}\n"}) + "\n")
    answers = [{"task_id": f"HumanEval/{i}", "completion": f"    return x + {i if s < c else i + 1}\n"}
               for i, c in enumerate(passes) for s in range(n)]
    draw.shuffle(answers)
    with open(base / "answers.jsonl", "w") as out:
        out.writelines(json.dumps(a) + "\n" for a in answers)
    out = retrace_eval(folder, "eval.tasks=[humaneval]", f"eval.data_dir={base}/code", f"eval.samples={n}",
                       f"eval.predictions={base}/answers.jsonl", options=("--stage", "score"))
    ours = results_of(out)["results"]["humaneval"]

    def pass_at(c, k):  # the estimator of human-eval's paper
        return 1.0 if n - c < k else 1.0 - float(numpy.prod(1.0 - k / numpy.arange(n - c + 1, n + 1)))
    for k in (1, 10):
        expected = sum(pass_at(c, k) for c in passes) / len(passes)
        assert math.isclose(ours[f"pass@{k},create_test"], expected, rel_tol=1e-12), (k, ours, expected)
    print("pass@k: equal for k = 1 and 10")


def main():
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = make_model(f"{folder}/model", 480)
        check_ruler(folder, tokenizer)
        check_pass_at_k(folder)
        check_lm_eval(folder)


main()
