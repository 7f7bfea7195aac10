// Package iam is AWS Identity and Access Management as far as roles go: roles with their trust policies, inline policies, attached
// AWS managed policies and tags.
//
// What is here is stored, checked and returned; no policy is enforced yet. What is not here: users, groups, customer-managed
// policies, permissions boundaries, instance profiles, service-linked roles. A parameter that asks for one of them is refused by name.
//
// Invariants:
//
//   - A role is one row: its inline policies, attachments and tags change together with it.
//   - Role names are unique without regard to case, as on AWS, and looked up with regard to it.
//   - Policy documents are kept as they came and answered percent-encoded, as AWS answers them.
//
// Key layout, in the account's global space:
//
//	'r' role name in lower case (raw)   a role, JSON
package iam
