//! The longer texts of `--help`.

/// First line.
pub const ABOUT: &str = "Profiles LLM and ML servers without touching them";

/// What it is.
pub const LONG_ABOUT: &str = "\
Profiles LLM and ML servers without touching them.

cirron-agent attaches to running, unmodified processes with eBPF, reads the HTTP that they serve
and make, and writes what Cirron's @ci.inference would have recorded: one `request` scope for each
exchange, with time to first token, tokens per second and token counts, as batches in
./.cirron/spool that every Cirron reader understands.

Prompts, completions, header values and query strings are not written, but for header fields and
fields of bodies that a rule of --config or of the target's CONFIG names.";

/// How it is called.
pub const USAGE: &str = "\
cirron-agent [OPTIONS] --pid PID...
       cirron-agent [OPTIONS] run -- CMD [ARG]...
       cirron-agent [OPTIONS] daemon
       cirron-agent [OPTIONS] replay FILE
       cirron-agent doctor [--pid PID]...
       cirron-agent alive FILE
       cirron-agent ship [--once] [--output-dir DIR]
       cirron-agent top [--pid PID]...
       cirron-agent tree [--output-dir DIR] [--slow TIME] [--follow]
       cirron-agent report [SPOOL]... [-o FILE]
       cirron-agent explain [SPOOL]... [--slower-than TIME | --request ID]
       cirron-agent export --format FORMAT [SPOOL]... [-o FILE]";

/// Below `-h`.
pub const AFTER_HELP: &str = "\
Example: sudo cirron-agent --pid $(pgrep -o uvicorn)
--help has more examples, the environment and the exit codes.";

/// Below `--help`.
pub const AFTER_LONG_HELP: &str = "\
Examples:
  Watch a server and its workers until Ctrl-C:
      sudo cirron-agent --pid $(pgrep -o uvicorn)
  Watch two servers for a minute, and print each request as it ends:
      sudo cirron-agent --pid 1234,5678 --duration 1m --output spool,stdout
  Start a server and see it from its first byte:
      sudo cirron-agent run -- uvicorn app:app --port 8000
  Find the model servers of this machine, now and as they start, by the rules that come with it:
      sudo cirron-agent daemon
  Look at what happens now, in a running daemon or a process:
      sudo cirron-agent top
      sudo cirron-agent top --pid 1234
  Look at what was recorded; at what is slow or failed, as it comes:
      cirron-agent tree
      cirron-agent report -o report.html --slo ttft=200ms,tpot=30ms
      cirron-agent explain --slower-than 1s
      cirron-agent tree --slow 2s --status error --since 10m --follow
  Take it elsewhere:
      cirron-agent export --format parquet -o requests.parquet
  Keep a capture, and work on it later without root:
      sudo cirron-agent --pid 1234 --record capture.bin
      cirron-agent replay capture.bin
  Find out why it cannot attach:
      sudo cirron-agent doctor

