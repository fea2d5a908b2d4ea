"""A plain function in a script: one request for each line that it reads."""

import sys
import time

import cirron as ci


@ci.inference
def predict(text):
    with ci.scope("preprocess"):
        words = text.split()
        ci.mark("words", len(words))
    with ci.scope("model", device="cpu"):
        time.sleep(0.005)
        scores = [len(word) / 10 for word in words]
    with ci.scope("postprocess"):
        ci.mark("best", max(scores), kind="summary")
        return max(words, key=len)


print("ready", flush=True)
for line in sys.stdin:
    print(predict(line), flush=True)
