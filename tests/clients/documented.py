"""Makes calls with the official client of each dialect, and prints what each client saw.

Usage: documented.py BASE_URL. One JSON line for each call: dialect, operation, stream, model, tokens,
finish reason and content events as the client's own objects have them; null for what it has not.
"""

import json
import sys
import time
import warnings

warnings.filterwarnings("ignore")
BASE = sys.argv[1]
HI = [{"role": "user", "content": "zq7canary"}]


def tell(dialect, operation, path, stream=False, model=None, input=None, output=None, finish=None, texts=None, **more):
    print(json.dumps({"dialect": dialect, "operation": operation, "path": path, "stream": stream, "model": model, "input": input,
                      "output": output, "finish": finish, "texts": texts, **more}), flush=True)


def ollama():
    import ollama

    client = ollama.Client(host=BASE)
    texts, last = 0, None
    for part in client.chat(model="llama3.2", messages=HI, stream=True):
        last = part
        texts += bool(part.message.content or part.message.thinking or part.message.tool_calls)
    tell("ollama", "chat", "/api/chat", True, last.model, last.prompt_eval_count, last.eval_count, last.done_reason, texts)
    whole = client.generate(model="llama3.2", prompt="zq7canary")
    tell("ollama", "text_completion", "/api/generate", False, whole.model, whole.prompt_eval_count, whole.eval_count, whole.done_reason)
    embedded = client.embed(model="all-minilm", input=["zq7canary", "b"])
    tell("ollama", "embeddings", "/api/embed", False, embedded.model, embedded.prompt_eval_count)


def gemini():
    from google import genai

    client = genai.Client(api_key="zq7canary", http_options={"base_url": BASE})
    model, texts, last = "gemini-2.5-flash", 0, None
    for part in client.models.generate_content_stream(model=model, contents="zq7canary"):
        last = part
        texts += any(p.text for p in part.candidates[0].content.parts)
    u = last.usage_metadata
    tell("gcp.gemini", "generate_content", f"/v1/models/{model}:streamGenerateContent", True, last.model_version, u.prompt_token_count,
         u.candidates_token_count + u.thoughts_token_count, last.candidates[0].finish_reason.value, texts)
    whole = client.models.generate_content(model=model, contents="zq7canary")
    u = whole.usage_metadata
    tell("gcp.gemini", "generate_content", f"/v1/models/{model}:generateContent", False, whole.model_version, u.prompt_token_count,
         u.candidates_token_count, whole.candidates[0].finish_reason.value)


def cohere():
    import cohere

    client = cohere.ClientV2(api_key="zq7canary", base_url=BASE)
    texts, end = 0, None
    for event in client.chat_stream(model="command-a-03-2025", messages=HI):
        if event.type == "content-delta":
            texts += bool(event.delta.message.content.text)
        elif event.type in ("tool-call-start", "tool-call-delta"):
            texts += 1
        elif event.type == "message-end":
            end = event.delta
    tell("cohere", "chat", "/v2/chat", True, None, end.usage.tokens.input_tokens, end.usage.tokens.output_tokens, end.finish_reason, texts)
    whole = client.chat(model="command-a-03-2025", messages=HI)
    tell("cohere", "chat", "/v2/chat", False, None, whole.usage.tokens.input_tokens, whole.usage.tokens.output_tokens, whole.finish_reason)
    client.rerank(model="rerank-v3.5", query="zq7canary", documents=["a", "b"])
    tell("cohere", "rerank", "/v2/rerank")


def mistral():
    try:
        from mistralai import Mistral
    except ImportError:
        from mistralai.client import Mistral

    client = Mistral(api_key="zq7canary", server_url=BASE)
    whole = client.fim.complete(model="codestral-latest", prompt="zq7canary", suffix="return")
    u = whole.usage
    tell("mistral_ai", "chat", "/v1/fim/completions", False, whole.model, u.prompt_tokens, u.completion_tokens, whole.choices[0].finish_reason)
    texts, last = 0, None
    for event in client.chat.stream(model="magistral-medium", messages=HI):
        last = event.data
        texts += bool(last.choices and last.choices[0].delta.content)
    u = last.usage
    tell("openai", "chat", "/v1/chat/completions", True, last.model, u.prompt_tokens, u.completion_tokens, last.choices[0].finish_reason, texts)


def openai():
    import openai

    client = openai.OpenAI(api_key="zq7canary", base_url=BASE + "/v1", max_retries=0)
    images = client.images.generate(model="gpt-image-1", prompt="zq7canary")
    tell("openai", "image_generation", "/v1/images/generations", False, None, images.usage.input_tokens, images.usage.output_tokens)
    sound = ("zq7canary.wav", b"RIFFzq7canary", "audio/wav")
    heard = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound)
    tell("openai", "transcription", "/v1/audio/transcriptions", False, None, heard.usage.input_tokens, heard.usage.output_tokens)
    texts, last = 0, None
    for event in client.audio.transcriptions.create(model="gpt-4o-transcribe", file=sound, stream=True):
        last = event
        texts += event.type == "transcript.text.delta"
    tell("openai", "transcription", "/v1/audio/transcriptions", True, None, last.usage.input_tokens, last.usage.output_tokens, None, texts)
    azure = openai.AzureOpenAI(api_key="zq7canary", azure_endpoint=BASE, api_version="2024-10-21", max_retries=0)
    whole = azure.chat.completions.create(model="prod-gpt", messages=HI)
    tell("azure.ai.openai", "chat", "/openai/deployments/prod-gpt/chat/completions", False, whole.model, whole.usage.prompt_tokens,
         whole.usage.completion_tokens, whole.choices[0].finish_reason)


def hugging_face():
    from huggingface_hub import InferenceClient

    client = InferenceClient(base_url=BASE + "/generate_stream")
    texts, last = 0, None
    for part in client.text_generation("zq7canary", stream=True, details=True):
        last = part
        texts += not part.token.special
    tell("hf", "text_completion", "/generate_stream", True, None, last.details.input_length, last.details.generated_tokens, last.details.finish_reason, texts)


for run in (ollama, gemini, cohere, mistral, openai, hugging_face):
    run()
