package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// decodeBase64 decodes standard base64 with padding. Source of the messages: answers of DynamoDB and Kinesis, as published in the tests of
// other implementations; the misspelling is AWS's.
func decodeBase64(raw []byte) ([]byte, error) {
	if len(raw)%4 != 0 {
		return nil, fmt.Errorf("Base64 encoded length is expected a multiple of 4 bytes but found: %d", len(raw))
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Strict().Decode(out, raw)
	if err == nil {
		return out[:n], nil
	}
	if strayBits(raw) {
		return nil, errors.New("Invalid last non-pad Base64 character dectected")
	}
	var at base64.CorruptInputError
	if errors.As(err, &at) && int(at) < len(raw) {
		return nil, fmt.Errorf("Invalid Base64 character: '%s'", strings.ToValidUTF8(string(raw[at:at+1]), "?"))
	}
	return nil, errors.New("Invalid Base64 text")
}

// strayBits reports whether the last character before the padding has bits that belong to no byte.
func strayBits(raw []byte) bool {
	body := strings.TrimRight(string(raw[max(0, len(raw)-4):]), "=")
	if len(body) != 2 && len(body) != 3 {
		return false
	}
	mask := 0xf
	if len(body) == 3 {
		mask = 0x3
	}
	value := strings.IndexByte(base64Alphabet, body[len(body)-1])
	return value >= 0 && value&mask != 0
}
