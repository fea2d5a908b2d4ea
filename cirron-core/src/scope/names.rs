//! Every name that is written: spans, attributes, marks. `docs/attributes.md` is this table.

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// As written.
    pub name: &'static str,
    /// Of the value, with its unit.
    pub kind: &'static str,
    /// When it is there.
    pub when: &'static str,
    /// Where the name comes from.
    pub source: &'static str,
}

macro_rules! names {
    ($(#[$doc:meta])* $table:ident: $($id:ident = $name:literal, $kind:literal, $when:literal, $source:literal;)*) => {
        $(
            #[doc = $when]
            pub const $id: &str = $name;
        )*
        $(#[$doc])*
        pub const $table: &[Name] = &[$(Name { name: $name, kind: $kind, when: $when, source: $source },)*];
    };
}

names! {
    /// Names of spans.
    SPANS:
    SESSION = "cirron.session", "root", "one for each target process that was named or has served or called something", "SDK";
    REQUEST = "request", "child of the session", "an exchange that the target serves", "SDK";
    HTTP_CLIENT = "http.client", "child of the request or scope that it was made for, else of the session", "an exchange that the target makes as a client", "cirron";
    NET_CLIENT = "net.client", "child of the request or scope that it was done for, else of the session", "with `--net-scopes`, or a rule with `net_scopes`: what one of them did on a connection of the target as a client that carries no HTTP (a database, a cache), from its first byte to the last of the answer, and on while it asks again within 10 ms", "cirron";
    RESPONSE = "response", "child of the exchange whose WebSocket carries it", "a response of a session of messages (OpenAI's Realtime)", "cirron";
}

names! {
    /// What a scope is part of.
    JOIN_ATTRS:
    PARENT_BY = "cirron.parent.by", "string: `id`, the program named it; `thread`, `goroutine`, it worked for the parent when this began; `fork`, the parent's thread forked the process, which had ended when the parent did; `context`, this began in the context (Python's `contextvars`) that also began the parent's answer; `context_descent`, in one that descends from the read of the parent's request, and ended with it: who started this is certain, and not that it was for nobody else; `goroutine_descent`, the same of Go's goroutines: that one was made while the parent's request was in progress, by the one that read it or a descendant of that, and ended with it", "the parent is another scope than the session, and not by what the scope is (a response of its WebSocket)", "cirron";
    PARENT_UNKNOWN = "cirron.parent.unknown", "string, the reason: `no_request_on_thread`; `several_requests` read by the thread were open; `event_loop`, threads of the process wait for several at once; `handed_over`, one thread reads and another answers, also once and of another request; `unproven_threads`, neither was seen, and nothing that shows the opposite; `not_answered` by that thread; `records_lost`, bytes of the request that it may be part of were lost; `child_outlives`, the process that was forked for it lived on behind its end; `multiplexed`, an exchange of HTTP/2; `context_outlives`, the context of Python or the goroutine that this began in, or one that it descends from, did not end with the request; `other_context`, it serves the connection, and another one answered; `unproven_goroutine`, nothing shows that the goroutine which read the request did nothing else until it answered; `goroutine`, whose number is not known in this version of Go; `writer_unknown`, its first bytes were held back; `began_before_attach`; `parent_not_seen` or `parent_ended`, of the one that the program named; `end_not_seen`, of the scope that it may be part of; `too_many` scopes waited", "it may be part of another scope, and nobody knows of which: it hangs below the session", "cirron";
    TRACE_ID = "cirron.trace_id", "string, 32 hexadecimal characters", "the exchange carries a `traceparent`, whose trace this is; or it is one end of a connection whose other end is a target's too, or is around or within such a one: then the trace of its caller, else of its parent, else the one that every `traceparent` within it names (of who begins a trace itself), else its own id", "cirron";
    CALLER_SPAN_ID = "cirron.caller.span_id", "string: 32 hexadecimal characters, the id of an `http.client`; 16, the parent id of the request's `traceparent` as sent", "on `request`: who called. It stays below its own session, since a parent there would leave that one empty", "cirron";
    CALLER_BY = "cirron.caller.by", "string: `connection`, the call is the same exchange at the other end of the connection; `traceparent`, the header says it", "with `cirron.caller.span_id`", "cirron";
    SENT_SPAN_ID = "cirron.sent.span_id", "string, 16 hexadecimal characters", "on `http.client`: the parent id of the `traceparent` that it sent, by which an agent elsewhere names it", "cirron";
}

names! {
    /// What is said of scopes of probes, besides what the program says, `request_id`, `error` and `cirron.partial`.
    SCOPE_ATTRS:
    SCOPE_END = "cirron.scope.end", "string: `cancelled`, its future or task was dropped before it was ready; `unwound`, its end was not seen, but that of what is around it (a panic, an exception, a lost event); `left_open`, its process ended, called exec or was released, or the agent ended", "a scope or request of a probe, or of a function, that did not end as it should; where a panic or exception went through it, `error` says so", "cirron";
    ATTRS_LEFT_OUT = "cirron.attributes_left_out", "int, from 1", "attributes that had no room", "cirron";
    TOLD_BY = "cirron.told.by", "string, as `cirron.parent.by`", "a `request` that was seen on the wire and that its program tells too (`@inference`, `request!`): how it is known that they are one", "cirron";
    MARKS_LEFT_OUT = "cirron.marks_left_out", "int, from 1", "marks that had no room", "cirron";
}

names! {
    /// Attributes of `cirron.session`.
    SESSION_ATTRS:
    PID = "pid", "int", "always", "SDK";
    RANK = "rank", "int", "always: `RANK`, else `LOCAL_RANK`, else 0", "SDK";
    RUN_ID = "cirron.run_id", "string", "the target's environment has `CIRRON_RUN_ID`", "SDK";
    PIPELINE_ID = "cirron.pipeline_id", "string", "the target's environment has `CIRRON_PIPELINE_ID`", "SDK";
    DEPLOYMENT_ID = "cirron.deployment_id", "string", "the target's environment has `CIRRON_DEPLOYMENT_ID`, else its pod has the annotation or label `cirron.com/deployment-id`", "SDK";
    WORKSPACE_ID = "cirron.workspace_id", "string", "the target's environment has `CIRRON_WORKSPACE_ID`, else its pod has the annotation or label `cirron.com/workspace-id`", "SDK";
    EXECUTABLE = "process.executable.name", "string", "the executable's name could be read", "OpenTelemetry";
    CONTAINER_ID = "container.id", "string, 64 hexadecimal digits", "the process's cgroup is named after a container", "OpenTelemetry";
    CONTAINER_NAME = "container.name", "string", "the process is in a container outside of Kubernetes, and the state of Docker, Podman or nerdctl on the machine names it", "OpenTelemetry";
    IMAGE_NAME = "container.image.name", "string: registry and path, as whoever started it wrote them", "the process is in a container, and the kubelet or its runtime's state names the image", "OpenTelemetry";
    IMAGE_TAGS = "container.image.tags", "string: the tag; where a digest was given too, without that", "with `container.image.name`, where a tag was given", "OpenTelemetry";
    POD = "k8s.pod.name", "string", "the process is in a pod's container: the kubelet says so, or the state of containerd or CRI-O on the machine", "OpenTelemetry";
    POD_UID = "k8s.pod.uid", "string", "with `k8s.pod.name`", "OpenTelemetry";
    NAMESPACE = "k8s.namespace.name", "string", "with `k8s.pod.name`", "OpenTelemetry";
    POD_CONTAINER = "k8s.container.name", "string", "with `k8s.pod.name`: the container's name in the pod", "OpenTelemetry";
    NODE = "k8s.node.name", "string", "the kubelet answered, and the pod is bound to a node", "OpenTelemetry";
    DEPLOYMENT = "k8s.deployment.name", "string", "the kubelet answered: the pod's ReplicaSet is named after its hash, as a Deployment's are", "OpenTelemetry";
    REPLICASET = "k8s.replicaset.name", "string", "the kubelet answered: it controls the pod", "OpenTelemetry";
    STATEFULSET = "k8s.statefulset.name", "string", "the same", "OpenTelemetry";
    DAEMONSET = "k8s.daemonset.name", "string", "the same", "OpenTelemetry";
    JOB = "k8s.job.name", "string", "the same", "OpenTelemetry";
    CRONJOB = "k8s.cronjob.name", "string", "the same: the Job's name ends in the minute of about the pod's creation, as a CronJob's do", "OpenTelemetry";
    POD_OWNER = "cirron.k8s.owner", "string: `KIND/NAME`", "the kubelet answered: what controls the pod is none of these", "cirron";
    POD_LABEL = "k8s.pod.label.", "string", "the kubelet answered: the pod has this label, whose name follows, and `[kubernetes] labels` asks for it ([configuration.md](configuration.md))", "OpenTelemetry";
    TARGET = "cirron.target", "string", "found by `daemon`: the `name` of the rule that chose the process, or a process that it descends from", "cirron";
    TLS_BLIND = "cirron.tls.blind", "string: `LIBRARY in FILE`, by commas", "at its end: it had a TLS connection that was not read, and has these libraries that cannot be; looked for in the background, so a process of a moment may lack them", "cirron";
    TLS_UNREAD = "cirron.tls.unread_connections", "int, from 1", "at its end: connections that carried TLS which was not read", "cirron";
    UNNAMED_CONNECTIONS = "cirron.unnamed_connections", "int, from 1", "at its end: connections with exchanges that nothing named: joined late, or behind a hole, their heads refer to what was not seen", "cirron";
    IGNORED_EXCHANGES = "cirron.ignored_exchanges", "int, from 1", "at its end: exchanges that a rule ignores, which are no spans", "cirron";
    SAMPLED_OUT_EXCHANGES = "cirron.sampled_out_exchanges", "int, from 1", "at its end: exchanges that sampling left out, which are no spans", "cirron";
    NET_TURNS_LEFT_OUT = "cirron.net.turns_left_out", "int, from 1", "at its end: questions on connections that carry no HTTP which are in no `net.client`: there were more than 64 of one request or 1 000 of the process in a second, or another's came before it was known that there is no HTTP", "cirron";
    NET_BYTES_LEFT_OUT = "cirron.net.bytes_left_out", "int, bytes", "with `cirron.net.turns_left_out`: what these wrote and read", "cirron";
    UNNAMED_EXCHANGES = "cirron.unnamed_exchanges", "int, from 1", "with `cirron.unnamed_connections`: those exchanges, which are no spans", "cirron";
    PARENTS_KNOWN = "cirron.parents.known", "int, from 1", "at its end: spans of it with `cirron.parent.by`", "cirron";
    PARENTS_UNKNOWN = "cirron.parents.unknown", "int, from 1", "at its end: spans of it with `cirron.parent.unknown`", "cirron";
    TLS_SILENT = "cirron.tls.silent_connections", "int, from 1", "at its end: connections that were seen in a TLS library and gave no plaintext: only a handshake, or plaintext that goes around its functions", "cirron";
}

names! {
    /// Attributes of `request`, `http.client` and `response`.
    EXCHANGE_ATTRS:
    REQUEST_ID = "request_id", "string, UUID4 hex", "always, but not on `response`", "SDK";
    PROTOCOL_NAME = "network.protocol.name", "string: `websocket`", "a WebSocket; where it is absent, the protocol is HTTP", "OpenTelemetry";
    PROTOCOL_VERSION = "network.protocol.version", "string", "a head was seen; of HTTP, also for a WebSocket", "OpenTelemetry";
    METHOD = "http.request.method", "string", "the request's head was seen; `_OTHER` for methods that the conventions do not know", "OpenTelemetry";
    METHOD_ORIGINAL = "http.request.method_original", "string", "`http.request.method` is `_OTHER`", "OpenTelemetry";
    SCHEME = "url.scheme", "string: `https`", "the exchange was read inside a TLS library", "OpenTelemetry";
    TLS_LINK = "cirron.tls.link", "string: `call`, the library moved the socket's bytes itself; `lengths`, the thread sent twice in a row what it had written before; `secret`, a secret that the library announced opens what passed on the socket", "the exchange was read inside TLS, and the socket beneath is known", "cirron";
    PATH = "url.path", "string, without query, userinfo and parameters", "the request's head was seen", "OpenTelemetry";
    NAME = "cirron.name", "string", "a rule names such exchanges ([configuration.md](configuration.md))", "cirron";
    ROUTE = "http.route", "string: a path with `{name}` for segments", "a rule for this path of a `request` names segments", "OpenTelemetry";
    URL_TEMPLATE = "url.template", "string: a path with `{name}` for segments", "a rule for this path of an `http.client` names segments", "OpenTelemetry";
    SAMPLED_ONE_IN = "cirron.sampled_one_in", "int, from 2", "a rule samples such exchanges: one in this number is written, the others are counted (`cirron.sampled_out_exchanges`)", "cirron";
    REQUEST_HEADER = "http.request.header.", "string, 1 024 bytes at most; several lines joined by commas", "a rule asks for this header field of the request, whose name follows in lower case", "OpenTelemetry";
    RESPONSE_HEADER = "http.response.header.", "string, 1 024 bytes at most; several lines joined by commas", "the same of the response", "OpenTelemetry";
    REQUEST_SIZE = "http.request.body.size", "int, bytes on the wire", "the request's head was seen, and some of its body or its end", "OpenTelemetry";
    RESPONSE_SIZE = "http.response.body.size", "int, bytes on the wire", "the response's head was seen, and some of its body or its end; not of a WebSocket or tunnel", "OpenTelemetry";
    STATUS = "http.response.status_code", "int", "the response's head was seen", "OpenTelemetry";
    ERROR_TYPE = "error.type", "string", "a status of 500 or above (400 for a client), a status of gRPC that its conventions call an error, else the class of the error in the body of an LLM call; where it names none, the status of 400 or above, else `_OTHER`", "OpenTelemetry";
    ERROR = "error", "bool, true", "with `error.type`", "SDK";
    UPGRADED = "cirron.upgraded", "bool, true", "the connection, or its stream, left HTTP by CONNECT or an upgrade (not to HTTP/2)", "cirron";
    REQUEST_MESSAGES = "cirron.request.messages", "int", "a WebSocket or a gRPC call: whole messages that the client sent", "cirron";
    REQUEST_MESSAGE_BYTES = "cirron.request.message_bytes", "int, bytes of their payload on the wire", "with `cirron.request.messages`", "cirron";
    RESPONSE_MESSAGES = "cirron.response.messages", "int", "a WebSocket or a gRPC call: whole messages that the server sent", "cirron";
    RESPONSE_MESSAGE_BYTES = "cirron.response.message_bytes", "int, bytes of their payload on the wire", "with `cirron.response.messages`", "cirron";
    MESSAGES_PARTIAL = "cirron.messages_partial", "bool, true", "the number of messages is a lower bound: a hole or a late attach may have taken some", "cirron";
    CLOSED_BY = "cirron.websocket.closed_by", "string: `client`, `server`", "a Close frame was seen: who sent the first", "cirron";
    CLOSE_CODE = "cirron.websocket.close_code", "int (RFC 6455, section 7.4)", "the first Close frame says it", "cirron";
    RESPONSE_BEGIN = "cirron.response.begin", "string: `asked`, with the client's message that asks for it; `created`, with the server's first about it; `late`, in the middle", "on `response`: what its times count from", "cirron";
    RPC_SYSTEM = "rpc.system.name", "string: `grpc`", "the exchange is a gRPC call", "OpenTelemetry";
    RPC_METHOD = "rpc.method", "string: `PACKAGE.SERVICE/METHOD`", "of a gRPC call whose path was seen", "OpenTelemetry";
    RPC_STATUS = "rpc.response.status_code", "string: `OK`, `UNAVAILABLE`, ...", "of a gRPC call: its status was seen", "OpenTelemetry";
    TRANSPORT = "network.transport", "string: `unix`; `tcp`", "a Unix socket; a TCP socket of which neither address nor port is known: with one of them it is TCP", "OpenTelemetry";
    NETWORK_TYPE = "network.type", "string: `ipv4`", "a socket of IPv4 of which no address is known: an address says its own type (a mapped one is written as IPv4)", "OpenTelemetry";
    SERVER_ADDRESS = "server.address", "string", "known", "OpenTelemetry";
    SERVER_PORT = "server.port", "int", "known", "OpenTelemetry";
    CLIENT_ADDRESS = "client.address", "string", "known", "OpenTelemetry";
    CLIENT_PORT = "client.port", "int", "known", "OpenTelemetry";
    PARTIAL = "cirron.partial", "bool, true", "a hole, a late attach or an early end touched the exchange", "cirron";
    LATE_ATTACH = "cirron.late_attach", "bool, true", "its beginning was not seen", "cirron";
    LOST_BYTES = "cirron.lost_bytes", "int", "bytes of it passed uncaptured", "cirron";
    END_LOST = "cirron.end_lost", "bool, true", "it is partial, its connection has ended, and the event that told how was lost: it ends where it was seen last", "cirron";
    ABORTED_BY = "cirron.aborted_by", "string: `client`, `server`, `agent`", "it ended before its response was whole (neither its last event, nor the reason to end of every choice with the usage that was asked for, nor, of gRPC, its status had come), or the rest was written to a client that had left", "cirron";
    TIMES = "cirron.times", "string: `held`, the kernel held bytes back (`TCP_CORK`, `MSG_MORE`, Nagle, a closed window), and it is not known to 5 ms when it sent them", "times of first byte, tokens or end rest on such bytes: what was sent is stamped when it was written or seen to have gone", "cirron";
    UNDECODED = "cirron.body_undecoded", "bool, true", "a body of an LLM call has a content coding that could not be undone, or not to its end", "cirron";
    GIVEN_UP = "cirron.given_up", "string: `memory`", "the agent held too much (`--max-memory`): from here on its bodies were not read, or nothing of it", "cirron";
    LOST_EVENTS = "cirron.lost_events", "int, places", "holes in its stream of events: at each, events or parts of them were not read", "cirron";
    OPERATION = "gen_ai.operation.name", "string: `chat`, `text_completion`, `generate_content`, `embeddings`, `rerank`, `image_generation`, `transcription`, `speech`; `inference` for models that are no language models", "an LLM call", "OpenTelemetry";
    PROVIDER = "gen_ai.provider.name", "string: the dialect", "an LLM call", "OpenTelemetry";
    REQUEST_MODEL = "gen_ai.request.model", "string", "the request names one", "OpenTelemetry";
    CHOICE_COUNT = "gen_ai.request.choice.count", "int", "the request asks for another number than 1", "OpenTelemetry";
    STREAM = "cirron.request.stream", "bool", "the request says it, or was read to its end", "cirron";
    RESPONSE_MODEL = "gen_ai.response.model", "string", "the response names one", "OpenTelemetry";
    MODEL_VERSION = "cirron.model.version", "string", "the response, else the request, names one (KServe v2)", "cirron";
    RESPONSE_ID = "gen_ai.response.id", "string", "the response has one", "OpenTelemetry";
    FINISH_REASONS = "gen_ai.response.finish_reasons", "string, one for each choice, joined by commas", "the response says", "OpenTelemetry";
    CACHED_TOKENS = "gen_ai.usage.cache_read.input_tokens", "int, tokens", "usage reports them", "OpenTelemetry";
    REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens", "int, tokens", "usage reports them", "OpenTelemetry";
    AUDIO_INPUT_TOKENS = "cirron.usage.audio.input_tokens", "int, tokens", "usage reports them", "cirron";
    AUDIO_OUTPUT_TOKENS = "cirron.usage.audio.output_tokens", "int, tokens", "usage reports them", "cirron";
    FIGURES = "cirron.figures", "string: `complete`; `estimated`, tokens were counted by us; `partial`, a hole, an early end, or an error touched it (`cirron.lost_bytes`, `cirron.lost_events`, `cirron.aborted_by`, `error.type` say which); `late_attach`; `header_only`, no body of the response could be read, or nothing in it was what a dialect writes", "an LLM call", "cirron";
    BURST = "cirron.stream.burst", "bool, true", "a stream whose events came all at once, faster than any model makes them: it was held back, and its times between tokens are not the model's", "cirron";
    TOOL_CALLS = "cirron.response.tool_calls", "int", "the response calls tools, and none can be missing", "cirron";
}

names! {
    /// Attributes of `net.client`.
    NET_ATTRS:
    NET_SENT = "cirron.net.bytes_sent", "int, bytes", "always: what the target wrote; where bytes were lost, those that were not", "cirron";
    NET_RECEIVED = "cirron.net.bytes_received", "int, bytes", "always: the same of what it read", "cirron";
    NET_ROUND_TRIPS = "cirron.net.round_trips", "int", "always: times that it read an answer behind what it had written", "cirron";
    NET_PROTOCOL = "cirron.net.protocol", "string: `postgresql`, `mysql`, `redis`", "the connection's first bytes are that protocol's, or, where it was open before the attach, those of a question and its answer; else it is not known", "cirron";
    NET_TLS = "cirron.net.tls", "string: `plaintext`, the bytes are those inside of TLS; `ciphertext`, those of TLS itself, its handshakes too, whose library is not read", "the connection carries TLS", "cirron";
    NET_GOES_ON = "cirron.net.goes_on", "true", "its last question or answer went on for 60 s and more, as a subscription does: what is read behind that is in no scope, and counted; what is written begins another", "cirron";
}

names! {
    /// Marks of exchanges.
    EXCHANGE_MARKS:
    TIME_IN_QUEUE = "time_in_queue_ms", "float, ms; `resolution_ms`", "of a `request` over TCP, where the kernel told when its bytes came: from the arrival of the last bytes that the read of its first byte found, to that read, where all other times begin; after an accept too", "cirron";
}

names! {
    /// Marks of exchanges that carry messages.
    MESSAGE_MARKS:
    TIME_TO_FIRST_MESSAGE = "time_to_first_message_ms", "float, ms", "request's first byte to the server's first whole message", "cirron";
    TIME_TO_LAST_MESSAGE = "time_to_last_message_ms", "float, ms", "request's first byte to the server's last whole message", "cirron";
    MAX_INTER_MESSAGE = "max_inter_message_ms", "float, ms", "the longest time between two messages of the server, where none can be missing", "cirron";
}

names! {
    /// Marks of LLM calls.
    MARKS:
    PROMPT_TOKENS = "prompt_tokens", "int, tokens; `source`", "of OpenAI's dialects (`openai`, `azure.ai.openai`, `mistral_ai`), and of usage in their shape: as `input_tokens`", "SDK";
    COMPLETION_TOKENS = "completion_tokens", "int, tokens; `source`", "of the same, where `output_tokens` has a `source`", "SDK";
    INPUT_TOKENS = "input_tokens", "int, tokens; `source`, `normalized`", "usage reports them, more than 0; not of a stream of gRPC with several requests", "SDK";
    OUTPUT_TOKENS = "output_tokens", "int, tokens; `source`, `normalized`", "usage reports them, with or behind the last content; else, of a stream, the content events (those behind the last report, where it was made on the way, and what it says), with `estimated` (and `partial` where some may be missing). A 0 beside content is no report", "SDK";
    OUTPUT_TO_NOBODY = "output_tokens_after_client_left", "int, tokens; `estimated`", "content events of a stream that were written when the client had left (its RST_STREAM, or a FIN that turned out to be a close): they are in no other figure, nor is what usage says of them", "cirron";
    TOTAL_TOKENS = "total_tokens", "int, tokens; `source`, `normalized`", "usage reports it or both parts, and it is not less than they are", "SDK";
    TIME_TO_FIRST_BYTE = "time_to_first_byte_ms", "float, ms", "request's first byte to response's first byte, where the response's head was seen; of a `net.client` from the first byte that it wrote to the first that it read behind that", "cirron";
    TIME_TO_FIRST_TOKEN = "time_to_first_token_ms", "float, ms", "of a stream: request's first byte to the first event with content", "SDK";
    TIME_TO_FIRST_REASONING = "time_to_first_reasoning_token_ms", "float, ms", "of a stream that shows its reasoning", "cirron";
    TIME_TO_FIRST_ANSWER = "time_to_first_answer_token_ms", "float, ms", "of a stream that shows its reasoning: the first text of the answer, unless a hole may have taken it", "cirron";
    TIME_TO_FIRST_TOOL = "time_to_first_tool_call_ms", "float, ms", "of a stream that calls tools: the first piece of a call", "cirron";
    TOKENS_PER_SECOND = "tokens_per_second", "float, 1/s; `estimated` where the tokens are", "of a whole stream that no error ended, whose content came with two events or more (what came with one took a time that nobody knows), and of gRPC no other request behind the first token: output tokens over the time from the first token to the stream's end (see `request_duration_ms`)", "SDK";
    TIME_PER_OUTPUT_TOKEN = "time_per_output_token_ms", "float, ms; `estimated` where the tokens are", "as `tokens_per_second`: from the first token to the last, over the tokens between", "cirron";
    MAX_INTER_TOKEN = "max_inter_token_ms", "float, ms", "of a stream without holes, and of gRPC no other request behind the first token: the longest time between two events with content", "cirron";
    REQUEST_DURATION = "request_duration_ms", "float, ms", "request's first byte to the response's last, or to its last event (`[DONE]`, `message_stop` and the like; else the one that ends the last choice, or reports the usage that was asked for) where the client left then", "SDK";
    COST = "cost_usd", "float, US dollars; `basis`", "a rule has the model's `price`, and usage reports all that it takes, whole: input, output (or a total that is the input alone), and what of the input was cached where that is reported; or none has, and one has its deployment's `gpu_price`, and its beginning was seen", "cirron";
    OVERHEAD = "overhead_ms", "float, ms; `of`", "of a `request` for which calls were made, as far as is known: its share that none of them covers. `of: request_duration_ms`: of the time from its first byte to its answer's end; `of: time_to_first_token_ms`: of the time to its first token, where a stream covers until its own first token came", "cirron";
    CHUNK = "chunk_ms", "float, ms; point; `index`", "a rule with `chunk_timing`, `--chunk-timing`, or `stream_chunk_timing` in the target's `CONFIG`: one for each event with content after the first", "SDK";
}

names! {
    /// Attributes of marks.
    MARK_ATTRS:
    SOURCE = "source", "string: the dialect", "the figure is the server's", "SDK";
    NORMALIZED = "normalized", "bool, true", "the name is one of the aliases that all dialects share", "SDK";
    ESTIMATED = "estimated", "bool, true", "the figure was counted by us, or made from one that was", "cirron";
    MARK_PARTIAL = "partial", "bool, true", "a lower bound: an estimate that a hole or a late attach touched, or usage of a response that did not come to its end, or that may have gone on behind its last report", "cirron";
    RESOLUTION = "resolution_ms", "float, ms", "on `time_in_queue_ms`, where the kernel only told about which tick of its own the bytes came in: the value is the middle of a span so long", "cirron";
    OVERHEAD_OF = "of", "string: a mark", "on `overhead_ms`: whose share it is", "cirron";
    BASIS = "basis", "string: `tokens`; `gpu_hour`, its equal part of the time of its deployment's GPUs", "on `cost_usd`: what its price is of", "cirron";
    INDEX = "index", "int, from 1", "on `chunk_ms`", "SDK";
    FIELD = "field", "string: `request.` or `response.`, and keys and places joined by points", "on a mark that a rule makes of a field of a JSON body", "cirron";
    MARK_CUT = "cut", "bool, true", "on the same: the text was longer than 256 bytes", "cirron";
}

/// The tables with their titles, in the order of the document.
pub const TABLES: &[(&str, &[Name])] = &[
    ("Spans", SPANS),
    ("What a scope is part of", JOIN_ATTRS),
    ("Attributes of scopes of probes", SCOPE_ATTRS),
    ("Attributes of `cirron.session`", SESSION_ATTRS),
    (
        "Attributes of `request`, `http.client` and `response`",
        EXCHANGE_ATTRS,
    ),
    (
        "Attributes of `net.client`, besides addresses, `network.transport` and what says that it is partial",
        NET_ATTRS,
    ),
    ("Marks of exchanges", EXCHANGE_MARKS),
    ("Marks of exchanges that carry messages", MESSAGE_MARKS),
    ("Marks of LLM calls", MARKS),
    ("Attributes of marks", MARK_ATTRS),
];

/// Whether a mark of this name is one of ours.
pub fn is_mark(name: &str) -> bool {
    let ours = [EXCHANGE_MARKS, MESSAGE_MARKS, MARKS];
    ours.into_iter().flatten().any(|row| row.name == name)
}

/// The tables as `docs/attributes.md` has them.
#[cfg(test)]
pub(crate) fn markdown() -> String {
    let mut out = String::new();
    for (title, rows) in TABLES {
        out +=
            &format!("## {title}\n\n| name | value | when | from |\n| --- | --- | --- | --- |\n");
        for row in *rows {
            out += &format!(
                "| `{}` | {} | {} | {} |\n",
                row.name, row.kind, row.when, row.source
            );
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To renew the document: `UPDATE_DOCS=1 cargo test -p cirron-core names`.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "renews the document when asked")]
    fn the_document_is_this_table() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/attributes.md");
        let text = std::fs::read_to_string(PATH).unwrap_or_default();
        let (head, tables) = text.split_at(text.find("## Spans").unwrap_or(text.len()));
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(
                PATH,
                format!("{head}{}", markdown().trim_end().to_owned() + "\n"),
            )
            .expect("written");
            return;
        }
        assert_eq!(
            tables.trim_end(),
            markdown().trim_end(),
            "see this test's comment"
        );
    }

    #[test]
    fn no_name_of_a_table_is_there_twice() {
        for (title, rows) in TABLES {
            let mut names: Vec<_> = rows.iter().map(|r| r.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), rows.len(), "{title}");
        }
    }

    /// Names are written by constant only, so that none can be missing here.
    #[test]
    fn no_name_is_written_by_hand() {
        for file in [
            include_str!("write.rs"),
            include_str!("marks.rs"),
            include_str!("call.rs"),
            include_str!("grpc.rs"),
            include_str!("messages.rs"),
            include_str!("net.rs"),
            include_str!("price.rs"),
            include_str!("socket.rs"),
            include_str!("turn.rs"),
            include_str!("wanted.rs"),
            include_str!("probe/content.rs"),
            include_str!("store/content.rs"),
            include_str!("store/traces.rs"),
            include_str!("../engine/session.rs"),
        ] {
            for call in ["insert(\"", "int(\"", "ms(\"", "name: \""] {
                assert!(!file.contains(call), "{call}");
            }
        }
    }
}
