package cfn

import (
	"time"

	"croft/internal/cfn/template"
	"croft/internal/cloud"
)

// Status is the state of a stack or of a resource, in CloudFormation's words.
type Status string

// The states of stacks and resources.
const (
	ReviewInProgress Status = "REVIEW_IN_PROGRESS"

	CreateInProgress Status = "CREATE_IN_PROGRESS"
	CreateComplete   Status = "CREATE_COMPLETE"
	CreateFailed     Status = "CREATE_FAILED"

	RollbackInProgress Status = "ROLLBACK_IN_PROGRESS"
	RollbackComplete   Status = "ROLLBACK_COMPLETE"
	RollbackFailed     Status = "ROLLBACK_FAILED"

	UpdateInProgress       Status = "UPDATE_IN_PROGRESS"
	UpdateCleanup          Status = "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"
	UpdateComplete         Status = "UPDATE_COMPLETE"
	UpdateFailed           Status = "UPDATE_FAILED"
	UpdateRollback         Status = "UPDATE_ROLLBACK_IN_PROGRESS"
	UpdateRollbackCleanup  Status = "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"
	UpdateRollbackComplete Status = "UPDATE_ROLLBACK_COMPLETE"
	UpdateRollbackFailed   Status = "UPDATE_ROLLBACK_FAILED"
	DeleteInProgress       Status = "DELETE_IN_PROGRESS"
	DeleteComplete         Status = "DELETE_COMPLETE"
	DeleteFailed           Status = "DELETE_FAILED"
	DeleteSkipped          Status = "DELETE_SKIPPED"
)

// StackType is the resource type that a stack itself has in its events.
const StackType = "AWS::CloudFormation::Stack"

// Reasons, in CloudFormation's words.
const (
	userInitiated       = "User Initiated"
	creationInitiated   = "Resource creation Initiated"
	replacementNeedsNew = "Requested update requires the creation of a new physical resource; hence creating one."
)

const retain = "Retain"

// Stack is what is durable of a stack, apart from its resources, its events and the texts of its templates. Whoever stores it does
// so in the transaction that changed it.
type Stack struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Created time.Time `json:"created"`
	// Updated and Deleted are zero until the stack is first updated and deleted.
	Updated time.Time `json:"updated,omitzero"`
	Deleted time.Time `json:"deleted,omitzero"`
	// Current is what the stack was made of, or is being made of. Stable is what a rollback goes back to: nil unless an update is
	// under way or has failed.
	Current Source  `json:"current"`
	Stable  *Source `json:"stable,omitempty"`
	// Protected stacks cannot be deleted.
	Protected bool `json:"protected,omitempty"`
	// Op is the operation under way, or nil.
	Op *Operation `json:"op,omitempty"`
	// LastEvent keeps the times of events in their order.
	LastEvent EventMark `json:"lastEvent,omitzero"`
	// Changes counts the changes made to resources, so that a rollback undoes them in reverse.
	Changes int `json:"changes,omitempty"`
}

// Source is what a stack is made of.
type Source struct {
	// Template names the stored text.
	Template    string `json:"template,omitempty"`
	Description string `json:"description,omitempty"`
	// Parameters are the values by name, defaults included.
	Parameters   []Parameter `json:"parameters,omitempty"`
	Tags         []Tag       `json:"tags,omitempty"`
	Capabilities []string    `json:"capabilities,omitempty"`
	Outputs      []Output    `json:"outputs,omitempty"`
	// Imports are the names of the exports that the outputs use.
	Imports     []string `json:"imports,omitempty"`
	RoleARN     string   `json:"role,omitempty"`
	ChangeSetID string   `json:"changeSet,omitempty"`
	// DisableRollback leaves the stack as it is when a creation or update fails.
	DisableRollback bool `json:"disableRollback,omitempty"`
}

// Parameter is a parameter's value. NoEcho values are never shown.
type Parameter struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	NoEcho bool   `json:"noEcho,omitempty"`
}

