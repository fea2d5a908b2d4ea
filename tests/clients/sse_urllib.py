"""`sse_urllib.py BASE_URL CA GO PLAN`: makes the calls of PLAN (JSON bodies, one a line) by urllib, once the file GO is there.

Needs nothing but Python 3.9 or later.
"""

import os
import ssl
import sys
import time
import urllib.request

base, ca, go, plan = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
while not os.path.exists(go):
    time.sleep(0.01)
for body in open(plan, "rb"):
    request = urllib.request.Request(base + "/chat/completions", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, context=context) as response:
        for _ in response:
            pass
