"""Objects as boto3 uses them. The one argument is the port of a server on 127.0.0.1."""
import base64
import hashlib
import io
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
import zlib

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError, MissingDependencyException

port = sys.argv[1]
endpoint = "http://127.0.0.1:" + port
resolve = socket.getaddrinfo
socket.getaddrinfo = lambda host, *rest, **more: resolve("127.0.0.1", *rest, **more)


def client(region="us-east-1", url=endpoint, key="test", secret="test", style="auto", **more):
    config = Config(signature_version="s3v4", s3={"addressing_style": style, **more.pop("s3", {})}, retries={"total_max_attempts": 1}, **more)
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
s3.create_bucket(Bucket="things")

# One object, whole.
put = s3.put_object(Bucket="things", Key="a/b.txt", Body=b"hello", ContentType="text/plain", CacheControl="no-store", ContentDisposition="inline",
                    ContentEncoding="identity", ContentLanguage="de", Metadata={"one": "1", "Two": "zwei"}, Tagging="a=1&b=two%20words")
assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"' and put["ServerSideEncryption"] == "AES256", put
assert put["ChecksumCRC32"] == base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode() and put["ChecksumType"] == "FULL_OBJECT", put
got = s3.get_object(Bucket="things", Key="a/b.txt")
assert got["Body"].read() == b"hello" and got["ContentLength"] == 5 and got["ETag"] == put["ETag"], got
assert (got["ContentType"], got["CacheControl"], got["ContentDisposition"], got["ContentEncoding"], got["ContentLanguage"]) == \
    ("text/plain", "no-store", "inline", "identity", "de"), got
assert got["Metadata"] == {"one": "1", "two": "zwei"} and got["TagCount"] == 2 and got["AcceptRanges"] == "bytes", got
assert got["ChecksumCRC32"] == put["ChecksumCRC32"], got
headers = got["ResponseMetadata"]["HTTPHeaders"]
assert headers["content-security-policy"].startswith("sandbox") and headers["x-content-type-options"] == "nosniff", headers
head = s3.head_object(Bucket="things", Key="a/b.txt")
assert head["ContentLength"] == 5 and head["Metadata"] == got["Metadata"] and head["LastModified"] == got["LastModified"], head
assert s3.get_object_tagging(Bucket="things", Key="a/b.txt")["TagSet"] == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "two words"}]
s3.put_object_tagging(Bucket="things", Key="a/b.txt", Tagging={"TagSet": [{"Key": "c", "Value": ""}]})
assert s3.get_object_tagging(Bucket="things", Key="a/b.txt")["TagSet"] == [{"Key": "c", "Value": ""}]
s3.delete_object_tagging(Bucket="things", Key="a/b.txt")
assert s3.get_object_tagging(Bucket="things", Key="a/b.txt")["TagSet"] == []

# Parts of it, and conditions.
for header, want, shown in [("bytes=1-3", b"ell", "bytes 1-3/5"), ("bytes=-2", b"lo", "bytes 3-4/5"), ("bytes=4-", b"o", "bytes 4-4/5"), ("bytes=3-99", b"lo", "bytes 3-4/5")]:
    part = s3.get_object(Bucket="things", Key="a/b.txt", Range=header)
    assert part["Body"].read() == want and part["ContentRange"] == shown and part["ResponseMetadata"]["HTTPStatusCode"] == 206, (header, part)
assert s3.head_object(Bucket="things", Key="a/b.txt", Range="bytes=1-3")["ContentLength"] == 3
refused("InvalidRange", 416, s3.get_object, Bucket="things", Key="a/b.txt", Range="bytes=5-")
assert s3.get_object(Bucket="things", Key="a/b.txt", Range="bytes=x-")["Body"].read() == b"hello"
for condition in [{"IfMatch": '"x"'}, {"IfUnmodifiedSince": "2001-01-01"}]:
    refused("PreconditionFailed", 412, s3.get_object, Bucket="things", Key="a/b.txt", **condition)
