"""What CONFIG says decides what is captured: `CONFIG={"threshold": 0.5, "capture_embeddings": true}`."""

import json
import os
import sys

import cirron as ci

config = json.loads(os.environ.get("CONFIG", "{}"))
threshold = config.get("threshold", 0.0)


@ci.inference(config=config)
def predict(text):
    with ci.scope("preprocess"):
        words = text.split()
    with ci.scope("model"):
        embedding = [len(word) / 10 for word in words]
        if config.get("capture_embeddings"):
            ci.mark("embedding_norm", sum(x * x for x in embedding) ** 0.5)
    with ci.scope("postprocess", threshold=threshold):
        kept = [word for word, score in zip(words, embedding) if score >= threshold]
        ci.mark("kept", len(kept))
        ci.mark("is_empty", not kept)
    return " ".join(kept)


print("ready", flush=True)
for line in sys.stdin:
    print(predict(line), flush=True)
