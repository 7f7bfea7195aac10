package logs

import (
	"testing"

	"croft/internal/cloud"
)

func FuzzPattern(f *testing.F) {
	for _, s := range []string{"", "a b", `"a b" -c ?d`, `"\"x"`, "{", "?", "-", `"`} {
		f.Add(s, "a message")
	}
	f.Fuzz(func(t *testing.T, text, message string) {
		p, err := parsePattern(text)
		if err != nil {
			if cloud.Code(err) != "InvalidParameterException" {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		p.match(message)
	})
}

func FuzzTokens(f *testing.F) {
	f.Add(eventToken('f', position{time: 12, seq: 3}))
	f.Add(*nameToken("x"))
	f.Add(*place{1, "s", 2}.token())
	f.Fuzz(func(t *testing.T, token string) {
		if p, forward, err := readEventToken(token); err == nil {
			direction := byte('b')
			if forward {
				direction = 'f'
			}
			if again, _, err := readEventToken(eventToken(direction, p)); err != nil || again != p {
				t.Errorf("%q: %v, then %v, %v", token, p, again, err)
			}
		}
		if name, err := readNameToken(&token); err == nil {
			if again, err := readNameToken(nameToken(name)); err != nil || again != name {
				t.Errorf("%q: %q, then %q, %v", token, name, again, err)
			}
		}
		if p, err := readPlace(token); err == nil {
			if again, err := readPlace(*p.token()); err != nil || *again != *p {
				t.Errorf("%q: %v, then %v, %v", token, p, again, err)
			}
		}
	})
}
