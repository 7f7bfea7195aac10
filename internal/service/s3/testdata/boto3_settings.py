"""Notifications, lifecycles, CORS and ownership as boto3 writes and reads them. The one argument is the port of a server on 127.0.0.1."""
import datetime
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

s3 = boto3.client(
    "s3", endpoint_url=f"http://127.0.0.1:{sys.argv[1]}", region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test",
    config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
)


def refused(code, status, call, **arguments):
    try:
        call(**arguments)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code and e.response["ResponseMetadata"]["HTTPStatusCode"] == status, e.response
        return e.response["Error"]
    raise AssertionError(f"{code} was expected of {arguments}")


s3.create_bucket(Bucket="set")
key = {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "in/"}]}}
arn = "arn:aws:{}:us-east-1:000000000000:{}"
notifications = {
    "QueueConfigurations": [{"Id": "q", "QueueArn": arn.format("sqs", "q"), "Events": ["s3:ObjectCreated:*"], "Filter": key}],
    "TopicConfigurations": [{"Id": "t", "TopicArn": arn.format("sns", "t"), "Events": ["s3:ObjectRemoved:Delete", "s3:ObjectTagging:*"]}],
    "LambdaFunctionConfigurations": [{"Id": "f", "LambdaFunctionArn": arn.format("lambda", "function:f"), "Events": ["s3:ObjectRemoved:DeleteMarkerCreated"]}],
}


def kept():
    out = s3.get_bucket_notification_configuration(Bucket="set")
    del out["ResponseMetadata"]
    return out


assert kept() == {}
s3.put_bucket_notification_configuration(Bucket="set", NotificationConfiguration=notifications, SkipDestinationValidation=True)
assert kept() == notifications, kept()
error = refused("InvalidArgument", 400, s3.put_bucket_notification_configuration, Bucket="set", SkipDestinationValidation=True,
                NotificationConfiguration={"QueueConfigurations": [{"QueueArn": "invalid-queue", "Events": ["s3:ObjectCreated:*"]}]})
assert (error["Message"], error["ArgumentName"], error["ArgumentValue"]) == ("The ARN could not be parsed", "Queue", "invalid-queue"), error
refused("NotImplemented", 501, s3.put_bucket_notification_configuration, Bucket="set", NotificationConfiguration={"EventBridgeConfiguration": {}})
assert kept() == notifications
s3.put_bucket_notification_configuration(Bucket="set", NotificationConfiguration={})
assert kept() == {}

refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket="set")
rules = [
    {"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 7}},
    {"ID": "b", "Status": "Enabled", "Filter": {"And": {"Prefix": "x", "Tags": [{"Key": "k", "Value": "v"}], "ObjectSizeGreaterThan": 5}},
     "Expiration": {"Date": datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)}, "NoncurrentVersionExpiration": {"NoncurrentDays": 3, "NewerNoncurrentVersions": 2}},
    {"ID": "c", "Status": "Disabled", "Filter": {}, "Expiration": {"ExpiredObjectDeleteMarker": True}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}},
    {"ID": "d", "Status": "Enabled", "Prefix": "old", "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
]
s3.put_bucket_lifecycle_configuration(Bucket="set", LifecycleConfiguration={"Rules": rules})
out = s3.get_bucket_lifecycle_configuration(Bucket="set")
assert out["Rules"] == rules, out["Rules"]
assert out["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K", out
assert refused("InvalidRequest", 400, s3.put_bucket_lifecycle_configuration, Bucket="set", LifecycleConfiguration={"Rules": rules},
               TransitionDefaultMinimumObjectSize="value")["Message"] == "Invalid TransitionDefaultMinimumObjectSize found: value"
s3.delete_bucket_lifecycle(Bucket="set")
refused("NoSuchLifecycleConfiguration", 404, s3.get_bucket_lifecycle_configuration, Bucket="set")

refused("NoSuchCORSConfiguration", 404, s3.get_bucket_cors, Bucket="set")
cors = [{"ID": "i", "AllowedHeaders": ["x-*"], "AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://*.example.com"], "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 9}]
s3.put_bucket_cors(Bucket="set", CORSConfiguration={"CORSRules": cors})
assert s3.get_bucket_cors(Bucket="set")["CORSRules"] == cors
refused("InvalidRequest", 400, s3.put_bucket_cors, Bucket="set", CORSConfiguration={"CORSRules": [{"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}]})
s3.delete_bucket_cors(Bucket="set")

owner = s3.get_bucket_ownership_controls(Bucket="set")["OwnershipControls"]
assert owner == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}, owner
refused("MalformedXML", 400, s3.put_bucket_ownership_controls, Bucket="set", OwnershipControls={"Rules": [{"ObjectOwnership": "Nobody"}]})
for call, more in [(s3.put_bucket_acl, {}), (s3.put_object, {"Key": "k"})]:
    refused("AccessControlListNotSupported", 400, call, Bucket="set", ACL="public-read", **more)
s3.put_object(Bucket="set", Key="acl", Body=b"x", ACL="bucket-owner-full-control")
s3.put_bucket_ownership_controls(Bucket="set", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
assert "BlockPublicAcls" in refused("AccessDenied", 403, s3.put_bucket_acl, Bucket="set", ACL="public-read")["Message"]
s3.put_public_access_block(Bucket="set", PublicAccessBlockConfiguration={})
mine = s3.get_bucket_acl(Bucket="set")
me = mine["Owner"]["ID"]
all_users = {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
full = {"Grantee": {"Type": "CanonicalUser", "ID": me}, "Permission": "FULL_CONTROL"}
assert mine["Grants"] == [full], mine
s3.put_bucket_acl(Bucket="set", ACL="public-read")
assert s3.get_bucket_acl(Bucket="set")["Grants"] == [full, all_users]
refused("InvalidBucketAclWithObjectOwnership", 400, s3.put_bucket_ownership_controls, Bucket="set", OwnershipControls=owner)
s3.put_bucket_acl(Bucket="set", AccessControlPolicy={"Owner": {"ID": me}, "Grants": [full]})
assert s3.get_bucket_acl(Bucket="set")["Grants"] == [full]
s3.put_object_acl(Bucket="set", Key="acl", GrantRead='uri="http://acs.amazonaws.com/groups/global/AllUsers", id=' + me)
assert s3.get_object_acl(Bucket="set", Key="acl")["Grants"] == [all_users, {**full, "Permission": "READ"}]
s3.copy_object(Bucket="set", Key="copied", CopySource="set/acl")
assert s3.get_object_acl(Bucket="set", Key="copied")["Grants"] == [full]
upload = s3.create_multipart_upload(Bucket="set", Key="acl", ACL="authenticated-read")["UploadId"]
part = s3.upload_part(Bucket="set", Key="acl", UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
s3.complete_multipart_upload(Bucket="set", Key="acl", UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part}]})
assert len(s3.get_object_acl(Bucket="set", Key="acl")["Grants"]) == 2
for code, arguments in [
    ("InvalidArgument", {"ACL": "fake"}), ("InvalidArgument", {"GrantRead": "uri=http://nobody"}), ("InvalidArgument", {"GrantRead": "nobody"}),
    ("InvalidArgument", {"GrantWrite": 'id="wrong"'}), ("InvalidRequest", {"ACL": "private", "GrantRead": "id=" + me}), ("MissingSecurityHeader", {}),
    ("UnresolvableGrantByEmailAddress", {"GrantRead": "emailAddress=a@b.example"}), ("MalformedACLError", {"AccessControlPolicy": {"Grants": [full]}}),
    ("MalformedACLError", {"AccessControlPolicy": {"Owner": {"ID": me}, "Grants": [full] * 101}}),
    ("UnexpectedContent", {"ACL": "private", "AccessControlPolicy": {"Owner": {"ID": me}, "Grants": [full]}}),
]:
    refused(code, 400, s3.put_object_acl, Bucket="set", Key="acl", **arguments)
refused("NoSuchKey", 404, s3.put_object_acl, Bucket="set", Key="none", ACL="private")
# An upload without a checksum takes parts with any.
upload = s3.create_multipart_upload(Bucket="set", Key="sums")["UploadId"]
parts = [{"PartNumber": n, "ETag": s3.upload_part(Bucket="set", Key="sums", UploadId=upload, PartNumber=n, Body=b"x" * (5 << 20), ChecksumAlgorithm="CRC32")["ETag"]} for n in (1, 2)]
s3.complete_multipart_upload(Bucket="set", Key="sums", UploadId=upload, MultipartUpload={"Parts": parts})
assert s3.head_object(Bucket="set", Key="sums", ChecksumMode="ENABLED")["ChecksumType"] == "FULL_OBJECT"
s3.delete_bucket_ownership_controls(Bucket="set")
refused("OwnershipControlsNotFoundError", 404, s3.get_bucket_ownership_controls, Bucket="set")
s3.put_bucket_ownership_controls(Bucket="set", OwnershipControls=owner)
assert s3.get_bucket_ownership_controls(Bucket="set")["OwnershipControls"] == owner

# Objects in parts: what they are copied to, what parts may be copied of, and what came in between.
made = s3.head_object(Bucket="set", Key="sums")
assert made["ETag"].endswith('-2"'), made
copied = s3.copy_object(Bucket="set", Key="sums-copied", CopySource="set/sums")["CopyObjectResult"]
assert copied["ETag"] == '"' + __import__("hashlib").md5(b"x" * (10 << 20)).hexdigest() + '"', copied
both = ["ETag", "ObjectParts", "ObjectSize", "StorageClass"]
was, is_ = (s3.get_object_attributes(Bucket="set", Key=k, ObjectAttributes=both) for k in ("sums", "sums-copied"))
assert was["ObjectParts"]["TotalPartsCount"] == 2 and "ObjectParts" not in is_ and was["ObjectSize"] == is_["ObjectSize"] == 10 << 20, (was, is_)
assert s3.get_object(Bucket="set", Key="sums-copied", Range=f"bytes={(5 << 20) - 1}-{5 << 20}")["Body"].read() == b"xx"
refused("InvalidArgument", 400, s3.get_object_attributes, Bucket="set", Key="sums", ObjectAttributes=["Nothing"])
first = s3.put_object(Bucket="set", Key="between", Body=b"0123456789")["ETag"]
upload = s3.create_multipart_upload(Bucket="set", Key="between", ChecksumAlgorithm="SHA256")["UploadId"]
copy = dict(Bucket="set", Key="between", UploadId=upload, PartNumber=1, CopySource="set/between")
for code, text, rng in [
    ("InvalidArgument", "must be of the form", "0-8"), ("InvalidArgument", "must be of the form", "bytes=1-0"), ("InvalidArgument", "must be of the form", "bytes=1-"),
    ("InvalidArgument", "must be of the form", "bytes=-2"), ("InvalidArgument", "source object of size: 10", "bytes=0-10"), ("InvalidRequest", "copy range is invalid", "bytes=10-11"),
]:
    assert text in refused(code, 400, s3.upload_part_copy, CopySourceRange=rng, **copy)["Message"], rng
part = s3.upload_part_copy(CopySourceRange="bytes=1-9", **copy)["CopyPartResult"]
done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]}]}
assert s3.put_object(Bucket="set", Key="between", Body=b"0123456789")["ETag"] == first
complete = dict(Bucket="set", Key="between", UploadId=upload, MultipartUpload=done)
refused("PreconditionFailed", 412, s3.complete_multipart_upload, IfMatch='"x"', **complete)
refused("ConditionalRequestConflict", 409, s3.complete_multipart_upload, IfMatch=first, **complete)
s3.complete_multipart_upload(**complete)
attributes = s3.get_object_attributes(Bucket="set", Key="between", ObjectAttributes=["ObjectParts", "Checksum"])
assert attributes["ObjectParts"]["Parts"] == [{"PartNumber": 1, "Size": 9, "ChecksumSHA256": part["ChecksumSHA256"]}], attributes
assert s3.get_object_attributes(Bucket="set", Key="between", ObjectAttributes=["ObjectParts"], MaxParts=0)["ObjectParts"]["IsTruncated"]
refused("InvalidArgument", 400, s3.delete_object, Bucket="set", Key="between", BypassGovernanceRetention=True)

# Conditions, tags and markers that S3 reads in its own way.
e = refused("NotImplemented", 501, s3.put_object, Bucket="set", Key="cond", IfMatch="*")
assert (e["Header"], e["additionalMessage"]) == ("If-Match", "We don't accept the provided value of If-Match header for this API"), e
assert refused("NotImplemented", 501, s3.put_object, Bucket="set", Key="cond", IfMatch='"x"', IfNoneMatch="*")["Header"] == "If-Match,If-None-Match"
refused("InvalidArgument", 400, s3.put_object, Bucket="set", Key="cond", Tagging="a=b,c=d")
for key in ("dir/a/1", "dir/a/2", "dir/b"):
    s3.put_object(Bucket="set", Key=key)
out = s3.list_objects(Bucket="set", Prefix="dir/", Delimiter="/", Marker="dir/a/1")
assert "CommonPrefixes" not in out and [o["Key"] for o in out["Contents"]] == ["dir/b"] and out["Marker"] == "dir/a/1", out
token = s3.list_objects_v2(Bucket="set", StartAfter="dir/a/1", MaxKeys=1)["NextContinuationToken"]
assert "StartAfter" not in s3.list_objects_v2(Bucket="set", StartAfter="dir/a/1", ContinuationToken=token)
upload = s3.create_multipart_upload(Bucket="set", Key="plain")["UploadId"]
assert "ChecksumCRC64NVME" not in s3.upload_part_copy(Bucket="set", Key="plain", UploadId=upload, PartNumber=1, CopySource="set/dir/b")["CopyPartResult"]
listed = s3.list_multipart_uploads(Bucket="set")
assert listed["NextUploadIdMarker"] == upload and listed["Uploads"][-1]["Initiator"]["DisplayName"], listed
e = refused("PreconditionFailed", 412, s3.copy_object, Bucket="set", Key="x", CopySource="set/dir/b", CopySourceIfNoneMatch="*")
assert e["Condition"] == "x-amz-copy-source-If-None-Match", e
