"""Asks AWS's own host names for things, as boto3 and urllib do when they know of no endpoint."""
import urllib.error
import urllib.request

import boto3

print("sqs", len(boto3.client("sqs").list_queues()["QueueUrls"]))
print("plain", len(boto3.client("sqs", use_ssl=False).list_queues()["QueueUrls"]))
print("europe", len(boto3.client("sqs", region_name="eu-west-1").list_queues().get("QueueUrls", [])))
print("sts", boto3.client("sts").get_caller_identity()["Account"])
try:
    urllib.request.urlopen("https://sqs.us-east-1.amazonaws.com/?Action=ListQueues&Version=2012-11-05")
except urllib.error.HTTPError as e:
    print("urllib", e.code)
