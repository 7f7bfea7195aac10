package dynamodb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/cloud"
	"croft/internal/kv"
	"croft/internal/wire"
)

// Values of ProjectionType, and the states of an index and its table that are told.
const (
	projectAll     = "ALL"
	projectInclude = "INCLUDE"
	statusActive   = "ACTIVE"
	statusCreating = "CREATING"
	statusDeleting = "DELETING"
	statusUpdating = "UPDATING"
)

// index is the definition of a secondary index. Like the table that it belongs to it is immutable.
type index struct {
	Name string `json:"name"`
	// Number tells the entries of a table's indexes apart. It is never used twice in a table.
	Number     uint32                 `json:"number"`
	Local      bool                   `json:"local,omitempty"`
	KeySchema  []api.KeySchemaElement `json:"keys"`
	Projection api.Projection         `json:"projection"`
	ReadUnits  int64                  `json:"read,omitempty"`
	WriteUnits int64                  `json:"write,omitempty"`
	Warm       *api.WarmThroughput    `json:"warm,omitempty"`
	// Filling is whether items from before the index are still being entered. Until then it cannot be read.
	Filling bool `json:"filling,omitempty"`

	table           *table
	partition, sort []keyPart
	// all are the attributes of both.
	all []keyPart
	// kept are the attributes that entries have; nil means all.
	kept map[string]bool
}

// derive fills in what follows from the stored fields of the index and of its table.
func (x *index) derive(t *table) error {
	x.table, x.partition, x.sort, x.kept = t, nil, nil, nil
	for _, k := range x.KeySchema {
		part := t.part(k.AttributeName)
		if part.name == "" {
			return fmt.Errorf("dynamodb: index %s of table %s has the key %q, which is not defined", x.Name, t.Name, k.AttributeName)
		}
		if k.KeyType == keyHash {
			x.partition = append(x.partition, part)
		} else {
			x.sort = append(x.sort, part)
		}
	}
	x.all = slices.Concat(x.partition, x.sort)
	if wire.Value(x.Projection.ProjectionType) == projectAll {
		return nil
	}
	x.kept = make(map[string]bool)
	for _, part := range slices.Concat(t.keys(), x.all) {
		x.kept[part.name] = true
	}
	for _, name := range x.Projection.NonKeyAttributes {
		x.kept[name] = true
	}
	return nil
}

// part returns the attribute called name with its type, the zero keyPart where it has no definition.
func (t *table) part(name string) keyPart {
	for _, a := range t.Attributes {
		if a.AttributeName == name {
			return keyPart{a.AttributeName, a.AttributeType}
		}
	}
	return keyPart{}
}

// projects reports whether entries have the attribute called name when the item has it.
func (x *index) projects(name string) bool { return x.kept == nil || x.kept[name] }

