package lambda

import "croft/internal/kv"

func functionsKey() kv.Key { return kv.Key(nil).Raw('f') }

func functionKey(name string) kv.Key { return functionsKey().Str(name) }

func policyKey(name string) kv.Key { return kv.Key(nil).Raw('p').Str(name) }

// mappingsKey is the prefix of the mappings of an account and region, in the shared space.
func mappingsKey(account, region string) kv.Key { return kv.Key(nil).Raw('m').Str(account).Str(region) }

func mappingKey(account, region, id string) kv.Key { return mappingsKey(account, region).Str(id) }

// allMappingsKey is the prefix of all mappings there are.
func allMappingsKey() kv.Key { return kv.Key(nil).Raw('m') }

// readMappingKey returns what mappingKey was made of.
func readMappingKey(key []byte) (account, region, id string, err error) {
	r := kv.ReadKey(key, allMappingsKey())
	account, region, id = r.Str(), r.Str(), r.Str()
	return account, region, id, r.Err()
}
