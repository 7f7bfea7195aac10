"""Answers the request that the application makes to a host that nobody serves, and leaves the rest as it is."""
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


def handler(event, context):
    import lambda_function
    return lambda_function.lambda_handler(event, context)
