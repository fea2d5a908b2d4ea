"""`curl_cffi_client.py BASE_URL CA GO PLAN VERSION`: makes the calls of PLAN (JSON bodies, one a line) by curl_cffi on one
connection of HTTP VERSION (`1.1` or `2`), once the file GO is there. Prints the versions that were spoken."""

import os
import sys
import time

from curl_cffi import CurlHttpVersion, requests

base, ca, go, plan, version = sys.argv[1:]
wanted = {"1.1": CurlHttpVersion.V1_1, "2": CurlHttpVersion.V2TLS}[version]
spoken = set()
with requests.Session(verify=ca, http_version=wanted) as session:
    while not os.path.exists(go):
        time.sleep(0.01)
    for body in open(plan, "rb"):
        response = session.post(base + "/chat/completions", data=body, headers={"Content-Type": "application/json"}, stream=True)
        assert response.status_code == 200, response.status_code
        for _ in response.iter_content():
            pass
        spoken.add(response.http_version)
        response.close()
print(*spoken)