// index returns the index called name, nil when there is none.
func (t *table) index(name string) *index {
	for _, x := range t.Indexes {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// deriveIndexes is the part of derive that has to do with indexes.
func (t *table) deriveIndexes() error {
	for _, x := range t.Indexes {
		if err := x.derive(t); err != nil {
			return err
		}
	}
	t.byName = slices.Clone(t.Indexes)
	slices.SortFunc(t.byName, func(a, b *index) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nil
}

// addIndex gives t another index, numbered and without what is derived.
func (t *table) addIndex(x *index) {
	t.LastIndex++
	x.Number = t.LastIndex
	t.Indexes = append(slices.Clone(t.Indexes), x)
}

func (x *index) prefix(kind byte) kv.Key {
	return binary.BigEndian.AppendUint32(append(kv.Key{kind}, x.table.id[:]...), x.Number)
}

func (x *index) countKey() kv.Key { return x.prefix('N') }

func (x *index) sizeKey() kv.Key { return x.prefix('S') }

func (x *index) entries() kv.Range { return kv.PrefixRange(x.prefix('x')) }

// totals returns how many entries the index has and their size.
func (x *index) totals(r kv.Reader) (out totals, err error) {
	if out.items, err = counter(r, x.countKey()); err != nil {
		return out, err
	}
	out.bytes, err = counter(r, x.sizeKey())
	return out, err
}

func counter(r kv.Reader, key kv.Key) (int64, error) {
	v, err := r.Get(key)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return 0, err
	}
	return kv.Int64(v), nil
}

// drop removes everything that is stored of the index but its definition.
func (x *index) drop(tx kv.Tx) error {
	for _, key := range []kv.Key{x.countKey(), x.sizeKey()} {
		if err := tx.Delete(key); err != nil {
			return err
		}
	}
	return tx.DeleteRange(x.entries())
}

// dropIndexes removes what is stored of the indexes of a table that is deleted.
func (t *table) dropIndexes(tx kv.Tx) error {
	if t.hasLocal() {
		if err := tx.DeleteRange(t.collections()); err != nil {
			return err
		}
	}
	for _, x := range t.Indexes {
		if err := x.drop(tx); err != nil {
			return err
		}
	}
	return nil
}

// status is what IndexStatus says.
func (x *index) status() string {
	if x.Filling {
		return statusCreating
	}
	return statusActive
}

// describeIndexes puts the indexes into a description. A status other than "" takes the place of theirs.
func (t *table) describeIndexes(r kv.Reader, call *cloud.Call, d *api.TableDescription, status string) error {
	for _, x := range t.Indexes {
		var n totals
		if r != nil {
			var err error
			if n, err = x.totals(r); err != nil {
				return err
			}
		}
		arn := call.ARN(serviceName, "table/"+t.Name+"/index/"+x.Name)
		if x.Local {
			d.LocalSecondaryIndexes = append(d.LocalSecondaryIndexes, api.LocalSecondaryIndexDescription{
				IndexName: wire.Ptr(x.Name), KeySchema: x.KeySchema, Projection: &x.Projection,
				IndexSizeBytes: wire.Ptr(n.bytes), ItemCount: wire.Ptr(n.items), IndexArn: wire.Ptr(arn),
			})
			continue
		}
		g := x.describe(arn, n)
		if status != "" {
			g.IndexStatus, g.WarmThroughput = wire.Ptr(status), nil
		}
		d.GlobalSecondaryIndexes = append(d.GlobalSecondaryIndexes, g)
	}
	return nil
}

// describe describes a global index.
func (x *index) describe(arn string, n totals) api.GlobalSecondaryIndexDescription {
	g := api.GlobalSecondaryIndexDescription{
		IndexName: wire.Ptr(x.Name), KeySchema: x.KeySchema, Projection: &x.Projection, IndexStatus: wire.Ptr(x.status()),
		ProvisionedThroughput: &api.ProvisionedThroughputDescription{
			NumberOfDecreasesToday: wire.Ptr[int64](0),
			ReadCapacityUnits:      wire.Ptr(x.ReadUnits), WriteCapacityUnits: wire.Ptr(x.WriteUnits),
		},
		IndexSizeBytes: wire.Ptr(n.bytes), ItemCount: wire.Ptr(n.items), IndexArn: wire.Ptr(arn),
	}
	if x.Filling {
		g.Backfilling = wire.Ptr(true)
	}
	read, write := x.ReadUnits, x.WriteUnits
	if x.table.OnDemand {
		read, write = onDemandWarmRead, onDemandWarmPut
	}
	if x.Warm != nil {
		read, write = max(read, wire.Value(x.Warm.ReadUnitsPerSecond)), max(write, wire.Value(x.Warm.WriteUnitsPerSecond))
	}
	g.WarmThroughput = &api.GlobalSecondaryIndexWarmThroughputDescription{
		ReadUnitsPerSecond: wire.Ptr(read), WriteUnitsPerSecond: wire.Ptr(write), Status: wire.Ptr(statusActive),
	}
	return g
}
