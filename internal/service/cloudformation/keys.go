package cloudformation

import (
	"time"

	"croft/internal/cfn"
	"croft/internal/kv"
)

func stackKey(stack string) kv.Key                { return kv.Key{'s'}.Str(stack) }
func nameKey(name string) kv.Key                  { return kv.Key{'n'}.Str(name) }
func createdPrefix() kv.Key                       { return kv.Key{'o'} }
func createdKey(t time.Time, stack string) kv.Key { return createdPrefix().Time(t).Str(stack) }
func recordsPrefix(stack string) kv.Key           { return kv.Key{'r'}.Str(stack) }
func recordKey(stack, id string) kv.Key           { return recordsPrefix(stack).Str(id) }
func eventsLog(stack string) kv.Key               { return kv.Key{'e'}.Str(stack) }
func textKey(text string) kv.Key                  { return kv.Key{'m'}.Str(text) }
func changeSetsPrefix(stack string) kv.Key        { return kv.Key{'c'}.Str(stack) }
func changeSetKey(stack, name string) kv.Key      { return changeSetsPrefix(stack).Str(name) }
func changeSetIDKey(id string) kv.Key             { return kv.Key{'i'}.Str(id) }
func tokensPrefix(stack string) kv.Key            { return kv.Key{'k'}.Str(stack) }
func tokenKey(stack, token string) kv.Key         { return tokensPrefix(stack).Str(token) }
func ownersPrefix(physical string) kv.Key         { return kv.Key{'p'}.Str(physical) }
func exportsPrefix() kv.Key                       { return kv.Key{'x'} }
func exportKey(name string) kv.Key                { return exportsPrefix().Str(name) }
func exportsOfPrefix(stack string) kv.Key         { return kv.Key{'y'}.Str(stack) }
func exportsOfKey(stack, name string) kv.Key      { return exportsOfPrefix(stack).Str(name) }
func usersPrefix(export string) kv.Key            { return kv.Key{'u'}.Str(export) }
func userKey(export, stack string) kv.Key         { return usersPrefix(export).Str(stack) }
func usesPrefix(stack string) kv.Key              { return kv.Key{'v'}.Str(stack) }
func usesKey(stack, export string) kv.Key         { return usesPrefix(stack).Str(export) }
func workKey(account, region, stack string) kv.Key {
	return kv.Key{}.Str(account).Str(region).Str(stack)
}

// lastPart returns the part of key after prefix, which is its last.
func lastPart(key, prefix []byte) (string, error) {
	r := kv.ReadKey(key, prefix)
	s := r.Str()
	return s, r.Err()
}

// ownerKey is that of one resource; few are parts of another.
func ownerKey(p *cfn.Physical) kv.Key {
	k := ownersPrefix(p.ID).Str(p.Type)
	if p.Within != "" {
		k = k.Str(p.Within)
	}
	return k
}