Environment:
  CIRRON_OUTPUT_DIR        as --output-dir
  CIRRON_FLUSH_INTERVAL    as --flush-interval
  CIRRON_TLS               as --tls
  CIRRON_SPOOL_MAX_BYTES   as --spool-max-bytes
      A value that cannot be taken is said, and the default is taken, as in the SDK. The SDK takes
      numbers without units: seconds, and bytes.
  CIRRON_RUN_ID            batches go to standard output as lines, see ship --help
  CIRRON_API_KEY           else batches are uploaded, see ship --help
  CIRRON_API_ENDPOINT      where to [default: https://api.cirron.com]
  CIRRON_INGEST_PATH       and there [default: /api/traces]
  OTEL_EXPORTER_OTLP_...   spans and metrics go to a collector, see docs/metrics.md
  SUDO_UID, SUDO_GID       as root: the user that files are handed to
  Of the target's environment only CIRRON_* (no keys), RANK, LOCAL_RANK and CONFIG are read.

Sizes: 500MB, 1GB (1000 x 1000 x 1000), 2GiB (1024 x 1024 x 1024), or bytes. Times: 500ms, 10s, 5m,
1h30m, or seconds.

Signals:
  SIGINT, SIGTERM, SIGHUP  end the capture and write the rest; a second one ends it at once
                           With --config, SIGHUP reads the file again instead
  SIGUSR1                  the summary so far: a line on standard error, and --summary-json's file

Exit codes:
  0   done; also after Ctrl-C, --duration, the last target's end, a closed pipe
  1   something failed while it ran
  2   the command line, or the file of --config, is wrong
  3   cannot attach: the machine lacks something, or we lack a right
  4   cannot attach: a process that was named is not there
  run: the command's own code; 126 and 127 where it cannot be started; 128 + n after signal n";

/// Below `run --help`.
pub const RUN_AFTER_HELP: &str = "\
The command has the agent's standard input, output and error, its user and its environment; as root
under sudo it runs as root. The agent ends when the command and its children have ended, with the
command's exit code. Signals are handed on to the command: Ctrl-C ends the command, and the agent
after it; a second one ends the capture.

Example: sudo cirron-agent run --output-dir out -- uvicorn app:app --port 8000";

/// Below `daemon --help`.
pub const DAEMON_AFTER_HELP: &str = "\
A process is watched when a rule of --config chooses it ([[targets]]), else a rule that comes with the
agent: vLLM, SGLang, TGI, TEI, llama.cpp, Ollama, Triton, TorchServe, Ray Serve, BentoML, LitServe,
MLServer, LiteLLM, uvicorn, gunicorn, hypercorn, granian, and what else of Python, Node or Go listens
on a socket. New servers are found when they begin to listen. Each process has a session from its
first HTTP exchange on; one that speaks no HTTP has none. What was chosen is said on standard error.

Example: sudo cirron-agent daemon --config /etc/cirron-agent.toml --output-dir /var/lib/cirron";

/// Below `report --help`.
pub const REPORT_AFTER_HELP: &str = "\
The page is one file that loads nothing and needs no script. Its percentiles are exact, and what was
lost, or is not known, is said on it. docs/report.md says what each figure is.

Example: cirron-agent report ./.cirron -o report.html --slo ttft=200ms,tpot=30ms,latency=2s";

/// Below `explain --help`.
pub const EXPLAIN_AFTER_HELP: &str = "\
Without --slower-than and --request: the slowest. It names no causes: it tells what a call's time
consists of, what its own calls and scopes cover of that, and the medians of its like at that time.
What is not known is said, with the reason.

Example: cirron-agent explain --slower-than 1s --limit 3";

/// Below `ship --help`.
pub const SHIP_AFTER_HELP: &str = "\
Where to, as the SDK chooses: with CIRRON_RUN_ID a line of JSON on standard output for each batch, else
with CIRRON_API_KEY an upload to CIRRON_API_ENDPOINT and CIRRON_INGEST_PATH; with OTEL_EXPORTER_OTLP_ENDPOINT
spans and metrics to a collector as well (docs/metrics.md). Each batch is sent at least
once, in the order of their making; which ones a destination has stands in DIR/ship. It needs no rights:
as root it becomes the user whose spool it is. The agent does this by itself, in a process of its own,
where one of these variables is set.

Example: CIRRON_API_KEY=... cirron-agent ship --once --output-dir /var/lib/cirron";

/// Below `export --help`.
pub const EXPORT_AFTER_HELP: &str = "\
perfetto  a trace for ui.perfetto.dev: a track a connection, counters of concurrency and tokens
csv       a line for each scope; parquet has the same columns; what is not known is empty
jsonl     an object for each scope, with all its attributes and marks
otlp      OTLP/JSON, lines of TracesData, as the OpenTelemetry Collector's otlpjsonfile receiver reads them

Binary formats are not written to a terminal. docs/reading.md has the columns.

Example: cirron-agent export --format csv -o requests.csv";

/// Below `replay --help`.
pub const REPLAY_AFTER_HELP: &str = "\
Scopes are printed one a line, unless --output spool asks for a spool. With --ids sequential the
output is the same, byte for byte, each time.

A recording that is cut off or damaged is used as far as it can be read; the exit code is then 1.

Example: cirron-agent replay capture.bin --ids sequential --output spool --output-dir out";

/// Below `top --help`.
pub const TOP_AFTER_HELP: &str = "\
What ended comes from the spool, what goes on from the agents that run, which only their own user may ask. With
neither --pid nor --output-dir it shows what the agents of this machine write, and where none runs ./.cirron/spool.
--pid starts a capture that goes with the view, and keeps nothing.

Keys: q quit, arrows and enter to look inside, s to sort, / to filter, space to pause, ? for all.

Example: sudo cirron-agent top --once --json | jq '.endpoints[] | {endpoint, open, requests_per_s}'";
