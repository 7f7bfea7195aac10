"""Buckets as boto3 uses them. The one argument is the port of a server on 127.0.0.1."""
import json
import socket
import sys
import urllib.error
import urllib.request

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

port = sys.argv[1]
endpoint = "http://127.0.0.1:" + port

# Host names that not every machine resolves lead to the server under test, and nothing leads anywhere else.
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)


def client(region="us-east-1", url=endpoint, key="test", secret="test", style="auto"):
    config = Config(signature_version="s3v4", s3={"addressing_style": style}, retries={"total_max_attempts": 1})
    return boto3.client("s3", region_name=region, endpoint_url=url, aws_access_key_id=key, aws_secret_access_key=secret, config=config)


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, (code, e.response)
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == status, e.response
        return e.response
    raise AssertionError(f"{code} was expected of {arguments}")


s3 = client()
made = s3.create_bucket(Bucket="boto-one")
assert made["Location"] == "/boto-one" and made["BucketArn"] == "arn:aws:s3:::boto-one", made
assert made["ResponseMetadata"]["RequestId"] and made["ResponseMetadata"]["HostId"], made
assert s3.create_bucket(Bucket="boto-one")["Location"] == "/boto-one"
head = s3.head_bucket(Bucket="boto-one")
assert head["BucketRegion"] == "us-east-1" and head["AccessPointAlias"] is False, head
headers = head["ResponseMetadata"]["HTTPHeaders"]
assert headers["content-type"] == "application/xml" and headers["x-amz-request-id"] and headers["x-amz-id-2"], headers
assert s3.get_bucket_location(Bucket="boto-one")["LocationConstraint"] is None

listed = s3.list_buckets()
assert [b["Name"] for b in listed["Buckets"]] == ["boto-one"] and len(listed["Owner"]["ID"]) == 64, listed
assert listed["Buckets"][0]["CreationDate"].tzinfo is not None

# Another region: made there, found from anywhere, as the redirector of botocore follows.
europe = client("eu-west-1")
made = europe.create_bucket(Bucket="boto.two", CreateBucketConfiguration={"LocationConstraint": "eu-west-1", "Tags": [{"Key": "k", "Value": "two words"}]})
assert made["Location"] == f"http://boto.two.s3.eu-west-1.localhost:{port}/", made
assert europe.get_bucket_location(Bucket="boto.two")["LocationConstraint"] == "eu-west-1"
assert s3.get_bucket_location(Bucket="boto.two")["LocationConstraint"] == "eu-west-1"
assert client().head_bucket(Bucket="boto.two")["BucketRegion"] == "eu-west-1"
refused("IllegalLocationConstraintException", 400, europe.create_bucket, Bucket="boto-three")
wrong = refused("InvalidLocationConstraint", 400, s3.create_bucket, Bucket="boto-three", CreateBucketConfiguration={"LocationConstraint": "us-east-1"})
assert wrong["Error"]["LocationConstraint"] == "us-east-1", wrong

pages = list(s3.get_paginator("list_buckets").paginate(PaginationConfig={"PageSize": 1}))
assert [b["Name"] for p in pages for b in p["Buckets"]] == ["boto-one", "boto.two"], pages
assert [b["BucketRegion"] for p in pages for b in p["Buckets"]] == ["us-east-1", "eu-west-1"], pages
assert s3.list_buckets(Prefix="boto.")["Prefix"] == "boto."
assert s3.list_buckets(Prefix="x")["Buckets"] == []

