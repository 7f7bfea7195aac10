package cfn

import (
	"encoding/json"
	"time"

	"croft/internal/cloud"
)

// eventTime is how CloudFormation writes the time in a resource's event ids.
const eventTime = "2006-01-02T15:04:05.000Z"

// maxEventProperties bounds the properties that an event repeats; larger ones are left out of it.
const maxEventProperties = 256 << 10

// record writes one event. Times never run backwards within a stack, and two events of one resource and state, whose ids differ by
// their time alone, are a millisecond apart.
func record(s *Stack, j Journal, now time.Time, e Event) error {
	now = now.UTC().Truncate(time.Millisecond)
	last := s.LastEvent
	if now.Before(last.At) {
		now = last.At
	}
	if last.LogicalID == e.LogicalID && last.Status == e.Status && !now.After(last.At) {
		now = last.At.Add(time.Millisecond)
	}
	s.LastEvent = EventMark{At: now, LogicalID: e.LogicalID, Status: e.Status}
	e.At = now
	if s.Op != nil {
		e.Token = s.Op.Token
	}
	if e.Type == StackType {
		e.ID = cloud.NewRequestID()
	} else {
		e.ID = e.LogicalID + "-" + string(e.Status) + "-" + now.Format(eventTime)
	}
	return journalError(j.Event(e))
}

// enter moves the stack to a state and writes the event of it.
func enter(s *Stack, j Journal, now time.Time, status Status, reason string) error {
	s.Status, s.Reason = status, reason
	return record(s, j, now, Event{LogicalID: s.Name, PhysicalID: s.ID, Type: StackType, Status: status, Reason: reason})
}

func (st *step) enter(status Status, reason string) error {
	return enter(st.s, st.j, st.call.Now, status, reason)
}

// note writes an event of a resource.
func (st *step) note(id string, p *Physical, status Status, reason string) error {
	e := Event{LogicalID: id, PhysicalID: p.ID, Type: p.Type, Status: status, Reason: reason}
	shown := p.Properties
	if p.Shown != nil {
		shown = p.Shown
	}
	if shown != nil {
		b, err := json.Marshal(shown)
		if err != nil {
			return journalError(err)
		}
		if len(b) <= maxEventProperties {
			e.Properties = string(b)
		}
	}
	return record(st.s, st.j, st.call.Now, e)
}

// put stores a record in a new state.
func (st *step) put(r *Record, status Status, reason string) error {
	r.Status, r.Reason, r.At = status, reason, st.call.Now
	return journalError(st.j.Put(r))
}

func (st *step) resource(id string) (*Record, error) {
	r, err := st.j.Resource(id)
	return r, journalError(err)
}

func (st *step) resources() ([]*Record, error) {
	all, err := st.j.Resources()
	return all, journalError(err)
}
