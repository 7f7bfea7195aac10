package cfn

import (
	"testing"

	"croft/internal/cloud"
)

func TestOwnName(t *testing.T) {
	for _, c := range []struct {
		id        string
		old, want map[string]any
		own       bool
	}{
		{"Orders", map[string]any{"TableName": "Orders"}, map[string]any{"TableName": "Orders", "KeySchema": "id"}, true},
		{"http://x/000000000000/q", map[string]any{"QueueName": "q"}, map[string]any{"QueueName": "q"}, true},
		{"Orders", map[string]any{"TableName": "Orders"}, map[string]any{"TableName": "Others"}, false},
		{"stack-Orders-ABC", map[string]any{"List": []any{"a"}}, map[string]any{"List": []any{"a"}}, false},
		{"Orders", nil, map[string]any{"TableName": "Orders"}, false},
	} {
		if got := ownName(&Physical{ID: c.id, Properties: c.old}, &Physical{Properties: c.want}); got != c.own {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if taken(nil) || taken(cloud.Errorf("QueueDoesNotExist", "gone")) || !taken(cloud.Errorf("ResourceInUseException", "there")) {
		t.Error("taken")
	}
}
