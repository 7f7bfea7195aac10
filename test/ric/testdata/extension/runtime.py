"""A runtime: it answers every event with itself."""
import http.client
import os

api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    api.request("GET", "/2018-06-01/runtime/invocation/next")
    event = api.getresponse()
    body = event.read()
    api.request("POST", "/2018-06-01/runtime/invocation/%s/response" % event.getheader("Lambda-Runtime-Aws-Request-Id"), body)
    api.getresponse().read()
