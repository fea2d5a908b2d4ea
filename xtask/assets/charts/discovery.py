"""As much of an API server as `kubectl create --dry-run=client` asks for: which kinds there are. Prints its port."""

import http.server
import json

# As a cluster names them: the group and version, and of each kind its plural and whether it is in a namespace.
KINDS = {
    "v1": [("namespaces", "Namespace", False), ("serviceaccounts", "ServiceAccount", True), ("configmaps", "ConfigMap", True)],
    "apps/v1": [("daemonsets", "DaemonSet", True)],
    "rbac.authorization.k8s.io/v1": [
        ("clusterroles", "ClusterRole", False),
        ("clusterrolebindings", "ClusterRoleBinding", False),
    ],
}


def answers():
    groups = []
    for version, kinds in KINDS.items():
        resources = [
            {"name": plural, "singularName": kind.lower(), "kind": kind, "namespaced": namespaced, "verbs": ["create", "get"]}
            for plural, kind, namespaced in kinds
        ]
        path = f"/api/{version}" if version == "v1" else f"/apis/{version}"
        yield path, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        if version != "v1":
            name, short = version.split("/")
            preferred = {"groupVersion": version, "version": short}
            groups.append({"name": name, "versions": [preferred], "preferredVersion": preferred})
    yield "/api", {"kind": "APIVersions", "versions": ["v1"]}
    yield "/apis", {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}


ANSWERS = dict(answers())


class Discovery(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        answer = ANSWERS.get(self.path.split("?")[0])
        body = json.dumps(answer or {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404}).encode()
        self.send_response(200 if answer else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Discovery)
print(server.server_port, flush=True)
server.serve_forever()