for condition in [{"IfNoneMatch": put["ETag"]}, {"IfModifiedSince": got["LastModified"]}]:
    refused("304", 304, s3.get_object, Bucket="things", Key="a/b.txt", **condition)
    refused("304", 304, s3.head_object, Bucket="things", Key="a/b.txt", **condition)
refused("PreconditionFailed", 412, s3.put_object, Bucket="things", Key="a/b.txt", Body=b"other", IfNoneMatch="*")
refused("PreconditionFailed", 412, s3.put_object, Bucket="things", Key="a/b.txt", Body=b"other", IfMatch='"x"')
refused("NoSuchKey", 404, s3.put_object, Bucket="things", Key="none", Body=b"other", IfMatch='"x"')
assert s3.get_object(Bucket="things", Key="a/b.txt")["Body"].read() == b"hello"
shown = s3.get_object(Bucket="things", Key="a/b.txt", ResponseContentType="text/html", ResponseCacheControl="max-age=1", ResponseContentDisposition="attachment")
assert (shown["ContentType"], shown["CacheControl"], shown["ContentDisposition"]) == ("text/html", "max-age=1", "attachment"), shown
refused("NoSuchKey", 404, s3.get_object, Bucket="things", Key="none")
refused("404", 404, s3.head_object, Bucket="things", Key="none")
refused("NoSuchBucket", 404, s3.put_object, Bucket="nobodys", Key="k", Body=b"")

# Keys of every kind come back as they were.
keys = ["plain", "with space", "with+plus", "ä/ö ü", "日本語/キー", "a//b", "/leading", "trailing/", "dots/../up", "./here", "..", "%41%2f", "?q=1&r#f", "a&b=c", "tilde~*'()!",
        "quote\"<>", "emoji😀", "back\\slash", "semi;colon,", "\x7f", "//", "a" * 1024]
for k in keys:
    for c in [s3, client(url="http://s3.localhost:" + port, style="virtual")]:
        c.put_object(Bucket="things", Key="odd/" + k if len(k) < 1000 else k, Body=k.encode())
    assert s3.get_object(Bucket="things", Key="odd/" + k if len(k) < 1000 else k)["Body"].read() == k.encode(), k
    s3.put_object(Bucket="things", Key=k, Body=k.encode())
    assert client(url="http://s3.localhost:" + port, style="virtual").get_object(Bucket="things", Key=k)["Body"].read() == k.encode(), k
listed = [o["Key"] for p in s3.get_paginator("list_objects_v2").paginate(Bucket="things", Prefix="odd/", PaginationConfig={"PageSize": 5}) for o in p["Contents"]]
assert listed == sorted(("odd/" + k for k in keys if len(k) < 1000), key=lambda k: k.encode()), listed
assert len(list(boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test").Bucket("things").objects.all())) == 2 * len(keys)
refused("KeyTooLongError", 400, s3.put_object, Bucket="things", Key="a" * 1025, Body=b"")
answer = s3.delete_objects(Bucket="things", Delete={"Objects": [{"Key": k} for k in listed + keys + ["none"]]})
assert len(answer["Deleted"]) == len(listed) + len(keys) + 1 and "Errors" not in answer, answer
assert [o["Key"] for o in s3.list_objects(Bucket="things")["Contents"]] == ["a/b.txt"]

# Listings with a delimiter.
for k in ["p/1", "p/2/x", "p/2/y", "p/3", "p/4/z", "q"]:
    s3.put_object(Bucket="things", Key=k, Body=b"x")
tree = s3.list_objects_v2(Bucket="things", Prefix="p/", Delimiter="/")
assert [o["Key"] for o in tree["Contents"]] == ["p/1", "p/3"] and [c["Prefix"] for c in tree["CommonPrefixes"]] == ["p/2/", "p/4/"] and tree["KeyCount"] == 4, tree
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="things", Prefix="p/", Delimiter="/", PaginationConfig={"PageSize": 1}))
assert [[o["Key"] for o in p.get("Contents", [])] + [c["Prefix"] for c in p.get("CommonPrefixes", [])] for p in pages] == [["p/1"], ["p/2/"], ["p/3"], ["p/4/"]], pages
old = list(s3.get_paginator("list_objects").paginate(Bucket="things", Delimiter="/", PaginationConfig={"PageSize": 1}))
assert [[o["Key"] for o in p.get("Contents", [])] + [c["Prefix"] for c in p.get("CommonPrefixes", [])] for p in old] == [["a/"], ["p/"], ["q"]], old
assert [o["Key"] for o in s3.list_objects_v2(Bucket="things", StartAfter="p/3")["Contents"]] == ["p/4/z", "q"]
assert s3.list_objects_v2(Bucket="things", MaxKeys=0)["KeyCount"] == 0
refused("InvalidArgument", 400, s3.list_objects_v2, Bucket="things", ContinuationToken="?")

