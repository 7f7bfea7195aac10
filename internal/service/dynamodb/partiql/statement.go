package partiql

import (
	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
)

// Verb is what a statement does.
type Verb byte

// The verbs. Exists checks that the item of a SELECT is there and meets its condition.
const (
	Select Verb = iota
	Insert
	Update
	Delete
	Exists
)

// Statement is one statement. Which of the fields mean something depends on the verb.
type Statement struct {
	Verb         Verb
	Table, Index string
	// Columns is what a SELECT projects, nil for all.
	Columns *expression.Projection
	// Where are the conditions that AND joins; there may be none.
	Where []Condition
	Order []Order
	Item  map[string]api.AttributeValue
	Set   *expression.Update
	// Returning is "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW", or empty.
	Returning string
}

// Condition is one condition. For a comparison of an attribute with values, Name is the attribute and Key says what is asked of it; Name is
// empty for everything else.
type Condition struct {
	Term expression.Term
	Name string
	Key  expression.KeyCondition
}

// Order is one part of ORDER BY.
type Order struct {
	Name       string
	Descending bool
}
