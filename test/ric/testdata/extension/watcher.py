"""An extension that passes everything it gets on to SINK."""
import http.client
import http.server
import json
import os
import threading

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])


def sink(text):
    c = http.client.HTTPConnection(os.environ["SINK"])
    c.request("POST", "/", text)
    c.getresponse().read()


class Listener(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        sink(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args):
        pass


listener = http.server.HTTPServer(("127.0.0.1", 0), Listener)
threading.Thread(target=listener.serve_forever, daemon=True).start()


def call(method, path, body=None, **headers):
    api.request(method, path, json.dumps(body) if body is not None else None, {k.replace("_", "-"): v for k, v in headers.items()})
    answer = api.getresponse()
    return answer, answer.read().decode()


answer, body = call("POST", "/2020-01-01/extension/register", {"events": ["INVOKE", "SHUTDOWN"]},
                    Lambda_Extension_Name="watcher.py", Lambda_Extension_Accept_Feature="accountId")
me = answer.getheader("Lambda-Extension-Identifier")
sink("registered " + body)
answer, body = call("PUT", "/2022-07-01/telemetry", {
    "schemaVersion": "2022-12-13", "types": ["platform", "function"], "buffering": {"timeoutMs": 25},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:%d" % listener.server_port}}, Lambda_Extension_Identifier=me)
assert answer.status == 200, body
while True:
    answer, body = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
    sink(body)
    if json.loads(body)["eventType"] == "SHUTDOWN":
        break
