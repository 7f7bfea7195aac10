"""Presigned POST as boto3 makes it, by both versions of signatures. The one argument is the port of a server on 127.0.0.1."""
import base64
import http.client
import json
import sys
import urllib.parse
import xml.etree.ElementTree as ET

import boto3
from botocore.config import Config

port = sys.argv[1]


def client(version):
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 1}, signature_version=version, s3={"addressing_style": "path"}),
    )


s3 = client("s3v4")
s3.create_bucket(Bucket="forms")


def send(form, body=b"hello", filename="my-file", cut=None, header=None, close=True):
    b = b"XxBoundaryxX"
    out = b""
    for name, value in form["fields"].items():
        out += b"--" + b + b'\r\nContent-Disposition: form-data; name="' + name.encode() + b'"\r\n\r\n' + value.encode() + b"\r\n"
    if body is not None:
        named = b'; filename="' + filename.encode() + b'"' if filename else b""
        out += b"--" + b + b'\r\nContent-Disposition: form-data; name="file"' + named + b"\r\nContent-Type: text/html\r\n\r\n" + body + b"\r\n"
    if close:
        out += b"--" + b + b"--\r\n"
    c = http.client.HTTPConnection("127.0.0.1", int(port))
    url = urllib.parse.urlparse(form["url"])
    c.request("POST", url.path, out, {"Content-Type": "multipart/form-data; boundary=" + b.decode(), **(header or {})})
    r = c.getresponse()
    text = r.read().decode()
    error = {e.tag: e.text for e in ET.fromstring(text)} if text.startswith("<?xml") and r.status >= 400 else text
    return r.status, r.headers, error


def refused(status, code, message, *args, **kw):
    got, _, e = send(*args, **kw)
    assert (got, e["Code"]) == (status, code) and message in e["Message"], (got, e)
    return e


