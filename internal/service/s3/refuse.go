package s3

import (
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
)

// refusal is a member of inputs that would have an effect which is not there: whatever its value, or all but some.
type refusal struct {
	member, header string
	allowed        []string
}

// refusals are the same for every operation that has such members.
func refusals() []refusal {
	return []refusal{
		{"ServerSideEncryption", "x-amz-server-side-encryption", []string{api.ServerSideEncryptionAES256}},
		{"WebsiteRedirectLocation", "x-amz-website-redirect-location", nil},
		{"SSECustomerAlgorithm", "x-amz-server-side-encryption-customer-algorithm", nil},
		{"SSECustomerKey", "x-amz-server-side-encryption-customer-key", nil},
		{"SSECustomerKeyMD5", "x-amz-server-side-encryption-customer-key-MD5", nil},
		{"CopySourceSSECustomerAlgorithm", "x-amz-copy-source-server-side-encryption-customer-algorithm", nil},
		{"CopySourceSSECustomerKey", "x-amz-copy-source-server-side-encryption-customer-key", nil},
		{"CopySourceSSECustomerKeyMD5", "x-amz-copy-source-server-side-encryption-customer-key-MD5", nil},
		{"SSEKMSKeyId", "x-amz-server-side-encryption-aws-kms-key-id", nil},
		{"SSEKMSEncryptionContext", "x-amz-server-side-encryption-context", nil},
		{"BucketKeyEnabled", "x-amz-server-side-encryption-bucket-key-enabled", []string{"false"}},
		{"ObjectLockMode", "x-amz-object-lock-mode", nil},
		{"ObjectLockRetainUntilDate", "x-amz-object-lock-retain-until-date", nil},
		{"ObjectLockLegalHoldStatus", "x-amz-object-lock-legal-hold", []string{"OFF"}},
		{"WriteOffsetBytes", "x-amz-write-offset-bytes", nil},
		{"IfMatchLastModifiedTime", "x-amz-if-match-last-modified-time", nil},
		{"IfMatchSize", "x-amz-if-match-size", nil},
		{"MFA", "x-amz-mfa", nil},
	}
}

// checkMembers refuses what the input that in points to asks for and is not there.
func checkMembers(operation string, in any) error {
	v := reflect.ValueOf(in).Elem()
	if f := v.FieldByName("BypassGovernanceRetention"); f.IsValid() && !f.IsNil() {
		e := cloud.Errorf("InvalidArgument", "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.")
		return with(e, "ArgumentName", "x-amz-bypass-governance-retention")
	}
	for _, r := range refusals() {
		f := v.FieldByName(r.member)
		if !f.IsValid() || f.IsNil() {
			continue
		}
		if value := shown(f.Elem()); !slices.Contains(r.allowed, value) {
			return notImplemented(operation, r.header, value)
		}
	}
	return nil
}

func shown(v reflect.Value) string {
	switch v.Kind() {
	case reflect.String:
		return v.String()
	case reflect.Bool:
		if v.Bool() {
			return "true"
		}
		return "false"
	}
	return "set"
}

// maxMetadata bounds the names and values of an object's own metadata, in bytes. Source: S3 User Guide, "Working with object metadata".
const maxMetadata = 2 << 10

// propertiesOf reads an object's properties from the input that in points to.
func propertiesOf(in any) (p properties, err error) {
	p = properties{
		ContentType: text(in, "ContentType"), CacheControl: text(in, "CacheControl"), ContentDisposition: text(in, "ContentDisposition"),
		ContentLanguage: text(in, "ContentLanguage"), Expires: text(in, "Expires"), ContentEncoding: withoutChunks(text(in, "ContentEncoding")),
	}
	given, _ := reflect.ValueOf(in).Elem().FieldByName("Metadata").Interface().(map[string]string)
	size := 0
	for k, v := range given {
		size += len(k) + len(v)
		if p.Metadata == nil {
			p.Metadata = make(map[string]string, len(given))
		}
		p.Metadata[strings.ToLower(k)] = v
		if !utf8.ValidString(v) {
			return p, invalidArgument("x-amz-meta-"+k, v, "Metadata is not UTF-8.")
		}
	}
	if size > maxMetadata {
		return p, with(cloud.Errorf("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size"),
			"Size", itoa(size), "MaxSizeAllowed", itoa(maxMetadata))
	}
	p.Tags, err = parseTags(text(in, "Tagging"))
	return p, err
}

// withoutChunks takes the encoding in which a body came out of a Content-Encoding: the body does not have it any more.
func withoutChunks(encodings string) string {
	var out []string
	for e := range strings.SplitSeq(encodings, ",") {
		if e = strings.TrimSpace(e); e != "" && e != "aws-chunked" {
			out = append(out, e)
		}
	}
	return strings.Join(out, ",")
}
