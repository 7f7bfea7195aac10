package kv

import (
	"context"
	"errors"
)

type joinKey struct{ store Store }

type joinState struct {
	tx     Tx
	reader Reader
	depth  int
}

// MaxJoinDepth bounds how deep joined transactions nest: far above any real chain of calls, low enough to stop a cycle of
// services that call each other.
const MaxJoinDepth = 64

// ErrTooDeep is returned when transactions are joined more than MaxJoinDepth deep.
var ErrTooDeep = errors.New("kv: joined transactions nest too deep")

// WithTx returns a context in which Updates and Views of store join tx. Back ends call it around the function they run.
func WithTx(ctx context.Context, store Store, tx Tx) context.Context {
	return context.WithValue(ctx, joinKey{store}, joinState{tx: tx, reader: tx})
}

// WithReader returns a context in which Views of store join r, and Updates fail with ErrReadOnly.
func WithReader(ctx context.Context, store Store, r Reader) context.Context {
	return context.WithValue(ctx, joinKey{store}, joinState{reader: r})
}

// Detach returns a context in which nothing is joined: for work that must not be part of the caller's transaction, such as a
// goroutine that outlives it.
func Detach(ctx context.Context, store Store) context.Context {
	return context.WithValue(ctx, joinKey{store}, joinState{})
}

// InTx reports whether ctx carries a transaction of store.
func InTx(ctx context.Context, store Store) bool {
	s, _ := ctx.Value(joinKey{store}).(joinState)
	return s.tx != nil
}

// JoinUpdate runs fn on the transaction of store that ctx carries, and reports whether there was one. A back end's Update begins
// with it. When fn fails, the writes it made are taken back.
func JoinUpdate(ctx context.Context, store Store, fn func(context.Context, Tx) error) (joined bool, err error) {
	s, ok := ctx.Value(joinKey{store}).(joinState)
	if !ok || s.reader == nil {
		return false, nil
	}
	if s.tx == nil {
		return true, ErrReadOnly
	}
	if s.depth >= MaxJoinDepth {
		return true, ErrTooDeep
	}
	s.depth++
	rollback := s.tx.Savepoint()
	if err := fn(context.WithValue(ctx, joinKey{store}, s), s.tx); err != nil {
		rollback()
		return true, err
	}
	return true, nil
}

// JoinView runs fn on the transaction or snapshot of store that ctx carries, and reports whether there was one. A back end's View
// begins with it.
func JoinView(ctx context.Context, store Store, fn func(context.Context, Reader) error) (joined bool, err error) {
	s, ok := ctx.Value(joinKey{store}).(joinState)
	if !ok || s.reader == nil {
		return false, nil
	}
	if s.depth >= MaxJoinDepth {
		return true, ErrTooDeep
	}
	s.depth++
	return true, fn(context.WithValue(ctx, joinKey{store}, s), s.reader)
}
