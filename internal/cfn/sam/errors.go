package sam

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"croft/internal/cfn/template"
)

// problem is what is wrong with one resource.
type problem struct {
	message string
	pos     template.Pos
}

func (p *problem) Error() string { return p.message }

// invalid says what is wrong with a resource.
func invalid(id string, p template.Pos, format string, args ...any) error {
	return &problem{message: "Resource with id [" + clip(id) + "] is invalid. " + fmt.Sprintf(format, args...), pos: p}
}

// invalidEvent says what is wrong with an event of a function.
func invalidEvent(function, event string, p template.Pos, format string, args ...any) error {
	return invalid(function, p, "Event with id [%s] is invalid. %s", clip(event), fmt.Sprintf(format, args...))
}

// unsupported says that SAM has what croft has not.
func unsupported(id string, p template.Pos, what string) error {
	return invalid(id, p, "%s is not supported by croft.", what)
}

// structure says what is wrong with the template as a whole.
func structure(p template.Pos, format string, args ...any) error {
	return &problem{message: "Structure of the SAM template is invalid. " + fmt.Sprintf(format, args...), pos: p}
}

// failure puts problems into the words in which CloudFormation reports that a transform has failed.
func failure(problems []error) error {
	sort.SliceStable(problems, func(i, j int) bool { return problems[i].Error() < problems[j].Error() })
	const most = 20
	var messages []string
	out := &template.Error{}
	for i, err := range problems {
		if p, ok := errors.AsType[*problem](err); ok && out.Pos.Line == 0 {
			out.Pos = p.pos
		}
		if i < most {
			messages = append(messages, err.Error())
		}
	}
	out.Message = fmt.Sprintf("Transform %s failed with: Invalid Serverless Application Specification document. Number of errors found: %d. %s",
		Transform, len(problems), strings.Join(messages, " "))
	return out
}

// clip shortens what a message quotes from the template.
func clip(s string) string {
	const most = 256
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
