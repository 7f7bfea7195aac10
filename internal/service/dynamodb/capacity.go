package dynamodb

import (
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

// consumed returns what ReturnConsumedCapacity asks for.
func consumed(mode *string, table string, units float64) *api.ConsumedCapacity {
	switch wire.Value(mode) {
	case "TOTAL":
		return &api.ConsumedCapacity{TableName: wire.Ptr(table), CapacityUnits: wire.Ptr(units)}
	case "INDEXES":
		return &api.ConsumedCapacity{
			TableName: wire.Ptr(table), CapacityUnits: wire.Ptr(units), Table: &api.Capacity{CapacityUnits: wire.Ptr(units)},
		}
	default:
		return nil
	}
}
