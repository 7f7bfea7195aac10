package server

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"croft/internal/cloud"
	"croft/internal/service"
)

// TestServicesGrantOrigins checks that a service is asked about pages of other origins for its own requests alone, and that nothing but its
// consent lets one through.
func TestServicesGrantOrigins(t *testing.T) {
	w := newWorld(t)
	asked := 0
	d := service.NewDispatcher()
	for _, desc := range w.Dispatcher.All() {
		if desc.API.Name == "sqs" {
			desc.Web = &service.Web{Grant: func(_ context.Context, r *http.Request) (http.Header, *cloud.Error) {
				asked++
				switch r.Header.Get("Origin") {
				case "http://friend.example":
					return http.Header{"Access-Control-Allow-Origin": {"http://friend.example"}}, nil
				case "http://nowhere.example":
					return nil, nil
				}
				return nil, cloud.Errorf("NotYou", "not you")
			}}
		}
		d.Add(desc)
	}
	config := w.Config
	config.Dispatcher = d
	w.Server = New(config)
	const list = "AmazonSQS.ListQueues"
	origin := func(name string) map[string]string {
		return map[string]string{"Origin": name, "Sec-Fetch-Site": "cross-site"}
	}
	for name, c := range map[string]struct {
		call
		status, asked int
	}{
		"granted":               {call{target: list, body: "{}", header: origin("http://friend.example")}, 200, 1},
		"granted, unsigned":     {call{target: list, body: "{}", unsigned: true, header: origin("http://friend.example")}, 400, 1},
		"a hostile origin":      {call{target: list, body: "{}", header: origin("http://evil.example")}, 403, 1},
		"nothing to share":      {call{target: list, body: "{}", header: origin("http://nowhere.example")}, 403, 1},
		"an origin called null": {call{target: list, body: "{}", header: origin("null")}, 403, 1},
		"a page without a name": {call{target: list, body: "{}", header: map[string]string{"Sec-Fetch-Site": "cross-site"}}, 403, 0},
		"no page":               {call{target: list, body: "{}"}, 200, 0},
		"another service":       {call{service: "sns", body: "Action=ListTopics&Version=2010-03-31", header: origin("http://friend.example")}, 403, 0},
		"a forged name":         {call{target: list, body: "{}", host: "sqs.us-east-1.amazonaws.com", header: origin("http://friend.example")}, 403, 0},
		"a control call":        {call{path: "/_croft/status", header: origin("http://friend.example")}, 403, 0},
		"a question":            {call{method: "OPTIONS", host: "sqs.localhost", unsigned: true, header: origin("http://friend.example")}, 200, 1},
		"a hostile question":    {call{method: "OPTIONS", host: "sqs.localhost", unsigned: true, header: origin("http://evil.example")}, 400, 1},
		"a question about all":  {call{method: "OPTIONS", unsigned: true, header: origin("http://friend.example")}, 403, 0},
		"a form for nobody":     {call{unsigned: true, header: map[string]string{"Content-Type": "multipart/form-data; boundary=x"}, body: "--x--"}, 403, 0},
	} {
		asked = 0
		rec := w.do(c.call)
		if rec.Code != c.status || asked != c.asked {
			t.Errorf("%s: %d, asked %d times: %s", name, rec.Code, asked, rec.Body)
		}
		if got := rec.Header().Get("Access-Control-Allow-Origin"); (got != "") != strings.HasPrefix(name, "granted") && name != "a question" {
			t.Errorf("%s: shared with %q", name, got)
		}
	}
}
