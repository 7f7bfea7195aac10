package s3

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	api "croft/internal/awsapi/s3"
	"croft/internal/cloud"
	"croft/internal/service"
	"croft/internal/sigv4"
	"croft/internal/wire"
)

// Forms are how browsers upload without a script. Sources: S3 API Reference, "POST Object"; "Browser-based uploads using POST".

const (
	// maxFields bounds what stands before the file, in bytes with all that is around it, and maxFieldCount how many fields there are. Source: S3 API
	// Reference, "POST Object", MaxPostPreDataLengthExceeded.
	maxFields     = 20 << 10
	maxFieldCount = 1000
)

// postForm is a form up to its file.
type postForm struct {
	fields map[string]string // by names in lower case
	order  []string
	file   *multipart.Part
}

func (f *postForm) get(name string) string { return f.fields[strings.ToLower(name)] }

func (f *postForm) has(name string) bool { _, ok := f.fields[strings.ToLower(name)]; return ok }

// gate ends a body after so many bytes, for as long as it is shut.
type gate struct {
	r    io.Reader
	left int64
	open bool
}

var errTooManyFields = errors.New("s3: too much before the file of a form")

// Read implements io.Reader.
func (g *gate) Read(b []byte) (int, error) {
	if g.open {
		return g.r.Read(b)
	}
	if g.left <= 0 {
		return 0, errTooManyFields
	}
	n, err := g.r.Read(b[:min(int64(len(b)), g.left)])
	g.left -= int64(n)
	return n, err
}

// readForm reads a form until its file, which is read from the form then.
func readForm(r *http.Request) (*postForm, error) {
	// What is read ahead of the fields may be of the file already.
	g := &gate{r: r.Body, left: maxFields + 16<<10}
	inner := *r
	inner.Body = io.NopCloser(g)
	parts, err := inner.MultipartReader()
	if err != nil {
		return nil, malformedPost()
	}
	f, total := &postForm{fields: map[string]string{}}, 0
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			e := cloud.Errorf("InvalidArgument", "POST requires exactly one file upload per request.")
			return nil, with(e, "ArgumentName", "file", "ArgumentValue", "0")
		}
		if err != nil {
			return nil, formError(err)
		}
		name := strings.ToLower(p.FormName())
		if name == "file" {
			f.file, g.open = p, true
			return f, nil
		}
		value, err := io.ReadAll(io.LimitReader(p, maxFields+1))
		if err != nil {
			return nil, formError(err)
		}
		if total += len(name) + len(value); total > maxFields || len(f.order) == maxFieldCount {
			return nil, formError(errTooManyFields)
		}
		if name != "" && !f.has(name) {
			f.order = append(f.order, name)
			f.fields[name] = string(value)
		}
	}
}

func malformedPost() *cloud.Error {
	return cloud.Errorf("MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.")
}

// formError says what is wrong with a form that could not be read.
func formError(err error) error {
	if errors.Is(err, errTooManyFields) {
		return cloud.Errorf("MaxPostPreDataLengthExceeded", "Your POST request fields preceding the upload file were too large.")
	}
	return malformedPost()
}

