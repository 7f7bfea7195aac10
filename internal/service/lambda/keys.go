package lambda

import (
	"fmt"

	"croft/internal/kv"
)

func functionsKey() kv.Key { return kv.Key(nil).Raw('f') }

func functionKey(name string) kv.Key { return functionsKey().Str(name) }

// policiesKey is the prefix of the policies of a function and of its versions and aliases.
func policiesKey(name string) kv.Key { return kv.Key(nil).Raw('p').Str(name) }

// policyKey is where the policy of a function lies, or of the version or alias that qualifier names.
func policyKey(name, qualifier string) kv.Key {
	if qualifier == "" {
		return policiesKey(name)
	}
	return policiesKey(name).Str(qualifier)
}

func versionsKey(name string) kv.Key { return kv.Key(nil).Raw('v').Str(name) }

// versionKey orders the versions of a function by their numbers.
func versionKey(name string, number int64) kv.Key {
	return versionsKey(name).Str(versionMarker(number))
}

func versionMarker(number int64) string { return fmt.Sprintf("%020d", number) }

// numberKey is where the last number given to a version lies. It stays when the function is deleted: numbers are never given twice.
func numberKey(name string) kv.Key { return kv.Key(nil).Raw('n').Str(name) }

func aliasesKey(name string) kv.Key { return kv.Key(nil).Raw('a').Str(name) }

func aliasKey(name, alias string) kv.Key { return aliasesKey(name).Str(alias) }

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

// urlsKey is the prefix of the URLs of a function, of which its own comes before those of its aliases.
func urlsKey(name string) kv.Key { return kv.Key(nil).Raw('u').Str(name) }

// urlKey is where the URL of a function lies, or of the alias that qualifier names.
func urlKey(name, qualifier string) kv.Key {
	if qualifier == "" {
		qualifier = latest
	}
	return urlsKey(name).Str(qualifier)
}

// urlIndexKey is where the shared space says whose the URL with an id is.
func urlIndexKey(id string) kv.Key { return kv.Key(nil).Raw('u').Str(id) }

// provisionsKey is the prefix of what is provisioned in an account and region, in the shared space.
func provisionsKey(account, region string) kv.Key { return allProvisionsKey().Str(account).Str(region) }

func provisionKey(account, region, function, qualifier string) kv.Key {
	return provisionsKey(account, region).Str(function).Str(qualifier)
}

// allProvisionsKey is the prefix of all that is provisioned.
func allProvisionsKey() kv.Key { return kv.Key(nil).Raw('c') }

// readProvisionKey returns the account and region of what provisionKey made.
func readProvisionKey(key []byte) (account, region string, err error) {
	r := kv.ReadKey(key, allProvisionsKey())
	account, region = r.Str(), r.Str()
	return account, region, r.Err()
}
