#!/usr/bin/env python3
"""Writes a tiny Llama with random weights as GGUF, for tests that stream from a real server.

usage: make_model.py OUT.gguf

The tokens mean nothing, the traffic is real. Special tokens are made unlikely, so that generation
runs to max_tokens. The seed is fixed: the same file each time with the same numpy.
"""
import sys

import gguf
import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

HIDDEN, LAYERS, HEAD_DIM, VOCAB, CONTEXT = 256, 2, 64, 2048, 4096
HEADS = HIDDEN // HEAD_DIM
KV_HEADS = HEADS // 2
FEED_FORWARD = 2 * HIDDEN
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


def tokenizer():
    """Byte-level BPE, trained on this file and the words of the standard library's docstrings."""
    result = Tokenizer(models.BPE())
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    result.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    import argparse, asyncio, email, json, logging, typing, unittest.mock

    texts = [m.__file__ for m in (argparse, asyncio, email, json, logging, typing, unittest.mock)]
    result.train(texts + [__file__], trainer)
    return result


def main(out):
    import json

    described = json.loads(tokenizer().to_str())["model"]
    ids = described["vocab"]
    tokens = sorted(ids, key=ids.get)
    rng = np.random.default_rng(0)

    def matrix(rows, columns):
        return (rng.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float16)

    head = matrix(len(tokens), HIDDEN)
    head[: len(SPECIAL)] = 0
    ones = np.ones(HIDDEN, np.float32)
    tensors = {
        "token_embd.weight": matrix(len(tokens), HIDDEN),
        "output_norm.weight": ones,
        "output.weight": head,
    }
    for layer in range(LAYERS):
        at = f"blk.{layer}."
        tensors[at + "attn_norm.weight"] = ones
        tensors[at + "ffn_norm.weight"] = ones
        tensors[at + "attn_q.weight"] = matrix(HEADS * HEAD_DIM, HIDDEN)
        tensors[at + "attn_k.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        tensors[at + "attn_v.weight"] = matrix(KV_HEADS * HEAD_DIM, HIDDEN)
        tensors[at + "attn_output.weight"] = matrix(HIDDEN, HEADS * HEAD_DIM)
        tensors[at + "ffn_gate.weight"] = matrix(FEED_FORWARD, HIDDEN)
        tensors[at + "ffn_up.weight"] = matrix(FEED_FORWARD, HIDDEN)
        tensors[at + "ffn_down.weight"] = matrix(HIDDEN, FEED_FORWARD)

    writer = gguf.GGUFWriter(out, "llama")
    writer.add_name("tiny-random-llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HEAD_DIM)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer.add_token_types([control if t in SPECIAL else normal for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in described["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(CHAT)
    for name, weights in tensors.items():
        writer.add_tensor(name, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(sys.argv[1])
