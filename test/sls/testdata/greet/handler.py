def hello(event, context):
    return {"hello": event.get("name", "nobody")}
