// Makes calls with the official Node client of each dialect, and prints what each client saw.
//
// Usage: documented.js BASE_URL, with NODE_CLIENTS naming the folder of `node_modules`. The lines are
// those of ../documented.py: null for what the client's own objects have not.
"use strict";
const path = require("path");
const { createRequire } = require("module");
const { pathToFileURL } = require("url");

const BASE = process.argv[2];
const WORD = "zq7canary";
const HI = [{ role: "user", content: WORD }];
const installed = createRequire(path.join(process.env.NODE_CLIENTS, "package.json"));
const client = (name) => import(pathToFileURL(installed.resolve(name)));

function tell(dialect, operation, path, facts = {}) {
  const none = { stream: false, model: null, input: null, output: null, finish: null, texts: null };
  console.log(JSON.stringify({ dialect, operation, path, ...none, ...facts }));
}

async function ollama() {
  const { Ollama } = await client("ollama");
  const api = new Ollama({ host: BASE });
  const facts = (r, more) => ({ model: r.model, input: r.prompt_eval_count, output: r.eval_count ?? null, finish: r.done_reason ?? null, ...more });
  let texts = 0;
  let last;
  for await (const part of await api.chat({ model: "llama3.2", messages: HI, stream: true })) {
    last = part;
    texts += part.message.content || part.message.thinking || part.message.tool_calls ? 1 : 0;
  }
  tell("ollama", "chat", "/api/chat", facts(last, { stream: true, texts }));
  tell("ollama", "text_completion", "/api/generate", facts(await api.generate({ model: "llama3.2", prompt: WORD })));
  tell("ollama", "embeddings", "/api/embed", facts(await api.embed({ model: "all-minilm", input: [WORD, "b"] })));
}

async function gemini() {
  const { GoogleGenAI } = await client("@google/genai");
  const api = new GoogleGenAI({ apiKey: WORD, httpOptions: { baseUrl: BASE } });
  const model = "gemini-2.5-flash";
  const at = (method) => `/v1beta/models/${model}:${method}`;
  const facts = (r, more) => {
    const u = r.usageMetadata;
    return { model: r.modelVersion, input: u.promptTokenCount, output: u.candidatesTokenCount + (u.thoughtsTokenCount ?? 0), finish: r.candidates[0].finishReason, ...more };
  };
  let texts = 0;
  let last;
  for await (const part of await api.models.generateContentStream({ model, contents: WORD })) {
    last = part;
    texts += part.candidates[0].content?.parts?.some((p) => p.text) ? 1 : 0;
  }
  tell("gcp.gemini", "generate_content", at("streamGenerateContent"), facts(last, { stream: true, texts }));
  tell("gcp.gemini", "generate_content", at("generateContent"), facts(await api.models.generateContent({ model, contents: WORD })));
}

async function cohere() {
  const { CohereClientV2 } = await client("cohere-ai");
  const api = new CohereClientV2({ token: WORD, environment: BASE });
  const model = "command-a-03-2025";
  const facts = (r, more) => ({ input: r.usage.tokens.inputTokens, output: r.usage.tokens.outputTokens, finish: r.finishReason, ...more });
  let texts = 0;
  let end;
  for await (const event of await api.chatStream({ model, messages: HI })) {
    if (event.type === "content-delta") texts += event.delta.message.content.text ? 1 : 0;
    else if (event.type === "tool-call-start" || event.type === "tool-call-delta") texts += 1;
    else if (event.type === "message-end") end = event.delta;
  }
  tell("cohere", "chat", "/v2/chat", facts(end, { stream: true, texts }));
  tell("cohere", "chat", "/v2/chat", facts(await api.chat({ model, messages: HI })));
  await api.rerank({ model: "rerank-v3.5", query: WORD, documents: ["a", "b"] });
  tell("cohere", "rerank", "/v2/rerank");
}