# Checksums, of each kind, right and wrong.
for name in ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"]:
    try:
        put = s3.put_object(Bucket="things", Key="sum", Body=b"hello", ChecksumAlgorithm=name)
    except MissingDependencyException:
        continue
    got = s3.get_object(Bucket="things", Key="sum", ChecksumMode="ENABLED")
    assert got["Checksum" + name] == put["Checksum" + name] and got["Body"].read() == b"hello", got
refused("BadDigest", 400, s3.put_object, Bucket="things", Key="sum", Body=b"other", ChecksumCRC32="NhCmhg==")
refused("BadDigest", 400, s3.put_object, Bucket="things", Key="sum", Body=b"other", ContentMD5=base64.b64encode(hashlib.md5(b"x").digest()).decode())
refused("InvalidDigest", 400, s3.put_object, Bucket="things", Key="sum", Body=b"other", ContentMD5="x")
refused("InvalidRequest", 400, s3.put_object, Bucket="things", Key="sum", Body=b"other", ChecksumSHA256="x")
assert s3.get_object(Bucket="things", Key="sum")["Body"].read() == b"hello"
for more in [{"s3": {"payload_signing_enabled": True}}, {"request_checksum_calculation": "when_required"}, {"s3": {"payload_signing_enabled": False}}]:
    client(**more).put_object(Bucket="things", Key="sum", Body=io.BytesIO(b"stream" * 100_000))
    assert client(**more).get_object(Bucket="things", Key="sum")["Body"].read() == b"stream" * 100_000

# Copies.
s3.copy_object(Bucket="things", Key="copy ä+", CopySource={"Bucket": "things", "Key": "sum"})
assert s3.get_object(Bucket="things", Key="copy ä+")["Body"].read() == b"stream" * 100_000
s3.copy_object(Bucket="things", Key="copy 2", CopySource={"Bucket": "things", "Key": "copy ä+"}, MetadataDirective="REPLACE", Metadata={"n": "2"}, ContentType="text/x")
s3.delete_objects(Bucket="things", Delete={"Objects": [{"Key": "sum"}, {"Key": "copy ä+"}], "Quiet": True})
got = s3.get_object(Bucket="things", Key="copy 2")
assert got["Body"].read() == b"stream" * 100_000 and got["Metadata"] == {"n": "2"} and got["ContentType"] == "text/x", got
copied = s3.copy_object(Bucket="things", Key="copy 3", CopySource="things/copy 2", ChecksumAlgorithm="SHA256")["CopyObjectResult"]
assert copied["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(b"stream" * 100_000).digest()).decode(), copied
refused("InvalidRequest", 400, s3.copy_object, Bucket="things", Key="copy 2", CopySource="things/copy 2")
refused("NoSuchKey", 404, s3.copy_object, Bucket="things", Key="copy 2", CopySource="things/none")
refused("PreconditionFailed", 412, s3.copy_object, Bucket="things", Key="copy 4", CopySource="things/copy 2", CopySourceIfMatch='"x"')

# Large files, as the transfer manager cuts them.
with tempfile.TemporaryDirectory() as folder:
    name, back = os.path.join(folder, "up"), os.path.join(folder, "down")
    data = os.urandom(1 << 20) * 21
    with open(name, "wb") as f:
        f.write(data)
    s3.upload_file(name, "things", "large", ExtraArgs={"ContentType": "x/y", "Metadata": {"large": "yes"}}, Config=TransferConfig(multipart_chunksize=8 << 20))
    head = s3.head_object(Bucket="things", Key="large", ChecksumMode="ENABLED")
    assert head["ETag"].endswith('-3"') and head["ContentLength"] == len(data) and head["ContentType"] == "x/y" and head["Metadata"] == {"large": "yes"}, head
    assert head["ChecksumCRC32"].endswith("-3") and head["ChecksumType"] == "COMPOSITE", head
    s3.download_file("things", "large", back)
    with open(back, "rb") as f:
        assert f.read() == data
    assert s3.get_object(Bucket="things", Key="large", Range=f"bytes={(8 << 20) - 3}-{(8 << 20) + 2}")["Body"].read() == data[(8 << 20) - 3:(8 << 20) + 3]
    second = s3.get_object(Bucket="things", Key="large", PartNumber=3)
    assert second["Body"].read() == data[16 << 20:] and second["PartsCount"] == 3 and second["ResponseMetadata"]["HTTPStatusCode"] == 206, second
    s3.copy({"Bucket": "things", "Key": "large"}, "things", "large copy", Config=TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=10 << 20))
    s3.delete_object(Bucket="things", Key="large")
    assert s3.get_object(Bucket="things", Key="large copy")["Body"].read() == data