// signature returns what the form is signed with. A form that nobody signed is refused, as buckets are not open to everybody.
func (f *postForm) signature() (*sigv4.Form, error) {
	v4 := []string{"Policy", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Signature"}
	required := []string{"Policy", "AWSAccessKeyId", "Signature"}
	switch {
	case f.has(v4[1]) || f.has(v4[2]) || f.has(v4[3]) || f.has(v4[4]):
		required = v4
	case !f.has("AWSAccessKeyId") && !f.has("Signature"):
		return nil, accessDenied()
	}
	for _, name := range required {
		if !f.has(name) {
			return nil, missingField(name)
		}
	}
	return &sigv4.Form{
		Policy: f.get("policy"), Algorithm: f.get("x-amz-algorithm"), Credential: f.get("x-amz-credential"), Date: f.get("x-amz-date"),
		Signature: cmp.Or(f.get("x-amz-signature"), f.get("signature")), Token: f.get("x-amz-security-token"), AccessKey: f.get("awsaccesskeyid"),
	}, nil
}

func missingField(name string) *cloud.Error {
	return invalidArgument(name, "", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", name)
}

// post answers a form: it stores the file that stands in it, as PutObject does with a body.
func (s *Service) post(w http.ResponseWriter, r *http.Request, caller service.FormCaller) error {
	bucket, key, ok := wire.S3Path(api.Service(), r)
	if !ok || bucket == "" || key != "" {
		e := cloud.Errorf("MethodNotAllowed", "The specified method is not allowed against this resource.").WithStatus(http.StatusMethodNotAllowed)
		return with(e, "Method", http.MethodPost, "ResourceType", "OBJECT")
	}
	f, err := readForm(r)
	if err != nil {
		return err
	}
	ctx, policy, err := f.admit(r.Context(), bucket, caller)
	if err != nil {
		return err
	}
	in, err := f.input(bucket)
	if err != nil {
		return err
	}
	in.Body = wire.NewStream(&sized{r: fileReader{f.file}, smallest: policy.smallest, largest: min(policy.largest, maxBody)}, -1)
	out, err := s.putObject(ctx, in, api.EventS3ObjectCreatedPost)
	if err != nil {
		return err
	}
	f.answer(w, r, in, out)
	return nil
}

// admit finds out who signed the form, and compares it with what was signed. The context that it returns is that of the signer's call.
func (f *postForm) admit(ctx context.Context, bucket string, caller service.FormCaller) (context.Context, *postPolicy, error) {
	signature, err := f.signature()
	if err != nil {
		return nil, nil, err
	}
	call, err := caller(signature)
	if err != nil {
		return nil, nil, err
	}
	policy, err := parsePostPolicy(signature.Policy)
	if err != nil {
		return nil, nil, err
	}
	if !f.has("key") {
		return nil, nil, missingField("key")
	}
	return cloud.WithCall(ctx, call), policy, policy.check(f, bucket, call.Now)
}

// fileReader reads a form's file: what ends it too early is the client's fault.
type fileReader struct{ r io.Reader }

// Read implements io.Reader.
func (f fileReader) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err == io.ErrUnexpectedEOF {
		err = malformedPost()
	}
	return n, err
}

// input returns the form as PutObject takes it: its fields are headers by other means, and read as those are.
func (f *postForm) input(bucket string) (*api.PutObjectInput, error) {
	key := f.get("key")
	if file := f.file.FileName(); file != "" {
		key = strings.ReplaceAll(key, "${filename}", file)
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	h := http.Header{}
	for name, value := range f.fields {
		switch {
		case name == "acl":
			h.Set("X-Amz-Acl", value)
		case name == "tagging":
			tags, err := formTags(value)
			if err != nil {
				return nil, err
			}
			h.Set("X-Amz-Tagging", tags)
		case strings.HasPrefix(name, "x-amz-"), name == "content-type", name == "cache-control", name == "content-disposition",
			name == "content-encoding", name == "content-language", name == "content-md5", name == "expires":
			h[textproto.CanonicalMIMEHeaderKey(name)] = []string{value}
		}
	}
	put := &http.Request{Method: http.MethodPut, Host: "localhost", Header: h, URL: &url.URL{Path: "/" + bucket + "/" + key}}
	x := wire.MatchStream(api.Service(), put)
	if x == nil || x.Op.Name != "PutObject" {
		return nil, invalidArgument("key", key, "The fields of the form make another operation than an upload.")
	}
	in, err := x.Decode()
	if err != nil {
		return nil, err
	}
	out, ok := in.(*api.PutObjectInput)
	if !ok {
		return nil, malformedPost()
	}
	return out, nil
}

// formTags returns tags, which a form has as XML, as a header has them. Elements of another name are no tags.
func formTags(text string) (string, error) {
	var t struct {
		Tags []struct {
			Key   string `xml:"Key"`
			Value string `xml:"Value"`
		} `xml:"TagSet>Tag"`
	}
	if xml.Unmarshal([]byte(text), &t) != nil {
		return "", malformedXML()
	}
	values := url.Values{}
	for _, tag := range t.Tags {
		values.Add(tag.Key, tag.Value)
	}
	return values.Encode(), nil
}

// postResponse is the answer to a form that asks for one.
type postResponse struct {
	XMLName  xml.Name `xml:"PostResponse"`
	Location string
	Bucket   string
	Key      string
	ETag     string
}

// answer tells the browser what was stored, in the way that the form asks for.
func (f *postForm) answer(w http.ResponseWriter, r *http.Request, in *api.PutObjectInput, out *api.PutObjectOutput) {
	h := w.Header()
	wire.NameRequest(h, cloud.CallOf(r.Context()).RequestID)
	base := cloud.CallOf(r.Context()).Endpoint
	if _, named := wire.BucketOfHost(api.Service(), r.Host); !named {
		base += "/" + in.Bucket
	}
	location := base + "/" + (&url.URL{Path: in.Key}).EscapedPath()
	h.Set("ETag", wire.Value(out.ETag))
	for name, value := range map[string]*string{
		"X-Amz-Version-Id": out.VersionId, "X-Amz-Server-Side-Encryption": out.ServerSideEncryption, "X-Amz-Checksum-Type": out.ChecksumType,
	} {
		if value != nil {
			h.Set(name, *value)
		}
	}
	for _, name := range sumNames() {
		if value := text(out, "Checksum"+name); value != "" {
			h.Set("X-Amz-Checksum-"+name, value)
		}
	}
	if target := f.redirect(in, out); target != "" {
		h.Set("Location", target)
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	h.Set("Location", location)
	status, _ := strconv.Atoi(f.get("success_action_status")) // what is no number is as if it were not there
	if status == http.StatusCreated {
		// Texts alone, which can be written; a client that went away needs no answer.
		body, _ := xml.Marshal(postResponse{Location: location, Bucket: in.Bucket, Key: in.Key, ETag: wire.Value(out.ETag)})
		h.Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = w.Write(append([]byte(xml.Header), body...))
		return
	}
	if status != http.StatusOK {
		status = http.StatusNoContent
	}
	w.WriteHeader(status)
}

// redirect returns where the form wants the browser to go, with what was stored, or "". What is no address is as if it were not there.
func (f *postForm) redirect(in *api.PutObjectInput, out *api.PutObjectOutput) string {
	u, err := url.Parse(cmp.Or(f.get("success_action_redirect"), f.get("redirect")))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	q := u.Query()
	q.Set("bucket", in.Bucket)
	q.Set("key", in.Key)
	q.Set("etag", wire.Value(out.ETag))
	u.RawQuery = q.Encode()
	return u.String()
}
