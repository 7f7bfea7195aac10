package app

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"croft/internal/control"
	"croft/internal/engine"
)

// The segments that are kept are the last ones: so many, and no more than so many bytes.
const (
	maxSegments     = 500
	maxSegmentBytes = 4 << 20
)

// traces keeps the last segments that functions have sent, for a developer to look at. They are in memory alone, of this process alone.
type traces struct {
	mu    sync.Mutex
	kept  []keptSegment
	bytes int
}

type keptSegment struct {
	account string
	segment control.Segment
}

func (t *traces) add(at time.Time, env engine.Environment, document []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn := env.Function
	t.kept = append(t.kept, keptSegment{fn.Account, control.Segment{
		Time: at, Region: fn.Region, Function: fn.Name, Version: fn.Version, Document: json.RawMessage(document),
	}})
	t.bytes += len(document)
	drop := 0
	for len(t.kept)-drop > maxSegments || t.bytes > maxSegmentBytes {
		t.bytes -= len(t.kept[drop].segment.Document)
		t.kept[drop] = keptSegment{}
		drop++
	}
	t.kept = t.kept[drop:]
}

// of returns an account's segments in the order in which they came.
func (t *traces) of(account string) []control.Segment {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []control.Segment{}
	for _, k := range t.kept {
		if k.account == account {
			out = append(out, k.segment)
		}
	}
	return out
}

func (t *traces) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept, t.bytes = nil, 0
}

func (a *App) segments(r *http.Request) (control.TracesReport, error) {
	return control.TracesReport{Segments: a.traces.of(a.account(r.Context()))}, nil
}
