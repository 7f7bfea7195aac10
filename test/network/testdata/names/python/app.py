"""Goes to AWS's own names, in each of the ways in which programs do."""
import http.client
import json
import os
import socket
import ssl
import urllib.error
import urllib.request

import boto3
from botocore.config import Config

IDENTITY = "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"


def unsigned(context=None):
    try:
        urllib.request.urlopen(IDENTITY, context=context, timeout=10)
        return "accepted"
    except urllib.error.HTTPError as e:
        return str(e.code) + " " + e.read().decode().split("<Code>")[1].split("<")[0]


def protocol():
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("lambda.eu-west-1.amazonaws.com", 443), 10) as plain:
        with context.wrap_socket(plain, server_hostname="lambda.eu-west-1.amazonaws.com") as tls:
            return tls.selected_alpn_protocol()


def plain():
    conn = http.client.HTTPConnection("sqs.us-east-1.amazonaws.com", timeout=10)
    conn.request("GET", "/_croft/status", headers={"X-Croft-Control": "1"})
    return conn.getresponse().status


def by_requests():
    try:
        import requests
    except ImportError:
        return "no requests"
    return str(requests.get(IDENTITY, timeout=10).status_code)


def handler(event, context):
    out = {"urllib": unsigned(), "context": unsigned(ssl.create_default_context()), "alpn": protocol(), "control": plain(), "requests": by_requests()}
    del os.environ["AWS_ENDPOINT_URL"]
    once = Config(retries={"max_attempts": 1}, connect_timeout=10)
    out["sdk"] = boto3.client("sts", config=once, region_name="us-east-1").get_caller_identity()["Arn"]
    sqs = boto3.client("sqs", config=once, endpoint_url="https://sqs.us-east-1.amazonaws.com")
    url = sqs.create_queue(QueueName="by-name")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    out["messages"] = len(sqs.receive_message(QueueUrl=url).get("Messages", []))
    s3 = boto3.client("s3", config=once, region_name="us-east-1")
    s3.create_bucket(Bucket="by-name")
    s3.put_object(Bucket="by-name", Key="k", Body=b"v")
    out["object"] = s3.get_object(Bucket="by-name", Key="k")["Body"].read().decode()
    del os.environ["AWS_CA_BUNDLE"], os.environ["REQUESTS_CA_BUNDLE"], os.environ["SSL_CERT_FILE"]
    out["system"] = unsigned(ssl.create_default_context())
    return out