for version in ("s3v4", "s3"):
    c = client(version)
    form = lambda key="k", **kw: c.generate_presigned_post(Bucket="forms", Key=key, **kw)
    big = bytes(range(256)) * 1200
    status, headers, _ = send(form(), big)
    assert status == 204 and headers["x-amz-server-side-encryption"] == "AES256" and headers["x-amz-checksum-crc64nvme"], (status, headers)
    got = s3.get_object(Bucket="forms", Key="k")
    assert got["Body"].read() == big and got["ETag"] == headers["ETag"] and got["ContentType"] == "binary/octet-stream", got
    assert headers["Location"] == f"http://127.0.0.1:{port}/forms/k"

    status, headers, text = send(form("dir/${filename}", Fields={"success_action_status": "201"}, Conditions=[["starts-with", "$success_action_status", "20"]]))
    assert status == 201 and {e.tag: e.text for e in ET.fromstring(text)}["Key"] == "dir/my-file", text
    send(form("literal-${filename}"), filename=None)
    assert s3.head_object(Bucket="forms", Key="literal-${filename}")["ContentLength"] == 5

    target = "http://app.example/done?x=1"
    status, headers, text = send(form(Fields={"success_action_redirect": target}, Conditions=[["eq", "$success_action_redirect", target]]))
    q = urllib.parse.parse_qs(urllib.parse.urlparse(headers["Location"]).query)
    assert status == 303 and text == "" and q == {"x": ["1"], "bucket": ["forms"], "key": ["k"], "etag": [headers["ETag"]]}, (status, q)
    for wrong in ("/relative", "javascript:alert(1)"):
        assert send(form(Fields={"success_action_redirect": wrong}, Conditions=[{"success_action_redirect": wrong}]))[0] == 204

    fields = {"x-amz-meta-A": "1", "Content-Type": "text/plain", "acl": "private", "x-ignore-me": "x",
              "tagging": "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"}
    conditions = [{"x-amz-meta-a": "1"}, ["starts-with", "$content-type", "text/"], {"acl": "private"}, ["starts-with", "$tagging", ""]]
    assert send(form(Fields=fields, Conditions=conditions))[0] == 204
    head = s3.head_object(Bucket="forms", Key="k")
    assert head["Metadata"] == {"a": "1"} and head["ContentType"] == "text/plain", head
    assert s3.get_object_tagging(Bucket="forms", Key="k")["TagSet"] == [{"Key": "k", "Value": "v"}]

    # What the policy does not allow.
    f = form(Conditions=[["content-length-range", 3, 6]])
    assert send(f, b"123")[0] == send(f, b"123456")[0] == 204
    e = refused(400, "EntityTooLarge", "exceeds", f, b"x" * 7)
    assert e["MaxSizeAllowed"] == "6", e
    e = refused(400, "EntityTooSmall", "smaller", f, b"12")
    assert (e["MinSizeAllowed"], e["ProposedSize"]) == ("3", "2"), e
    refused(400, "EntityTooLarge", "exceeds", f, b"x" * (4 << 20))
    assert s3.head_object(Bucket="forms", Key="k")["ContentLength"] == 6
    f = form()
    f["fields"]["key"] = "another"
    refused(403, "AccessDenied", 'Policy Condition failed: ["eq","$key","k"]', f)
    f = form(Conditions=[["starts-with", "$x-amz-meta-a", "b"]])
    f["fields"]["x-amz-meta-a"] = "c"
    refused(403, "AccessDenied", "Policy Condition failed", f)
    f = form()
    f["fields"]["x-amz-meta-a"] = "c"
    refused(403, "AccessDenied", "Extra input fields: x-amz-meta-a", f)
    f = c.generate_presigned_post(Bucket="others", Key="k", Conditions=[{"bucket": "others"}])
    f["url"] = form()["url"]
    refused(403, "AccessDenied", "Policy Condition failed", f)
    refused(403, "AccessDenied", "Policy expired.", form(ExpiresIn=-5))
    refused(400, "InvalidPolicyDocument", "exactly one property", form(Conditions=[{"a": "1", "b": "2"}]))
    refused(404, "NoSuchBucket", "does not exist", c.generate_presigned_post(Bucket="nobody-has-it", Key="k"))

    # Signatures.
    for name, value, code, status in [
        ("signature" if version == "s3" else "x-amz-signature", "00", "SignatureDoesNotMatch", 403),
        ("policy", base64.b64encode(json.dumps({"expiration": "2100-01-01T00:00:00Z", "conditions": []}).encode()).decode(), "SignatureDoesNotMatch", 403),
    ]:
        f = form()
        f["fields"][name] = value
        e = refused(status, code, "", f)
        assert e["StringToSign"] == f["fields"]["policy"], e
    for name in ("AWSAccessKeyId", "signature") if version == "s3" else ("x-amz-algorithm", "x-amz-credential", "x-amz-signature"):
        f = form()
        del f["fields"][name]
        e = refused(400, "InvalidArgument", "Bucket POST must contain a field named", f)
        assert e["ArgumentName"].lower() == name.lower(), e
    refused(403, "AccessDenied", "Access Denied", {"url": form()["url"], "fields": {"key": "k", "policy": form()["fields"]["policy"]}})

    # Forms that are not whole or too much.
    refused(400, "InvalidArgument", "exactly one file", form(), None)
    refused(400, "MalformedPOSTRequest", "not well-formed", form("cut"), close=False)
    refused(400, "MalformedPOSTRequest", "not well-formed", form("cut"), b"x" * 100000, close=False)
    assert "Contents" not in s3.list_objects_v2(Bucket="forms", Prefix="cut")
    f = form()
    f["fields"]["x-ignore-a"] = "a" * 30000
    refused(400, "MaxPostPreDataLengthExceeded", "too large", f)
    refused(501, "NotImplemented", "x-amz-object-lock-mode", form(Fields={"x-amz-object-lock-mode": "GOVERNANCE"}, Conditions=[{"x-amz-object-lock-mode": "GOVERNANCE"}]))

    # Pages of another origin need a rule of the bucket's for POST.
    page = {"Origin": "http://app.example", "Sec-Fetch-Site": "cross-site"}
    s3.delete_bucket_cors(Bucket="forms")
    assert send(form(), header=page)[0] == 403
    s3.put_bucket_cors(Bucket="forms", CORSConfiguration={"CORSRules": [{"AllowedOrigins": ["http://app.example"], "AllowedMethods": ["POST"]}]})
    status, headers, _ = send(form(), header=page)
    assert status == 204 and headers["Access-Control-Allow-Origin"] == "http://app.example", headers
    assert send(form(), header={**page, "Origin": "http://evil.example"})[0] == 403
