"""Handlers of FastAPI: one that awaits, one that runs in a thread."""

import asyncio
import time

from fastapi import FastAPI
from pydantic import BaseModel

import cirron as ci

app = FastAPI()


class Question(BaseModel):
    text: str


@app.post("/predict")
@ci.inference
async def predict(question: Question):
    with ci.scope("preprocess"):
        words = question.text.split()
    with ci.scope("model", device="cpu"):
        await asyncio.sleep(0.005)
        ci.mark("tokens", len(words))
    with ci.scope("postprocess"):
        return {"words": len(words)}


@app.post("/threaded")
@ci.inference
def threaded(question: Question):
    with ci.scope("model", device="cpu"):
        time.sleep(0.005)
        ci.mark("tokens", len(question.text.split()))
    return {"words": len(question.text.split())}


@app.post("/plain")
async def plain(question: Question):
    return {"words": len(question.text.split())}
