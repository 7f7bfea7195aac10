"""Pages of other origins that link to what presigned URLs read. The one argument is the port of a server on 127.0.0.1; ISSUED is a key that it gave out."""
import http.client
import os
import sys
import urllib.parse

import boto3
from botocore.config import Config

port = sys.argv[1]
issued = os.environ["ISSUED"].split(":")


def client(key, secret, version="s3v4"):
    return boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", aws_access_key_id=key, aws_secret_access_key=secret,
        config=Config(signature_version=version, s3={"addressing_style": "path"}),
    )


s3 = client("test", "test")
s3.create_bucket(Bucket="linked")
s3.put_object(Bucket="linked", Key="k", Body=b"<script>alert(1)</script>", ContentType="text/html")


def get(url, site, dest, method="GET", **header):
    c = http.client.HTTPConnection("127.0.0.1", int(port))
    u = urllib.parse.urlparse(url)
    c.request(method, u.path + "?" + u.query, headers={"Sec-Fetch-Site": site, "Sec-Fetch-Dest": dest, **header})
    r = c.getresponse()
    return r.status, r.headers, r.read()


for version in ("s3v4", "s3"):
    link = lambda c, op="get_object", **kw: c.generate_presigned_url(op, Params={"Bucket": "linked", "Key": "k", **kw})
    anybodys, own = client("test", "test", version), client(*issued, version)
    made_up = client("AKIAIOSFODNN7EXAMPLE", "x", version)

    for dest in ("document", "image", "audio", "video"):
        status, headers, body = get(link(own), "cross-site", dest)
        assert (status, body) == (200, b"<script>alert(1)</script>"), (dest, status, body)
        assert headers["Content-Security-Policy"].startswith("sandbox") and headers["X-Content-Type-Options"] == "nosniff", headers
        assert get(link(own), "same-site", dest)[0] == 200
        assert get(link(anybodys), "same-site", dest)[0] == 200
        for c in (anybodys, made_up):
            status, _, body = get(link(c), "cross-site", dest)
            assert status == 403 and b"credentials that the cloud gave out" in body, (dest, status, body)

    # What could be read or run stays closed, and so does what changes something or is not presigned.
    for dest in ("script", "style", "empty", "worker", "iframe", ""):
        assert get(link(own), "cross-site", dest)[0] == 403, dest
    assert get(link(own), "cross-site", "image", Origin="http://app.example")[0] == 403
    assert get(link(own, "put_object"), "cross-site", "document", method="PUT")[0] == 403
    assert get(link(own, "delete_object"), "cross-site", "document", method="DELETE")[0] == 403
    assert get("http://h/linked/k", "same-site", "image")[0] == 403
    status, _, body = get(link(client(issued[0], "wrong", version)), "cross-site", "image")
    assert status == 403 and b"SignatureDoesNotMatch" in body, (status, body)
    assert get(link(made_up), "none", "document")[0] == 200  # typed into the address bar
