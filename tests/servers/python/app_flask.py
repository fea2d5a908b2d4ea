"""The scripted model as a Flask app: `flask --app app_flask run` or `gunicorn app_flask:app`."""

import time

import script
from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/health")
def health():
    script.Script(request.method, "/health").done()
    return jsonify(ok=True), 200, {"X-Reply": script.WORD}


@app.post("/v1/<path:rest>")
def v1(rest):
    s = script.Script("POST", request.path)
    s.plan(request.get_json(force=True))
    if s.status >= 400 or not s.stream:
        time.sleep(s.ttft)
        answer = jsonify(s.json())
        s.done()
        return answer, s.status, {"X-Reply": script.WORD}

    def body():
        whole = False
        try:
            for wait, kind, data in s.events():
                if wait:
                    time.sleep(wait)
                s.saw(kind)
                yield data
            whole = True
        finally:
            s.done(whole)

    return Response(body(), mimetype="text/event-stream")
