package dynamodb

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// keyPart is one attribute of a table's key.
type keyPart struct{ name, typ string }

// table is a table's definition. It is immutable: decoded ones are shared.
type table struct {
	Name       string                    `json:"name"`
	ID         string                    `json:"id"`
	Created    time.Time                 `json:"created"`
	Attributes []api.AttributeDefinition `json:"attributes"`
	KeySchema  []api.KeySchemaElement    `json:"keys"`
	OnDemand   bool                      `json:"onDemand,omitempty"`
	// OnDemandSince is when the table became on-demand.
	OnDemandSince time.Time           `json:"onDemandSince,omitzero"`
	ReadUnits     int64               `json:"read,omitempty"`
	WriteUnits    int64               `json:"write,omitempty"`
	Warm          *api.WarmThroughput `json:"warm,omitempty"`
	Class         string              `json:"class,omitempty"`
	Protected     bool                `json:"protected,omitempty"`
	Tags          []api.Tag           `json:"tags,omitempty"`

	// Indexes are the secondary indexes in the order in which they were made, and LastIndex is the number of the last one.
	Indexes   []*index `json:"indexes,omitempty"`
	LastIndex uint32   `json:"lastIndex,omitempty"`

	// Stream is the last stream that the table had, and TTL its time to live; nil for none.
	Stream *tableStream `json:"stream,omitempty"`
	TTL    *tableTTL    `json:"ttl,omitempty"`
	// Copying are the UUIDs of the backups that are being made of the table, and Restored is the backup that the table was made of.
	Copying  []string      `json:"copying,omitempty"`
	Restored *tableRestore `json:"restored,omitempty"`

	id              [16]byte
	partition, sort keyPart
	streamID        [16]byte
	copyingIDs      [][16]byte
	clock           clock.Clock
	// byName are the indexes in the order of their names.
	byName []*index
}

// keys returns the parts of the table's key: the partition key and, where there is one, the sort key.
func (t *table) keys() []keyPart {
	if t.sort.name == "" {
		return []keyPart{t.partition}
	}
	return []keyPart{t.partition, t.sort}
}

// derive fills in what follows from the stored fields.
func (t *table) derive() error {
	id, err := hex.DecodeString(strings.ReplaceAll(t.ID, "-", ""))
	if err != nil || len(id) != len(t.id) {
		return fmt.Errorf("dynamodb: table %s has the id %q", t.Name, t.ID)
	}
	copy(t.id[:], id)
	t.partition, t.sort = t.part(t.KeySchema[0].AttributeName), keyPart{}
	if len(t.KeySchema) > 1 {
		t.sort = t.part(t.KeySchema[1].AttributeName)
	}
	if t.streamEnabled() && t.Stream.ID != "" {
		if t.streamID, err = uuidBytes(t.Stream.ID); err != nil {
			return err
		}
	}
	t.copyingIDs = nil
	for _, text := range t.Copying {
		id, err := uuidBytes(text)
		if err != nil {
			return err
		}
		t.copyingIDs = append(t.copyingIDs, id)
	}
	return t.deriveIndexes()
}

// tableCache holds decoded definitions by their stored bytes, so that it can never be stale.
type tableCache struct {
	clock  clock.Clock
	mu     sync.RWMutex
	tables map[string]*table
}

const cachedTables = 512

func (c *tableCache) decode(stored []byte) (*table, error) {
	c.mu.RLock()
	t := c.tables[string(stored)]
	c.mu.RUnlock()
	if t != nil {
		return t, nil
	}
	t = &table{clock: c.clock}
	if err := json.Unmarshal(stored, t); err != nil {
		return nil, fmt.Errorf("dynamodb: the definition of a table is damaged: %w", err)
	}
	if len(t.KeySchema) == 0 {
		return nil, fmt.Errorf("dynamodb: table %s has no key", t.Name)
	}
	if err := t.derive(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tables == nil || len(c.tables) >= cachedTables {
		c.tables = make(map[string]*table)
	}
	c.tables[string(stored)] = t
	return t, nil
}

// getTable returns the definition of the table called name, or kv.ErrNotFound.
func (s *Service) getTable(r kv.Reader, name string) (*table, error) {
	stored, err := r.Get(tableKey(name))
	if err != nil {
		return nil, err
	}
	return s.cache.decode(stored)
}

// tableForItems is getTable with the error of the operations on items.
func (s *Service) tableForItems(r kv.Reader, name string) (*table, error) {
	t, err := s.getTable(r, name)
	if errors.Is(err, kv.ErrNotFound) || err == nil && t.restoring() {
		return nil, api.NewResourceNotFoundException("Requested resource not found")
	}
	return t, err
}

// namedTable is getTable with the error of the operations on tables.
func (s *Service) namedTable(r kv.Reader, name string) (*table, error) {
	t, err := s.getTable(r, name)
	if errors.Is(err, kv.ErrNotFound) {
		return nil, api.NewResourceNotFoundException("Requested resource not found: Table: %s not found", name)
	}
	return t, err
}

// putTable stores t.
func putTable(tx kv.Tx, t *table) error {
	stored, err := json.Marshal(t)
	if err != nil {
		return fmt.Errorf("dynamodb: table %s: %w", t.Name, err)
	}
	return tx.Put(tableKey(t.Name), stored)
}

const (
	minTableName = 3
	maxTableName = 255
	tableNames   = "[a-zA-Z0-9_.-]+"
)

var tableNameForm = regexp.MustCompile(`^` + tableNames + `$`)

// tableName returns the name that a TableName parameter means: a name, or the ARN of a table in the caller's account and region.
func (s *Service) tableName(ctx context.Context, given string) (string, error) {
	if !strings.HasPrefix(given, "arn:") {
		return given, checkTableName(given)
	}
	arn, err := cloud.ParseARN(given)
	name, isTable := strings.CutPrefix(arn.Resource, "table/")
	if err != nil || arn.Service != "dynamodb" || !isTable {
		return "", checkTableName(given)
	}
	if err := checkTableName(name); err != nil {
		return "", err
	}
	call := cloud.CallOf(ctx)
	if s.deps.Account(ctx, arn.Account, given) != call.Account {
		return "", cloud.Errorf("AccessDeniedException", "%s is not authorized to access %s: tables of other accounts are "+
			"reached through resource-based policies, which croft does not have", call.Principal.ARN, given)
	}
	if arn.Region != call.Region {
		return "", api.NewResourceNotFoundException("Requested resource not found: Table: %s not found", given)
	}
	return name, nil
}

func checkTableName(name string) error {
	var broken []string
	if len(name) < minTableName {
		broken = append(broken, fmt.Sprintf("length greater than or equal to %d", minTableName))
	}
	if len(name) > maxTableName {
		broken = append(broken, fmt.Sprintf("length less than or equal to %d", maxTableName))
	}
	for i := range broken {
		broken[i] = fmt.Sprintf("Value '%s' at 'tableName' failed to satisfy constraint: Member must have %s", name, broken[i])
	}
	if !tableNameForm.MatchString(name) {
		broken = append(broken, fmt.Sprintf(
			"Value '%s' at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: %s", name, tableNames))
	}
	return constraints(broken)
}

// constraints returns the error that lists broken constraints, nil when there are none.
func constraints(broken []string) error {
	switch len(broken) {
	case 0:
		return nil
	case 1:
		return validation("1 validation error detected: %s", broken[0])
	default:
		return validation("%d validation errors detected: %s", len(broken), strings.Join(broken, "; "))
	}
}

// validation returns the error that DynamoDB gives for input that its own code refuses.
func validation(format string, args ...any) error {
	return cloud.Errorf("ValidationException", format, args...)
}
