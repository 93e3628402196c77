"""TRL on the files that `cargo bench --bench train` wrote: the same weights, the same pairs.

python -m venv /tmp/trl && /tmp/trl/bin/pip install torch==2.15.0 trl==1.16.0 transformers gguf
/tmp/trl/bin/python eval/train/compare_trl.py target/bench-train [workload]

One line of JSON for each workload, with the fields of the bench. TRL's SimPO is
`trl.experimental.cpo.CPOTrainer` with `loss_type="simpo"` and `cpo_alpha=0`; its `simpo_gamma` is
gamma, so beta 2 and gamma/beta 0.5 make 1. Rows are taken in the order of the file.
"""

import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

THREADS = 2
BATCH = 16


def model(path):
    import torch
    from gguf import GGUFReader
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(path)
    number = lambda key: reader.fields[f"llama.{key}"].parts[-1][0].item()
    heads, kv_heads = int(number("attention.head_count")), int(number("attention.head_count_kv"))
    config = LlamaConfig(
        vocab_size=int(number("vocab_size")),
        hidden_size=int(number("embedding_length")),
        intermediate_size=int(number("feed_forward_length")),
        num_hidden_layers=int(number("block_count")),
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=int(number("context_length")),
        rms_norm_eps=number("attention.layer_norm_rms_epsilon"),
        rope_theta=number("rope.freq_base"),
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=2,
        pad_token_id=0,
    )
    network = LlamaForCausalLM(config).float()
    names = {
        "token_embd": "model.embed_tokens", "output_norm": "model.norm",
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
        "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    }
    state = {}
    for tensor in reader.tensors:
        value = torch.tensor(tensor.data.reshape(tuple(tensor.shape[::-1])).copy())
        parts = tensor.name.split(".")
        # GGUF rotates neighbouring numbers, Hugging Face the two halves of a head.
        if parts[-2] in ("attn_q", "attn_k"):
            count = heads if parts[-2] == "attn_q" else kv_heads
            rows, columns = value.shape
            value = value.view(count, rows // count // 2, 2, columns).transpose(1, 2).reshape(rows, columns)
        prefix = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        state[f"{prefix}{names[parts[-2]]}.weight"] = value
    missing = network.load_state_dict(state, strict=False)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys, missing
    network.tie_weights()
    return network


def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<unk>", "<end>"]
    ids = {word: i for i, word in enumerate(special + [str(i) for i in range(3, 2048)])}
    words = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<pad>", unk_token="<unk>"
    )


def measure(folder, workload):
    import torch
    from datasets import Dataset
    from transformers import TrainerCallback

    torch.set_num_threads(THREADS)

    def run(file):
        rows = [json.loads(line) for line in open(folder / f"{workload}{file}.jsonl")]
        common = dict(
            output_dir="/tmp/trl-bench", per_device_train_batch_size=BATCH, num_train_epochs=1,
            learning_rate=1e-5, lr_scheduler_type="cosine", warmup_steps=0, max_grad_norm=1.0,
            weight_decay=0.0, logging_steps=1, report_to=[], save_strategy="no", use_cpu=True,
            bf16=False, fp16=False, gradient_checkpointing=False, disable_tqdm=True,
            dataloader_num_workers=0,
        )
        network, words = model(folder / "base.gguf"), tokenizer()
        if workload == "sft":
            from trl import SFTConfig, SFTTrainer as Trainer

            ids = [words(f"{row['prompt']} {row['chosen']}")["input_ids"] + [2] for row in rows]
            rows = Dataset.from_list([{"input_ids": i, "completion_mask": [0] + [1] * (len(i) - 1)} for i in ids])
            arguments = SFTConfig(max_length=256, packing=False, completion_only_loss=True, **common)
        else:
            from trl.experimental.cpo import CPOConfig, CPOTrainer as Trainer

            # TRL tokenises prompt and solution as one text.
            for row in rows:
                row["chosen"], row["rejected"] = " " + row["chosen"], " " + row["rejected"]
            rows = Dataset.from_list(rows)
            arguments = CPOConfig(
                loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=1.0, max_length=512, **common
            )

        class InOrder(Trainer):
            def _get_train_sampler(self, *args, **kwargs):
                return torch.utils.data.SequentialSampler(self.train_dataset)

        times, losses = [], []

        class Clock(TrainerCallback):
            def on_step_begin(self, *args, **kwargs):
                self.began = time.perf_counter()

            def on_step_end(self, *args, **kwargs):
                times.append(time.perf_counter() - self.began)

            def on_log(self, args, state, control, logs=None, **kwargs):
                if "loss" in logs:
                    losses.append(float(logs["loss"]))

        trainer = InOrder(
            model=network, args=arguments, train_dataset=rows, processing_class=words, callbacks=[Clock()]
        )
        trainer.train()
        return times, losses

    _, first = run("-first")
    times, _ = run("")
    seconds = statistics.median(times[2:])
    tokens = BATCH * (256 if workload == "sft" else 2 * (44 + 60))
    line = {
        "trainer": "trl", "workload": workload, "first_loss": first[0], "seconds_per_step": seconds,
        "tokens_per_second": tokens / seconds, "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    if workload != "sft":
        line["pairs_per_second"] = BATCH / seconds
    print(json.dumps(line))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        measure(folder, sys.argv[2])
    else:
        for workload in ("all-pairs", "disjoint", "sft"):
            subprocess.run([sys.executable, __file__, folder, workload], check=True)
