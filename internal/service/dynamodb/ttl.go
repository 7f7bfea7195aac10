package dynamodb

// tableTTL is the time to live of a table.
type tableTTL struct {
	Attribute string `json:"attribute"`
}
