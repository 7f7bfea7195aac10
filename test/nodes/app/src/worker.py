import json


def handle(event, context):
    for record in event.get("Records", []):
        print("job", record["body"])
    return {"called": True}