# Errors, with and without a body.
gone = refused("NoSuchBucket", 404, s3.delete_bucket, Bucket="nobodys")
assert gone["Error"]["BucketName"] == "nobodys" and gone["Error"]["Message"] == "The specified bucket does not exist", gone
refused("404", 404, s3.head_bucket, Bucket="nobodys")
refused("NoSuchBucket", 404, s3.get_bucket_location, Bucket="nobodys")
refused("InvalidBucketName", 400, s3.create_bucket, Bucket="Upper")
refused("InvalidBucketAclWithObjectOwnership", 400, s3.create_bucket, Bucket="boto-three", ACL="public-read")
refused("NotImplemented", 501, s3.create_bucket, Bucket="boto-three", ObjectLockEnabledForBucket=True)
other = client(key="111122223333")
refused("BucketAlreadyExists", 409, other.create_bucket, Bucket="boto-one")
refused("403", 403, other.head_bucket, Bucket="boto-one")
refused("AccessDenied", 403, other.delete_bucket, Bucket="boto-one")
refused("AccessDenied", 403, s3.get_bucket_location, Bucket="boto-one", ExpectedBucketOwner="111122223333")
refused("SignatureDoesNotMatch", 403, client(secret="tset").list_buckets)
assert other.list_buckets()["Buckets"] == []

# Everything else names itself.
for call, arguments, name in [
    (s3.put_bucket_website, {"Bucket": "boto-one", "WebsiteConfiguration": {}}, "PutBucketWebsite"),
    (s3.restore_object, {"Bucket": "boto-one", "Key": "k"}, "RestoreObject"),
    (s3.list_bucket_inventory_configurations, {"Bucket": "boto-one"}, "ListBucketInventoryConfigurations"),
    (s3.get_bucket_inventory_configuration, {"Bucket": "boto-one", "Id": "i"}, "GetBucketInventoryConfiguration"),
]:
    assert "s3:" + name + "." in refused("NotImplemented", 501, call, **arguments)["Error"]["Message"], name

# The host forms: below localhost, and AWS's own.
for region, host in [
    ("us-east-1", "s3.localhost"), ("us-east-1", "s3.us-east-1.localhost"), ("us-east-1", "s3.amazonaws.com"),
    ("us-east-1", "s3.us-east-1.amazonaws.com"), ("eu-west-1", "s3.eu-west-1.localhost"), ("eu-west-1", "s3.eu-west-1.amazonaws.com"),
]:
    named = client(region, f"http://{host}:{port}", style="virtual")
    asked = []
    named.meta.events.register("before-send.s3", lambda request, **_: asked.append(request.url))
    configuration = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    named.create_bucket(Bucket="boto-host", **configuration)
    assert named.head_bucket(Bucket="boto-host")["BucketRegion"] == region
    named.get_bucket_location(Bucket="boto-host")
    named.delete_bucket(Bucket="boto-host")
    assert all(url.startswith(f"http://boto-host.{host}:{port}") for url in asked if not url.endswith("?location")), asked
    assert len(named.list_buckets()["Buckets"]) == 2

# A presigned URL, whole and spoilt, and a request that nobody signed.
url = s3.generate_presigned_url("get_bucket_location", Params={"Bucket": "boto-one"})
body = urllib.request.urlopen(url).read()
assert body.endswith(b'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></LocationConstraint>'), body
for bad in [url.replace("boto-one", "boto.two"), url.split("?")[0] + "?location"]:
    try:
        request = urllib.request.Request(bad, headers={"Host": f"s3.localhost:{port}"} if "Signature" not in bad else {})
        urllib.request.urlopen(request)
        raise AssertionError(bad)
    except urllib.error.HTTPError as e:
        text = e.read()
        assert e.code == 403 and e.headers["content-type"] == "application/xml", (e.code, text)
        assert (b"<Code>SignatureDoesNotMatch</Code>" if "Signature" in bad else b"<Code>AccessDenied</Code>") in text, text

# The resource API.
resource = boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test")
bucket = resource.create_bucket(Bucket="boto-four")
bucket.wait_until_exists()
assert sorted(b.name for b in resource.buckets.all()) == ["boto-four", "boto-one", "boto.two"]
assert bucket.creation_date is not None
bucket.delete()
bucket.wait_until_not_exists()
s3.delete_bucket(Bucket="boto-one")
europe.delete_bucket(Bucket="boto.two")
assert s3.list_buckets()["Buckets"] == []
print(json.dumps("done"))
