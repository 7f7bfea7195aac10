package lambda

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"croft/internal/awsapi/lambda"
)

// payloadLimit returns how many bytes the event of an invocation of that kind may have.
func (s *Service) payloadLimit(kind string) int {
	if kind == lambda.InvocationTypeEvent {
		return max(maxEvent, s.limits.MaxPayload)
	}
	return max(maxPayload, s.limits.MaxPayload)
}

// checkPayload returns the event of an invocation: the payload, which must be JSON, or an empty object when there is none.
func checkPayload(payload []byte, kind string, limit int) ([]byte, error) {
	if len(payload) > limit {
		return nil, entityTooLarge("%d byte payload is too large for the %s invocation type (limit %d bytes)", len(payload), kind, limit)
	}
	if len(bytes.TrimSpace(payload)) == 0 {
		return []byte("{}"), nil
	}
	if problem := badJSON(payload); problem != "" {
		return nil, user(lambda.NewInvalidRequestContentException("%s", "Could not parse request body into json: Could not parse payload into json: "+problem))
	}
	return payload, nil
}

// badJSON says what is wrong with a payload, much as the service does, or returns "".
func badJSON(payload []byte) string {
	at, first := firstInvalid(payload), len(payload)-len(bytes.TrimLeft(payload, " \t\r\n"))
	switch {
	case at == first && at >= 0:
		return unexpected(payload, at)
	case at >= 0:
		// The service counts one further where it meets a byte in the midst of a token.
		return fmt.Sprintf("Invalid UTF-8 start byte 0x%02x%s", payload[at], location(payload, at+1))
	case json.Valid(payload):
		return ""
	}
	var syntax *json.SyntaxError
	if err := json.Unmarshal(payload, new(any)); errors.As(err, &syntax) && syntax.Offset > 0 && syntax.Offset <= int64(len(payload)) {
		if err.Error() == "unexpected end of JSON input" {
			return "Unexpected end-of-input" + location(payload, len(payload)-1)
		}
		return unexpected(payload, int(syntax.Offset)-1)
	}
	return "Unexpected end-of-input" + location(payload, len(payload)-1)
}

func unexpected(payload []byte, at int) string {
	c, char := payload[at], ""
	if c < ' ' || c >= 0x7f {
		char = fmt.Sprintf("(CTRL-CHAR, code %d)", c)
	} else {
		char = fmt.Sprintf("'%c' (code %d)", c, c)
	}
	return fmt.Sprintf("Unexpected character (%s): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')%s",
		char, location(payload, at))
}

// location names a place as line and column, both from one.
func location(payload []byte, at int) string {
	line := 1 + bytes.Count(payload[:min(at, len(payload))], []byte("\n"))
	column := at - bytes.LastIndexByte(payload[:min(at, len(payload))], '\n')
	return fmt.Sprintf("\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: %d, column: %d]", line, column)
}

// firstInvalid returns where the first byte lies that is no UTF-8, or -1.
func firstInvalid(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}
