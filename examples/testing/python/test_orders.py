"""Tests of the orders example, with the plugin pytest-croft: `pip install ../../../fixtures/python boto3`, and croft on PATH."""

import importlib.util
import json
import time
import urllib.request
from pathlib import Path

import boto3
import pytest

ORDERS = Path(__file__).parent.parent.parent / "orders"


def load(path):
    """Imports a handler afresh, so that its clients are made for this test's account."""
    spec = importlib.util.spec_from_file_location("handler_under_test", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_handler_alone(croft, monkeypatch):
    """One handler as a plain Python function, on real tables and topics: an account of the test's own."""
    boto3.client("dynamodb").create_table(
        TableName="Orders",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "orderId", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "orderId", "KeyType": "HASH"}],
    )
    monkeypatch.setenv("TABLE", "Orders")
    monkeypatch.setenv("TOPIC", boto3.client("sns").create_topic(Name="orders")["TopicArn"])

    answer = load(ORDERS / "create" / "app.py").handler({"body": '{"items": ["book"]}'}, None)

    assert answer["statusCode"] == 201
    stored = boto3.resource("dynamodb").Table("Orders").get_item(Key={"orderId": json.loads(answer["body"])["orderId"]})["Item"]
    assert stored["items"] == '["book"]'


def test_accounts_are_apart(croft):
    """Nothing is left of the test above."""
    assert boto3.client("dynamodb").list_tables()["TableNames"] == []


def test_whole_app(croft_cloud):
    """The app as it is deployed: over HTTP, through the topic and the queue to the second function."""
    url = croft_cloud.deploy(ORDERS)["OrdersUrl"]
    request = urllib.request.Request(url, data=b'{"items": ["book", "pen"]}', headers={"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        order = json.load(answer)["orderId"]

    shipments = boto3.resource("dynamodb").Table("Shipments")
    deadline = time.monotonic() + 30
    while "Item" not in shipments.get_item(Key={"orderId": order}):
        assert time.monotonic() < deadline, "the order was not shipped"
        time.sleep(0.05)


def test_one_function(croft):
    croft.deploy(ORDERS, "mine")
    answer = croft.invoke("CreateOrder", {"body": "this is not JSON"})
    assert answer["statusCode"] == 400


def test_errors_say_what_is_wrong(croft):
    from pytest_croft import CroftError

    with pytest.raises(CroftError, match="nowhere"):
        croft.deploy("nowhere")
    with pytest.raises(CroftError, match="no function nobody"):
        croft.invoke("nobody")
