"""Takes an order over HTTP, stores it and announces it."""
import base64
import json
import os
import uuid
from datetime import datetime, timezone

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
sns = boto3.client("sns")


def handler(event, context):
    body = event.get("body") or "{}"
    try:
        if event.get("isBase64Encoded"):  # HTTP APIs encode what is not declared as text: a plain `curl -d`, for one
            body = base64.b64decode(body)
        order = json.loads(body)
    except ValueError:
        return reply(400, {"error": "the body is not JSON"})
    if not isinstance(order, dict) or not isinstance(order.get("items", []), list):
        return reply(400, {"error": "an order is an object with a list of items"})

    order_id = str(uuid.uuid4())
    record = {
        "orderId": order_id,
        "createdAt": datetime.now(timezone.utc).isoformat(),
        "items": json.dumps(order.get("items", [])),
    }
    table.put_item(Item=record)
    sns.publish(TopicArn=os.environ["TOPIC"], Subject="New order", Message=json.dumps(record))
    print(f"order {order_id} accepted")
    return reply(201, {"orderId": order_id})


def reply(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body)}
