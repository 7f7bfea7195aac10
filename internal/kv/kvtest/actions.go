package kvtest

import (
	"context"
	"errors"
	"fmt"

	"pgregory.net/rapid"

	"croft/internal/kv"
)

// drawKey draws from few keys, so that operations meet, of which one is a prefix of others.
func drawKey(t *rapid.T) string {
	return rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 3, -1).Draw(t, "key")
}

func drawCounter(t *rapid.T) string {
	return "n" + rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 0, 1, -1).Draw(t, "counter")
}

func drawLog(t *rapid.T) string {
	return logSpace + rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 1, -1).Draw(t, "log")
}

func drawRange(t *rapid.T) kv.Range {
	switch rapid.IntRange(0, 9).Draw(t, "range") {
	case 0:
		return kv.Range{}
	case 1:
		return prefix(drawLog(t))
	case 2:
		return prefix("n")
	case 3:
		return kv.Range{Start: []byte(drawKey(t))}
	case 4:
		return prefix(drawKey(t))
	default:
		return kv.Range{Start: []byte(drawKey(t)), End: []byte(drawKey(t))}
	}
}

func drawRead(t *rapid.T) action {
	loose := rapid.Bool().Draw(t, "loose")
	if rapid.Bool().Draw(t, "get") {
		key := drawKey(t)
		if rapid.Bool().Draw(t, "of a counter") {
			key = drawCounter(t)
		}
		return getAction(key, loose)
	}
	o := kv.ScanOptions{Reverse: rapid.Bool().Draw(t, "reverse"), Limit: rapid.IntRange(0, 3).Draw(t, "limit")}
	return scanAction(drawRange(t), o, loose)
}

func drawAction(t *rapid.T) action { return drawActionAt(t, 0) }

func drawActionAt(t *rapid.T, depth int) action {
	top := 15
	if depth >= 3 {
		top = 12
	}
	switch rapid.IntRange(0, top).Draw(t, "action") {
	case 0, 1, 2:
		return drawRead(t)
	case 3, 4, 5:
		return putAction(drawKey(t), rapid.StringN(0, 3, -1).Draw(t, "value"))
	case 6:
		return deleteAction(drawKey(t))
	case 7:
		return deleteAction(drawCounter(t))
	case 8, 9:
		return addAction(drawCounter(t), rapid.Int64().Draw(t, "delta"))
	case 10:
		return addAction(drawKey(t), 1)
	case 11:
		return appendAction(drawLog(t), rapid.StringN(1, 2, -1).Draw(t, "entry"))
	case 12:
		return deleteRangeAction(drawRange(t))
	default:
		return nestAction(t, depth)
	}
}

func getAction(key string, loose bool) action {
	read := func(r kv.Reader) (string, error) {
		if loose {
			r = r.Loose()
		}
		v, err := r.Get([]byte(key))
		if errors.Is(err, kv.ErrNotFound) {
			return "none", nil
		}
		return fmt.Sprintf("%q", v), err
	}
	return action{
		name:     fmt.Sprintf("get %q", key),
		onReader: read,
		onStore:  func(_ context.Context, _ kv.Store, tx kv.Tx) (string, error) { return read(tx) },
		onModel:  func(m *model) string { return m.get(key) },
	}
}

// scanAction leaves out what the transaction itself has appended: that cannot be read, so the model keeps it aside.
func scanAction(rng kv.Range, o kv.ScanOptions, loose bool) action {
	read := func(r kv.Reader) (string, error) {
		if loose {
			r = r.Loose()
		}
		return scanHistory(r, rng, o)
	}
	return action{
		name:     fmt.Sprintf("scan %q %+v", rng, o),
		onReader: read,
		onStore:  func(_ context.Context, _ kv.Store, tx kv.Tx) (string, error) { return read(tx) },
		onModel:  func(m *model) string { return m.scan(rng, o) },
	}
}

// writeAction is a write, which reads nothing.
func writeAction(name string, onStore func(kv.Tx) error, onModel func(*model)) action {
	return action{
		name:    name,
		onStore: func(_ context.Context, _ kv.Store, tx kv.Tx) (string, error) { return "", onStore(tx) },
		onModel: func(m *model) string { onModel(m); return "" },
	}
}

func putAction(key, value string) action {
	return writeAction(fmt.Sprintf("put %q %q", key, value),
		func(tx kv.Tx) error { return tx.Put([]byte(key), []byte(value)) },
		func(m *model) { m.put(key, value) })
}

func deleteAction(key string) action {
	return writeAction(fmt.Sprintf("delete %q", key),
		func(tx kv.Tx) error { return tx.Delete([]byte(key)) },
		func(m *model) { m.delete(key) })
}

func addAction(key string, delta int64) action {
	return writeAction(fmt.Sprintf("add %q %d", key, delta),
		func(tx kv.Tx) error { return tx.Add([]byte(key), delta) },
		func(m *model) { m.add(key, delta) })
}

func appendAction(log, value string) action {
	return writeAction(fmt.Sprintf("append %q %q", log, value),
		func(tx kv.Tx) error { return tx.Append([]byte(log), []byte(value)) },
		func(m *model) { m.append(log, value) })
}

func deleteRangeAction(r kv.Range) action {
	return writeAction(fmt.Sprintf("delete range %q", r),
		func(tx kv.Tx) error { return tx.DeleteRange(r) },
		func(m *model) { m.deleteRange(r) })
}

// nestAction is a joined Update or a savepoint with operations in it, which may be taken back.
func nestAction(t *rapid.T, depth int) action {
	ops := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) action { return drawActionAt(t, depth+1) }), 1, 5).Draw(t, "nested")
	undo := rapid.Bool().Draw(t, "undo")
	joined := rapid.Bool().Draw(t, "joined")
	inner := step{ops: ops, fail: undo}
	a := action{name: fmt.Sprintf("nested, undo %v", undo), onModel: inner.onModel}
	a.onStore = func(ctx context.Context, s kv.Store, tx kv.Tx) (string, error) {
		if joined {
			return inner.runJoined(ctx, s)
		}
		rollback := tx.Savepoint()
		out, err := inner.runActions(ctx, s, tx)
		if undo {
			rollback()
		}
		return out, err
	}
	return a
}
