"""A handler of Flask."""

import time

from flask import Flask, request

import cirron as ci

app = Flask(__name__)


@app.post("/predict")
@ci.inference
def predict():
    with ci.scope("preprocess"):
        text = request.get_json()["text"]
    with ci.scope("model", device="cpu"):
        time.sleep(0.005)
        ci.mark("tokens", len(text.split()))
    with ci.scope("postprocess"):
        return {"label": "long" if len(text) > 20 else "short"}


@app.post("/plain")
def plain():
    return {"label": "long" if len(request.get_json()["text"]) > 20 else "short"}
