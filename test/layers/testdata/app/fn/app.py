import os


def handler(event, context):
    import shared

    if event.get("fail"):
        raise Exception("no")
    return {"said": shared.greet(event.get("name", "you"))}


def version(event, context):
    import requests

    return requests.__version__


def loop(event, context):
    import boto3

    boto3.client("sqs").send_message(QueueUrl=os.environ["QUEUE"], MessageBody="again")