# Uploads in parts, by hand.
up = s3.create_multipart_upload(Bucket="things", Key="parts", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")["UploadId"]
one, two = b"1" * (5 << 20), b"2" * 7
etags = {n: s3.upload_part(Bucket="things", Key="parts", UploadId=up, PartNumber=n, Body=b, ChecksumAlgorithm="CRC32") for n, b in [(3, b"x"), (2, two), (1, one), (3, b"y")]}
parts = s3.list_parts(Bucket="things", Key="parts", UploadId=up)
assert [(p["PartNumber"], p["Size"]) for p in parts["Parts"]] == [(1, 5 << 20), (2, 7), (3, 1)] and parts["ChecksumType"] == "FULL_OBJECT", parts
assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="things")["Uploads"]] == ["parts"]
assert [p["PartNumber"] for page in s3.get_paginator("list_parts").paginate(Bucket="things", Key="parts", UploadId=up, PaginationConfig={"PageSize": 1}) for p in page["Parts"]] == [1, 2, 3]


def done(*numbers, etag=None):
    return {"Parts": [{"PartNumber": n, "ETag": etag or etags[n]["ETag"], "ChecksumCRC32": etags[n]["ChecksumCRC32"]} for n in numbers]}


refused("InvalidPartOrder", 400, s3.complete_multipart_upload, Bucket="things", Key="parts", UploadId=up, MultipartUpload=done(2, 1))
refused("InvalidPart", 400, s3.complete_multipart_upload, Bucket="things", Key="parts", UploadId=up, MultipartUpload=done(1, 2, etag='"x"'))
refused("EntityTooSmall", 400, s3.complete_multipart_upload, Bucket="things", Key="parts", UploadId=up, MultipartUpload=done(1, 2, 3))
refused("NoSuchUpload", 404, s3.complete_multipart_upload, Bucket="things", Key="other", UploadId=up, MultipartUpload=done(1, 2))
refused("InvalidArgument", 400, s3.upload_part, Bucket="things", Key="parts", UploadId=up, PartNumber=10001, Body=b"")
refused("NoSuchUpload", 404, s3.upload_part, Bucket="things", Key="parts", UploadId="x", PartNumber=1, Body=b"")
ended = s3.complete_multipart_upload(Bucket="things", Key="parts", UploadId=up, MultipartUpload=done(1, 2))
want = hashlib.md5(hashlib.md5(one).digest() + hashlib.md5(two).digest()).hexdigest() + "-2"
assert ended["ETag"] == f'"{want}"' and ended["ChecksumCRC32"] == base64.b64encode(zlib.crc32(one + two).to_bytes(4, "big")).decode(), ended
assert s3.get_object(Bucket="things", Key="parts")["Body"].read() == one + two
refused("NoSuchUpload", 404, s3.abort_multipart_upload, Bucket="things", Key="parts", UploadId=up)
up = s3.create_multipart_upload(Bucket="things", Key="parts")["UploadId"]
s3.upload_part(Bucket="things", Key="parts", UploadId=up, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket="things", Key="parts", UploadId=up)
refused("NoSuchUpload", 404, s3.list_parts, Bucket="things", Key="parts", UploadId=up)
assert "Uploads" not in s3.list_multipart_uploads(Bucket="things")

