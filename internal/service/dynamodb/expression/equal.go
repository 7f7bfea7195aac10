package expression

import api "croft/internal/awsapi/dynamodb"

// Equal reports whether two values are the same as DynamoDB's = has it: of one type, numbers in their canonical form, sets in any order.
func Equal(a, b *api.AttributeValue) bool { return equal(a, b) }
