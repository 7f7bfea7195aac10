"""Versions, as boto3 sees them. The one argument is the port of a server on 127.0.0.1."""
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3", endpoint_url=f"http://localhost:{sys.argv[1]}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
    config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
)


def refused(status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["ResponseMetadata"]["HTTPStatusCode"] == status, e.response
        return e.response["ResponseMetadata"]["HTTPHeaders"]
    raise AssertionError(f"{status} was expected of {arguments}")


s3.create_bucket(Bucket="kept")
s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
assert s3.get_bucket_versioning(Bucket="kept")["Status"] == "Enabled"
ids = [s3.put_object(Bucket="kept", Key=f"k/{i % 2}", Body=b"%d" % i)["VersionId"] for i in range(6)]
assert len(set(ids)) == 6 and all(len(i) == 32 for i in ids)
assert s3.get_object(Bucket="kept", Key="k/1", VersionId=ids[1])["Body"].read() == b"1"
marker = s3.delete_object(Bucket="kept", Key="k/1")
assert marker["DeleteMarker"] and marker["ResponseMetadata"]["HTTPStatusCode"] == 204
for call in (s3.get_object, s3.head_object):
    headers = refused(404, call, Bucket="kept", Key="k/1")
    assert headers["x-amz-delete-marker"] == "true" and headers["x-amz-version-id"] == marker["VersionId"], headers
    assert refused(405, call, Bucket="kept", Key="k/1", VersionId=marker["VersionId"])["x-amz-delete-marker"] == "true"
    refused(404, call, Bucket="kept", Key="k/0", VersionId=marker["VersionId"])
    refused(400, call, Bucket="kept", Key="k/0", VersionId="x")

pages = list(s3.get_paginator("list_object_versions").paginate(Bucket="kept", PaginationConfig={"PageSize": 2}))
assert len(pages) == 4, len(pages)
assert [v["VersionId"] for p in pages for v in p.get("Versions", [])] == [ids[i] for i in (4, 2, 0, 5, 3, 1)]
assert [m["IsLatest"] for p in pages for m in p.get("DeleteMarkers", [])] == [True]
assert s3.list_object_versions(Bucket="kept", Delimiter="/")["CommonPrefixes"] == [{"Prefix": "k/"}]

boto3.resource("s3", endpoint_url=s3.meta.endpoint_url, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test").Bucket(
    "kept").object_versions.delete()
s3.delete_bucket(Bucket="kept")
