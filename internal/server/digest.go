package server

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"net/http"

	"croft/internal/checksum"
	"croft/internal/cloud"
)

// checkDigests compares a body that has been read with what a request to S3 says of it. Bodies that stream are compared where they are read.
// Source: S3 API Reference, "Common request headers", and S3 User Guide, "Checking object integrity in Amazon S3".
func checkDigests(r *http.Request, body []byte) *cloud.Error {
	if text := r.Header.Get("Content-Md5"); text != "" {
		want, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(want) != md5.Size {
			return cloud.Errorf("InvalidDigest", "The Content-MD5 you specified was invalid.")
		}
		if sum := md5.Sum(body); !bytes.Equal(sum[:], want) {
			return cloud.Errorf("BadDigest", "The Content-MD5 you specified did not match what we received.")
		}
	}
	if r.URL.Query().Has("uploadId") {
		return nil // CompleteMultipartUpload: they speak of the object
	}
	for name, values := range r.Header {
		a, known, named := checksum.OfHeader(name)
		if !named || len(values) == 0 {
			continue
		}
		if !known {
			return cloud.Errorf("NotImplemented", "croft does not implement the header %.64s.", name).WithStatus(http.StatusNotImplemented)
		}
		h := a.New()
		h.Write(body)
		if values[0] != base64.StdEncoding.EncodeToString(h.Sum(nil)) {
			return cloud.Errorf("BadDigest", "The %s you specified did not match the calculated checksum.", a)
		}
	}
	return nil
}
