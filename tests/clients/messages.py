"""`messages.py BASE_URL`: Anthropic's own client; a line for each call, with what the server reported."""

import json
import sys

import anthropic

# Always the same tokens: where a first token is a part of a character only, llama.cpp's server leaves out
# `message_start`, and the client does not take the stream.
client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
for i in range(4):
    call = {"model": f"m{i}", "max_tokens": 8 + i, "extra_body": {"temperature": 0}, "messages": [{"role": "user", "content": "zq7canary" * (i + 1)}]}
    if i == 3:
        message = client.messages.create(**call)
    else:
        with client.messages.stream(**call) as stream:
            for _ in stream:
                pass
            message = stream.get_final_message()
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    print(json.dumps({"id": message.id, "stream": i != 3, "input": usage.input_tokens + cached, "output": usage.output_tokens, "stop": message.stop_reason}))
