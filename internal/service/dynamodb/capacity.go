package dynamodb

import (
	"maps"
	"slices"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/wire"
)

// Sizes of capacity units in bytes. Source: DynamoDB Developer Guide, "DynamoDB read and write operations".
const (
	readUnit  = 4 << 10
	writeUnit = 1 << 10
)

// readUnits returns the capacity that reading size bytes takes; nothing read takes as much as the smallest item.
func readUnits(size int, consistent *bool) float64 {
	units := float64(max(1, (size+readUnit-1)/readUnit))
	if wire.Value(consistent) {
		return units
	}
	return units / 2
}

// writeUnits returns the capacity that writing takes: that of the larger of the item before and after.
func writeUnits(before, after int) float64 {
	return float64(max(1, (max(before, after)+writeUnit-1)/writeUnit))
}

// indexUnits is the capacity that one index takes.
type indexUnits struct {
	index *index
	units float64
}

// spent is the capacity that a request takes of one table: of its items and, by name, of its indexes.
type spent struct {
	table         float64
	local, global map[string]float64
}

func (s *spent) add(units float64, indexes []indexUnits, times float64) {
	s.table += times * units
	for _, n := range indexes {
		to := &s.global
		if n.index.Local {
			to = &s.local
		}
		if *to == nil {
			*to = make(map[string]float64)
		}
		(*to)[n.index.Name] += times * n.units
	}
}

// spending is the capacity that a request takes, by the names of tables.
type spending map[string]*spent

func (s spending) add(table string, units float64) { s.addWrite(table, units, nil, 1) }

// addWrite adds what a write took of a table and its indexes, so many times.
func (s spending) addWrite(table string, units float64, indexes []indexUnits, times float64) {
	if s[table] == nil {
		s[table] = new(spent)
	}
	s[table].add(units, indexes, times)
}

// consumed returns what ReturnConsumedCapacity asks for of a request that takes no capacity of indexes.
func consumed(mode *string, table string, units float64) *api.ConsumedCapacity {
	return (&spent{table: units}).answer(mode, table)
}

// consumedWrite is consumed for one write.
func consumedWrite(mode *string, table string, done written) *api.ConsumedCapacity {
	var s spent
	s.add(writeUnits(done.old.size, done.size), done.indexes, 1)
	return s.answer(mode, table)
}

// answer returns what ReturnConsumedCapacity asks for.
func (s *spent) answer(mode *string, table string) *api.ConsumedCapacity {
	total := s.table
	for _, m := range [...]map[string]float64{s.local, s.global} {
		for _, units := range m {
			total += units
		}
	}
	out := &api.ConsumedCapacity{TableName: wire.Ptr(table), CapacityUnits: wire.Ptr(total)}
	switch wire.Value(mode) {
	case "TOTAL":
		return out
	case "INDEXES":
		out.Table = &api.Capacity{CapacityUnits: wire.Ptr(s.table)}
		out.LocalSecondaryIndexes, out.GlobalSecondaryIndexes = capacities(s.local), capacities(s.global)
		return out
	default:
		return nil
	}
}

func capacities(units map[string]float64) map[string]api.Capacity {
	if units == nil {
		return nil
	}
	out := make(map[string]api.Capacity, len(units))
	for name, n := range units {
		out[name] = api.Capacity{CapacityUnits: wire.Ptr(n)}
	}
	return out
}

// consumedAll is consumed for several tables, in the order of their names.
func consumedAll(mode *string, units spending) []api.ConsumedCapacity {
	var out []api.ConsumedCapacity
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if c := units[name].answer(mode, name); c != nil {
			out = append(out, *c)
		}
	}
	return out
}
