// Package cloudformation is the CloudFormation service: the API over the deployment executor of package cfn, and the place where stacks
// lie. It knows no resource types; those come through the look-up given to New.
//
// Invariants:
//
//   - An operation that starts a change only checks it, records it and leaves a row of work. Run takes the steps, each in one
//     transaction together with what the resource's service writes. A process that dies leaves every stack between two steps, and the
//     next one goes on from the rows of work.
//   - A stack has a row of work exactly as long as it has an operation.
//   - A physical resource belongs to at most one record of one stack in an account and region.
//   - An export has one owner; neither its value nor the export itself changes while another stack uses it.
//
// Key layout, below the account's and region's space. A stack is named by the last part of its id:
//
//	's' stack                     the stack (cfn.Stack)
//	'n' name                      the stack of that name that is not deleted
//	'o' created stack             stacks by when they were created
//	'r' stack logical-id          a resource's record (cfn.Record)
//	'e' stack + log               events
//	'm' text                      a template's text, original and processed
//	'c' stack change-set-name     a change set
//	'i' change-set                the stack and name of a change set, by the last part of its id
//	'k' stack token               the operation that a ClientRequestToken began
//	'p' physical-id type [within] the record that a physical resource belongs to
//	'x' export                    an export: its owner and value
//	'y' stack export              what a stack exports
//	'u' export stack              who uses an export
//	'v' stack export              what a stack uses
//
// And in the service's shared space:
//
//	account region stack          an operation is under way
package cloudformation