async function mistral() {
  const { Mistral } = await client("@mistralai/mistralai");
  const api = new Mistral({ apiKey: WORD, serverURL: BASE });
  const facts = (r, more) => ({ model: r.model, input: r.usage.promptTokens, output: r.usage.completionTokens, finish: r.choices[0].finishReason, ...more });
  tell("mistral_ai", "chat", "/v1/fim/completions", facts(await api.fim.complete({ model: "codestral-latest", prompt: WORD, suffix: "return" })));
  let texts = 0;
  let last;
  for await (const event of await api.chat.stream({ model: "magistral-medium", messages: HI })) {
    last = event.data;
    texts += last.choices[0]?.delta.content ? 1 : 0;
  }
  tell("openai", "chat", "/v1/chat/completions", facts(last, { stream: true, texts }));
}

async function openai() {
  const { OpenAI, AzureOpenAI, toFile } = await client("openai");
  const api = new OpenAI({ apiKey: WORD, baseURL: BASE + "/v1", maxRetries: 0 });
  const chat = (r) => ({ model: r.model, input: r.usage.prompt_tokens, output: r.usage.completion_tokens, finish: r.choices[0].finish_reason });
  const used = (u, more) => ({ input: u.input_tokens, output: u.output_tokens, ...more });
  const images = await api.images.generate({ model: "gpt-image-1", prompt: WORD });
  tell("openai", "image_generation", "/v1/images/generations", used(images.usage));
  const sound = async () => ({ file: await toFile(Buffer.from("RIFF" + WORD), WORD + ".wav"), model: "gpt-4o-transcribe" });
  const heard = await api.audio.transcriptions.create(await sound());
  tell("openai", "transcription", "/v1/audio/transcriptions", used(heard.usage));
  let texts = 0;
  let last;
  for await (const event of await api.audio.transcriptions.create({ ...(await sound()), stream: true })) {
    last = event;
    texts += event.type === "transcript.text.delta" ? 1 : 0;
  }
  tell("openai", "transcription", "/v1/audio/transcriptions", used(last.usage, { stream: true, texts }));
  texts = 0;
  for await (const event of await api.responses.create({ model: "gpt-5", input: WORD, stream: true })) {
    last = event;
    texts += event.type === "response.output_text.delta" ? 1 : 0;
  }
  tell("openai", "chat", "/v1/responses", used(last.response.usage, { stream: true, model: last.response.model, texts }));
  const azure = new AzureOpenAI({ apiKey: WORD, endpoint: BASE, apiVersion: "2024-10-21", maxRetries: 0 });
  tell("azure.ai.openai", "chat", "/openai/deployments/prod-gpt/chat/completions", chat(await azure.chat.completions.create({ model: "prod-gpt", messages: HI })));
}

async function anthropic() {
  const { Anthropic } = await client("@anthropic-ai/sdk");
  const api = new Anthropic({ apiKey: WORD, baseURL: BASE, maxRetries: 0 });
  const call = { model: "claude-test", max_tokens: 64, messages: HI };
  const facts = (m, more) => {
    const u = m.usage;
    const input = u.input_tokens + (u.cache_read_input_tokens ?? 0) + (u.cache_creation_input_tokens ?? 0);
    return { model: m.model, input, output: u.output_tokens, finish: m.stop_reason, ...more };
  };
  let texts = 0;
  const stream = api.messages.stream(call);
  for await (const event of stream) texts += ["text_delta", "thinking_delta", "input_json_delta"].includes(event.delta?.type) ? 1 : 0;
  tell("anthropic", "chat", "/v1/messages", facts(await stream.finalMessage(), { stream: true, texts }));
  tell("anthropic", "chat", "/v1/messages", facts(await api.messages.create(call)));
}

// Of TGI's own paths this client knows none any more.
async function huggingFace() {
  const { InferenceClient } = await client("@huggingface/inference");
  const api = new InferenceClient(WORD).endpoint(BASE);
  let texts = 0;
  let last;
  for await (const part of api.chatCompletionStream({ model: "tgi", messages: HI })) {
    last = part;
    texts += part.choices[0]?.delta.content ? 1 : 0;
  }
  const { model, usage, choices } = last;
  tell("openai", "chat", "/v1/chat/completions", { stream: true, model, input: usage.prompt_tokens, output: usage.completion_tokens, finish: choices[0].finish_reason, texts });
}

(async () => {
  for (const run of [ollama, gemini, cohere, mistral, openai, anthropic, huggingFace]) await run();
})();
