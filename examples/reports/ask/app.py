import base64
import json
import os

import boto3
import figures

functions = boto3.client("lambda")


def handler(event, context):
    """Takes the numbers and has the report made in the background."""
    body = event.get("body") or ""
    try:
        if event["isBase64Encoded"]:  # function URLs encode what is not declared as text: a plain `curl -d`, for one
            body = base64.b64decode(body).decode()
        numbers = figures.parse(body)
    except ValueError as problem:
        return {"statusCode": 400, "body": json.dumps({"error": str(problem)})}
    answer = functions.invoke(FunctionName=os.environ["REPORT"], InvocationType="Event", Payload=json.dumps({"numbers": numbers}))
    return {"statusCode": 202, "body": json.dumps({"report": answer["ResponseMetadata"]["RequestId"]})}