// Output is an evaluated output.
type Output struct {
	Name        string `json:"name"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
	Export      string `json:"export,omitempty"`
}

// TagMap returns the source's tags as a map.
func (s *Source) TagMap() map[string]string { return TagMap(nil, s.Tags) }

// Given returns the parameters in the form that template.ResolveParameters takes.
func (s *Source) Given() map[string]string {
	given := make(map[string]string, len(s.Parameters))
	for _, p := range s.Parameters {
		given[p.Name] = p.Value
	}
	return given
}

// Action is what an operation does.
type Action string

// The actions.
const (
	Create Action = "create"
	Update Action = "update"
	Delete Action = "delete"
)

// Phase is how far an operation has come. Each step of a phase is one transaction.
type Phase string

// The phases. A creation goes forward and ends, or removes what it had made; an update goes forward and cleans up, or goes back
// and cleans up; a deletion removes.
const (
	Forward Phase = "forward"
	Back    Phase = "back"
	Cleanup Phase = "cleanup"
	Remove  Phase = "remove"
)

// OnFailure is what happens when a creation fails.
type OnFailure string

// The choices of OnFailure; the zero value means Rollback.
const (
	Rollback  OnFailure = "ROLLBACK"
	DeleteAll OnFailure = "DELETE"
	DoNothing OnFailure = "DO_NOTHING"
)

// Operation is a change of a stack under way.
type Operation struct {
	ID        string    `json:"id"`
	Action    Action    `json:"action"`
	Phase     Phase     `json:"phase"`
	OnFailure OnFailure `json:"onFailure,omitempty"`
	// Queue are the logical ids that the phase has still to look at, in order.
	Queue []string `json:"queue,omitempty"`
	// Failed are the logical ids that have failed in this phase.
	Failed []string `json:"failed,omitempty"`
	// Blocked are the logical ids that stay because what depends on them could not be removed.
	Blocked []string `json:"blocked,omitempty"`
	// Gone are the logical ids whose records the cleanup removes.
	Gone []string `json:"gone,omitempty"`
	// Retain are the logical ids that a deletion leaves alone because the caller said so.
	Retain []string `json:"retain,omitempty"`
	// Token is the caller's ClientRequestToken, shown in the operation's events.
	Token string `json:"token,omitempty"`
	// ChangeSetID is the change set that is being executed, if any.
	ChangeSetID string `json:"changeSet,omitempty"`
	// Principal and Endpoint are those of the call that began the operation: what it does, it does in the caller's name.
	Principal cloud.Principal `json:"principal"`
	Endpoint  string          `json:"endpoint,omitempty"`
	// End is the state in which the removal of everything ends when nothing fails.
	End Status `json:"end,omitempty"`
}

// is reports whether p and q, of one type, are one resource.
func (p *Physical) is(q *Physical) bool { return p.ID == q.ID && p.Within == q.Within }

// Physical is a resource that was made.
type Physical struct {
	Type       string         `json:"type"`
	ID         string         `json:"id"`
	Within     string         `json:"within,omitempty"`
	Attributes map[string]any `json:"attributes,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
	// Shown are the properties as events show them, when they differ because a NoEcho parameter is in them.
	Shown map[string]any `json:"shown,omitempty"`
	// Tags are the stack's tags that the resource was given.
	Tags map[string]string `json:"tags,omitempty"`
	// Deps are the logical ids that it depends on.
	Deps                []string `json:"deps,omitempty"`
	Metadata            string   `json:"metadata,omitempty"`
	DeletionPolicy      string   `json:"deletionPolicy,omitempty"`
	UpdateReplacePolicy string   `json:"updateReplacePolicy,omitempty"`
	// Imports are the names of the exports that its properties use.
	Imports []string `json:"imports,omitempty"`
}

// Change is what an operation has done to a resource.
type Change string

// The changes.
const (
	Unchanged Change = ""
	Added     Change = "add"
	Modified  Change = "modify"
	Replaced  Change = "replace"
)

// Record is what a stack knows of one logical id.
type Record struct {
	LogicalID string    `json:"logicalID"`
	Type      string    `json:"type"`
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	At        time.Time `json:"at"`
	// Now is what the logical id stands for; nil when its creation failed or it has been deleted.
	Now *Physical `json:"now,omitempty"`
	// Gone is the last physical id of a resource that has been deleted.
	Gone string `json:"gone,omitempty"`
	// Change, Order and Before are for the rollback: what was done, as the how-manieth change, and what was there before.
	Change Change    `json:"change,omitempty"`
	Order  int       `json:"order,omitempty"`
	Before *Physical `json:"before,omitempty"`
	// Old are resources that it stood for and that are still to be deleted.
	Old []*Physical `json:"old,omitempty"`
}

// PhysicalID returns what Ref yields, or what it last did.
func (r *Record) PhysicalID() string {
	if r.Now == nil {
		return r.Gone
	}
	return r.Now.ID
}

// Event is one entry of a stack's history.
type Event struct {
	ID         string    `json:"id"`
	LogicalID  string    `json:"logicalID"`
	PhysicalID string    `json:"physicalID"`
	Type       string    `json:"type"`
	At         time.Time `json:"at"`
	Status     Status    `json:"status"`
	Reason     string    `json:"reason,omitempty"`
	// Properties is a JSON object, or empty.
	Properties string `json:"properties,omitempty"`
	Token      string `json:"token,omitempty"`
}

// EventMark is what the next event must come after.
type EventMark struct {
	At        time.Time `json:"at"`
	LogicalID string    `json:"logicalID"`
	Status    Status    `json:"status"`
}

// Journal is the durable record of one stack as one transaction sees it.
type Journal interface {
	// Resource returns the record of a logical id, or nil.
	Resource(id string) (*Record, error)
	// Resources returns all records, ordered by logical id.
	Resources() ([]*Record, error)
	// Put stores a record. It fails with an error that says so when another record, of whatever stack, stands for one of its
	// physical resources.
	Put(r *Record) error
	// Drop removes the record of a logical id.
	Drop(id string) error
	// Event adds to the history.
	Event(e Event) error
}

// Exports are the values that stacks of an account and region share, as one transaction sees them.
type Exports interface {
	// Import returns the value exported under name, and false when there is none.
	Import(name string) (value string, ok bool, err error)
	// Publish replaces what the stack exports by the outputs that have an Export, and what it uses by imports. It refuses a name
	// that another stack exports, and to change or withdraw what another stack uses.
	Publish(outputs []Output, imports []string) error
}

// Target is what an operation works towards: a template with its parameters, and the order that its references give.
type Target struct {
	Bound *template.Bound
	Graph *template.Graph
}

// NewTarget makes a Target of a bound template. It refuses circular dependencies.
func NewTarget(b *template.Bound) (*Target, error) {
	g, err := b.Graph()
	if err != nil {
		return nil, err
	}
	return &Target{Bound: b, Graph: g}, nil
}
