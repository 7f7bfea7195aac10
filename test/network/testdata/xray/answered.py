"""Answers the request that the application makes to a host that nobody serves, and a query that croft does not implement, and leaves the rest as it is."""
import botocore.client
import botocore.exceptions
import requests


class Answer:
    def raise_for_status(self):
        pass

    def json(self):
        return {"valid": True}


def post(url, **_):
    assert url == "https://api.example.com/validate", url
    return Answer()


requests.post = post
call = botocore.client.BaseClient._make_api_call


def query(client, operation, args):
    try:
        return call(client, operation, args)
    except botocore.exceptions.ClientError as e:
        if operation != "Query" or e.response["Error"]["Code"] != "NotImplemented":
            raise
        return {"Items": [], "Count": 0, "ResponseMetadata": e.response["ResponseMetadata"]}


botocore.client.BaseClient._make_api_call = query


def handler(event, context):
    import lambda_function
    return lambda_function.lambda_handler(event, context)
