// Package template reads CloudFormation templates and evaluates them. It is pure: text and values go in, values and errors come
// out.
//
// The passes, each in its own file:
//
//   - Parse turns YAML or JSON into a Value, a tree that keeps the order of keys and the place of every node, with the short
//     tags (!Sub) in their long form (Fn::Sub).
//   - Build turns such a tree into a Template: the sections, checked for form, with CloudFormation's own messages. A template
//     with a Transform is checked no further until its transform has been applied; package sam does that, and calls Build
//     with the result.
//   - ResolveParameters checks what was given against the Parameters section.
//   - Bind evaluates the conditions, once, and finds the resources that exist under them and what they refer to.
//   - Graph orders the resources; Eval and EvalOutputs compute properties and outputs, asking a Resolver for what only the
//     created resources know.
//
// A Template, a Bound and every Value are immutable once they have been returned and safe for concurrent use. Errors that
// concern the template are of type *Error: AWS's message, and where in the text it arose.
//
// Bounds: MaxSize bytes of text, maxDepth levels, maxNodes nodes once aliases are expanded, maxEvaluated bytes for what one
// evaluation yields, and CloudFormation's own quotas on the number of resources, parameters, outputs and mappings.
//
// Source of the rules: the CloudFormation User Guide ("Template anatomy", "Intrinsic function reference", "CloudFormation
// quotas"), and answers recorded on AWS.
package template