# Presigned URLs.
for c in [s3, client(url="http://s3.localhost:" + port, style="virtual"), client(url="http://s3.us-east-1.amazonaws.com:" + port, style="virtual")]:
    url = c.generate_presigned_url("put_object", Params={"Bucket": "things", "Key": "signed ä+/x", "ContentType": "text/x", "Metadata": {"m": "n"}})
    urllib.request.urlopen(urllib.request.Request(url, data=b"by anybody", method="PUT", headers={"Content-Type": "text/x", "x-amz-meta-m": "n"}))
    got = urllib.request.urlopen(c.generate_presigned_url("get_object", Params={"Bucket": "things", "Key": "signed ä+/x", "ResponseContentType": "text/y"}))
    assert got.read() == b"by anybody" and got.headers["content-type"] == "text/y" and got.headers["x-amz-meta-m"] == "n", got.headers
    try:
        urllib.request.urlopen(url)
        raise AssertionError("a URL for PUT serves GET")
    except urllib.error.HTTPError as e:
        assert e.code == 403 and b"SignatureDoesNotMatch" in e.read()

# URLs presigned by version 2, which boto3 makes where it is not told otherwise.
for url in ["http://127.0.0.1:" + port, "http://s3.localhost:" + port]:
    plain = boto3.client("s3", region_name="us-east-1", endpoint_url=url, aws_access_key_id="test", aws_secret_access_key="test",
                         config=Config(s3={"addressing_style": "virtual" if "localhost" in url else "path"}))
    parameters = {"Bucket": "things", "Key": "second ä+/x"}
    up = plain.generate_presigned_url("put_object", Params={**parameters, "ContentType": "text/x", "Metadata": {"m": "n"}})
    assert "AWSAccessKeyId=" in up, up
    urllib.request.urlopen(urllib.request.Request(up, data=b"second", method="PUT", headers={"Content-Type": "text/x", "x-amz-meta-m": "n"}))
    down = plain.generate_presigned_url("get_object", Params={**parameters, "ResponseContentDisposition": 'attachment; filename="a b+c.txt"'})
    got = urllib.request.urlopen(down)
    assert got.read() == b"second" and got.headers["content-disposition"] == 'attachment; filename="a b+c.txt"' and got.headers["x-amz-meta-m"] == "n", got.headers
    for bad, method in [(down.replace("second", "first"), "GET"), (down, "DELETE"), (down.replace("Expires=1", "Expires=2"), "GET"), (down.replace("a%20b", "b%20b"), "GET"),
                        (plain.generate_presigned_url("get_object", Params=parameters, ExpiresIn=-10), "GET")]:
        try:
            urllib.request.urlopen(urllib.request.Request(bad, method=method))
            raise AssertionError(bad)
        except urllib.error.HTTPError as e:
            assert e.code == 403, (e.code, e.read())

# What is refused by its name.
for arguments in [{"ServerSideEncryption": "aws:kms"}, {"StorageClass": "GLACIER"}, {"WebsiteRedirectLocation": "/x"}, {"ObjectLockMode": "GOVERNANCE"}]:
    refused("NotImplemented", 501, s3.put_object, Bucket="things", Key="k", Body=b"", **arguments)
