package cfn

import (
	"crypto/sha256"
	"strings"

	"croft/internal/cfn/template"
	"croft/internal/cloud"
)

const (
	// maxGeneratedName is the shortest limit among the names of the resources that get generated ones.
	maxGeneratedName = 64
	randomPart       = 12
)

// generatedName returns stack name, logical id and twelve characters that come from the operation's random id: the same when the
// step is run again, another in the next operation.
func generatedName(s *Stack, op *Operation, logicalID string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	sum := sha256.Sum256([]byte(s.ID + "\x00" + op.ID + "\x00" + logicalID))
	random := make([]byte, randomPart)
	for i := range random {
		random[i] = alphabet[(int(sum[2*i])<<8|int(sum[2*i+1]))%len(alphabet)]
	}
	stack, id := s.Name, logicalID
	const room = maxGeneratedName - randomPart - 2
	if over := len(stack) + len(id) - room; over > 0 {
		cut := min(over, max(0, len(stack)-room/2))
		stack = stack[:len(stack)-cut]
		id = id[:min(len(id), room-len(stack))]
	}
	return stack + "-" + id + "-" + string(random)
}

// ownName reports whether a property names both old and want: the template has given the resource its name, and leaves it.
func ownName(old, want *Physical) bool {
	for key, v := range want.Properties {
		name, ok := v.(string)
		if ok && name != "" && old.Properties[key] == v && (old.ID == name || strings.HasSuffix(old.ID, "/"+name)) {
			return true
		}
	}
	return false
}

// taken reports whether a service refused to make a resource because there is one of that name.
func taken(err error) bool {
	switch cloud.Code(err) {
	case "ResourceInUseException", "ResourceConflictException", "ResourceAlreadyExistsException", "AlreadyExistsException", "EntityAlreadyExists",
		"QueueNameExists", "QueueAlreadyExists", "BucketAlreadyExists", "BucketAlreadyOwnedByYou":
		return true
	}
	return false
}

// mustRename is the error for a resource that needs a new one in its stead, whose template insists on its name.
func mustRename(id string) error {
	return &template.Error{Message: "CloudFormation cannot update a stack when a custom-named resource requires replacing. Rename " + id +
		" and update the stack again."}
}
