// Package sts is AWS Security Token Service as far as its callers here need it: who am I, and temporary credentials of a role.
//
// What is here: GetCallerIdentity and AssumeRole. Session policies, session tags, MFA and source identities are refused by name.
// A role's trust policy is checked for its principals and for sts:ExternalId; a statement with another condition grants nothing, and
// the answer names the condition. Unlike on AWS, the account's root user may assume roles that trust the account: it is who works
// with a cloud of one's own.
//
// The package keeps no state: credentials are sealed by internal/identity, and roles belong to IAM.
package sts