refused("AccessControlListNotSupported", 400, s3.put_object, Bucket="things", Key="k", Body=b"", ACL="public-read")
s3.put_object(Bucket="things", Key="k", Body=b"", ACL="bucket-owner-full-control", StorageClass="STANDARD", ServerSideEncryption="AES256")
refused("InvalidArgument", 400, s3.get_object, Bucket="things", Key="k", VersionId="x")
refused("MetadataTooLarge", 400, s3.put_object, Bucket="things", Key="k", Body=b"", Metadata={"m": "x" * 2048})
refused("InvalidTag", 400, s3.put_object, Bucket="things", Key="k", Body=b"", Tagging="aws:x=1")
other = client(key="111122223333")
refused("AccessDenied", 403, other.get_object, Bucket="things", Key="k")
client("eu-west-1").put_object(Bucket="things", Key="from afar", Body=b"x" * 100_000)  # redirected, with its body
assert client("eu-west-1").get_object(Bucket="things", Key="from afar")["Body"].read() == b"x" * 100_000

# Settings of buckets.
s3.put_bucket_encryption(Bucket="things", ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]})
assert s3.get_bucket_encryption(Bucket="things")["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}
refused("NotImplemented", 501, s3.put_bucket_encryption, Bucket="things", ServerSideEncryptionConfiguration={"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]})
refused("NoSuchBucketPolicy", 404, s3.get_bucket_policy, Bucket="things")
policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::things/*","arn:aws:s3:::things"],"Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}'
s3.put_bucket_policy(Bucket="things", Policy=policy)
assert s3.get_bucket_policy(Bucket="things")["Policy"] == policy
refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket="things", Policy="x")
refused("MalformedPolicy", 400, s3.put_bucket_policy, Bucket="things", Policy=policy.replace("things/", "thongs/"))
public = '{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::things/*"}}'
refused("AccessDenied", 403, s3.put_bucket_policy, Bucket="things", Policy=public)
assert s3.get_public_access_block(Bucket="things")["PublicAccessBlockConfiguration"]["BlockPublicPolicy"] is True
s3.delete_public_access_block(Bucket="things")
refused("NoSuchPublicAccessBlockConfiguration", 404, s3.get_public_access_block, Bucket="things")
s3.put_bucket_policy(Bucket="things", Policy=public)
s3.delete_bucket_policy(Bucket="things")
s3.put_public_access_block(Bucket="things", PublicAccessBlockConfiguration={"BlockPublicAcls": True})
assert s3.get_public_access_block(Bucket="things")["PublicAccessBlockConfiguration"] == \
    {"BlockPublicAcls": True, "IgnorePublicAcls": False, "BlockPublicPolicy": False, "RestrictPublicBuckets": False}
refused("NoSuchTagSet", 404, s3.get_bucket_tagging, Bucket="things")
s3.put_bucket_tagging(Bucket="things", Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
assert s3.get_bucket_tagging(Bucket="things")["TagSet"] == [{"Key": "k", "Value": "v"}]
s3.delete_bucket_tagging(Bucket="things")
assert "Status" not in s3.get_bucket_versioning(Bucket="things")
acl = s3.get_bucket_acl(Bucket="things")
assert acl["Grants"][0]["Permission"] == "FULL_CONTROL" and acl["Grants"][0]["Grantee"]["Type"] == "CanonicalUser", acl

# The end.
up = s3.create_multipart_upload(Bucket="things", Key="left")["UploadId"]
s3.upload_part(Bucket="things", Key="left", UploadId=up, PartNumber=1, Body=b"x" * 100)
refused("BucketNotEmpty", 409, s3.delete_bucket, Bucket="things")
boto3.resource("s3", region_name="us-east-1", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test").Bucket("things").objects.all().delete()
s3.delete_bucket(Bucket="things")
s3.create_bucket(Bucket="things")
assert "Contents" not in s3.list_objects_v2(Bucket="things") and "Uploads" not in s3.list_multipart_uploads(Bucket="things")
print("done")
