// Package control is what croft's own commands and a running cloud say to each other below /_croft/, and the client of it. The
// server's half is in package app.
package control

import (
	"encoding/json"
	"net/url"
	"time"
)

// Paths of the control calls. All but Health and Status need the header X-Croft-Control and are never answered in a function's
// environment. The query of each may have "account", twelve digits: the account to act in, when it is not the cloud's own.
const (
	Health      = "/_croft/health"
	Status      = "/_croft/status"
	Credentials = "/_croft/credentials"
	Reset       = "/_croft/reset"
	Assets      = "/_croft/assets"
	Deploy      = "/_croft/deploy"
	Names       = "/_croft/names"
	Invoke      = "/_croft/invoke"
	Stream      = "/_croft/stream"
	Logs        = "/_croft/logs"
	Traces      = "/_croft/traces"
)

// HealthReport answers Health.
type HealthReport struct {
	Status  string `json:"status"`
	Version string `json:"version"`
}

// StatusReport answers Status.
type StatusReport struct {
	Version  string `json:"version"`
	Endpoint string `json:"endpoint"`
	Account  string `json:"account"`
	Region   string `json:"region"`
	Data     string `json:"data"`
	// Bodies is where large bodies lie, when that is not in Data.
	Bodies     string `json:"bodies,omitempty"`
	Durability string `json:"durability"`
	// Isolation says why functions cannot run here; empty when they can.
	Isolation string `json:"isolation"`
	// Less says, a line each, with what functions do without though they are isolated.
	Less []string `json:"less,omitempty"`
	// Reduced says in plain words what functions can do because they are not isolated fully; empty when they are.
	Reduced  string    `json:"reducedIsolation,omitempty"`
	Started  time.Time `json:"started"`
	Services []string  `json:"services"`
	Stacks   []Stack   `json:"stacks"`
	// Nodes are the processes on a store that several may share; none on any other.
	Nodes []Node `json:"nodes,omitempty"`
}

// TracesReport answers Traces: the last segments that functions of the account have sent to the X-Ray daemon's address, in the order in which they came.
type TracesReport struct {
	Segments []Segment `json:"segments"`
}

// Segment is one X-Ray segment document, or subsegment, as a function sent it.
type Segment struct {
	Time     time.Time       `json:"time"`
	Region   string          `json:"region"`
	Function string          `json:"function"`
	Version  string          `json:"version"`
	Document json.RawMessage `json:"document"`
}

// Node is one process of a cloud that several serve.
type Node struct {
	ID      string    `json:"id"`
	Version string    `json:"version"`
	Address string    `json:"address"`
	Since   time.Time `json:"since"`
	// Leases name the background work that the node does.
	Leases []string `json:"leases,omitempty"`
	// Self is set for the one that answers.
	Self bool `json:"self,omitempty"`
}

// Stack is a deployed stack, in short.
type Stack struct {
	Name   string `json:"name"`
	Status string `json:"status"`
}

// NamesReport answers Names: what a person may name on the command line.
type NamesReport struct {
	// Functions are functions' names and the logical ids that they have in stacks, sorted; Stacks are the stacks' names.
	Functions []string `json:"functions"`
	Stacks    []string `json:"stacks"`
}

// CredentialsReport answers Credentials.
type CredentialsReport struct {
	AccessKeyID     string `json:"accessKeyId"`
	SecretAccessKey string `json:"secretAccessKey"`
	Account         string `json:"account"`
	Region          string `json:"region"`
}

// Asset answers Assets.
type Asset struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// DeployRequest asks for a stack to be made or brought up to date.
type DeployRequest struct {
	Stack      string            `json:"stack"`
	Template   string            `json:"template"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// DeployEvent is one line of the answer to Deploy: a stack event, or, with Done, the end.
type DeployEvent struct {
	Time      time.Time `json:"time,omitzero"`
	LogicalID string    `json:"logicalId,omitempty"`
	Type      string    `json:"type,omitempty"`
	Status    string    `json:"status,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Done      bool      `json:"done,omitempty"`
	// Error says why the deployment failed; empty when it did not.
	Error   string   `json:"error,omitempty"`
	Outputs []Output `json:"outputs,omitempty"`
	// Unchanged is set when there was nothing to do.
	Unchanged bool `json:"unchanged,omitempty"`
}

// Output is one output of a stack.
type Output struct {
	Key         string `json:"key"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// InvokeRequest is the query of Invoke and Stream, whose body is the event.
type InvokeRequest struct {
	// Function is a name, an ARN, or the logical id that a function has in a stack's template.
	Function string
	// Qualifier is a version or an alias; empty for $LATEST.
	Qualifier string
	// Type is RequestResponse, Event or DryRun; empty means RequestResponse, and nothing else is for Stream.
	Type string
}

func (r InvokeRequest) query() url.Values {
	q := url.Values{"function": {r.Function}}
	for name, value := range map[string]string{"qualifier": r.Qualifier, "type": r.Type} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// InvokeRequestOf reads a query.
func InvokeRequestOf(q url.Values) InvokeRequest {
	return InvokeRequest{Function: q.Get("function"), Qualifier: q.Get("qualifier"), Type: q.Get("type")}
}

// StreamPiece is one line of the answer to Stream: a piece of the function's answer or, at the end, how the function ended.
type StreamPiece struct {
	Payload []byte        `json:"payload,omitempty"`
	End     *InvokeReport `json:"end,omitempty"`
	// Error says why there is no more of the answer.
	Error string `json:"error,omitempty"`
}

// InvokeReport answers Invoke, and ends the answer to Stream, where the payload is that of a failure.
type InvokeReport struct {
	Payload       []byte `json:"payload,omitempty"`
	FunctionError string `json:"functionError,omitempty"`
	// Log is the last 4 KB of the invocation's log.
	Log []byte `json:"log,omitempty"`
}

// LogLine is one line of the answer to Logs. The query may have "function", as for Invoke; "since", an RFC 3339 time; "follow=1".
type LogLine struct {
	Time     time.Time `json:"time"`
	Function string    `json:"function"`
	Text     string    `json:"text"`
}

// Problem is the body of an answer that is not 200.
type Problem struct {
	Error string `json:"error"`
}
