"""Works off the shipping queue: one shipment for each order. Running twice for the same order leaves the same shipment."""
import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, context):
    for record in event["Records"]:
        order = json.loads(json.loads(record["body"])["Message"])
        table.put_item(Item={"orderId": order["orderId"], "state": "shipped", "message": record["messageId"]})
        print(f"order {order['orderId']} shipped")
