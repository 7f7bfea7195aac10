package apigatewayv2

import (
	"encoding/json"
	"net/http"

	"croft/internal/httpevent"
)

// messageResponse returns an answer of API Gateway's own.
func messageResponse(status int, text string) *httpevent.Response {
	body, _ := json.Marshal(map[string]string{"message": text})
	return &httpevent.Response{Status: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}
}

func message(w http.ResponseWriter, status int, text string) {
	m := messageResponse(status, text)
	w.Header()["Content-Type"] = m.Header["Content-Type"]
	w.WriteHeader(status)
	// A client that has gone away does not miss the text.
	_, _ = w.Write(m.Body)
}
