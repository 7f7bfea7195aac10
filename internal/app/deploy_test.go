package app

import "testing"

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"No such thing": "No such thing",
		`Resource handler returned message: "Not "that" one." (RequestToken: e1b0188b-bc92-4583-90cb-b9c0397f516d, HandlerErrorCode: InvalidRequest)`: `Not "that" one. (InvalidRequest)`,
	} {
		if got := plain(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
