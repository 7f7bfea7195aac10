package model

import "fmt"

// reserved are the names that generated packages use themselves.
var reserved = [...]string{"API", "Client", "NewClient", "Service", "Unimplemented"}

// nameTypes gives every structure its Go name: OpInput and OpOutput to those that belong to one operation alone.
func nameTypes(svc *Service) error {
	uses := map[*Shape]int{}
	for _, s := range svc.Shapes {
		for _, m := range s.Members {
			uses[m.Shape]++
		}
		uses[s.Elem]++
	}
	for _, op := range svc.Operations {
		uses[op.Input]++
		uses[op.Output]++
	}
	for _, op := range svc.Operations {
		if op.Input != nil && uses[op.Input] == 1 {
			op.Input.GoName = op.Name + "Input"
		}
		if op.Output != nil && uses[op.Output] == 1 {
			op.Output.GoName = op.Name + "Output"
		}
	}
	taken := map[string]string{}
	for _, name := range reserved {
		taken[name] = "the generated package itself"
	}
	for _, s := range svc.Shapes {
		if s.GoName == "" {
			s.GoName = Export(s.Name)
		}
		if s.Type != "structure" && s.Type != "eventStream" || s.Error != nil {
			continue
		}
		if other, clash := taken[s.GoName]; clash {
			return fmt.Errorf("shape %s would be called %s, which is the name of %s: patch the model", s.Name, s.GoName, other)
		}
		taken[s.GoName] = s.Name
	}
	return nil
}

// markChecked sets Checked, spreading it upwards until nothing changes: shapes may be recursive.
func markChecked(shapes []*Shape) {
	for changed := true; changed; {
		changed = false
		for _, s := range shapes {
			if !s.Checked && s.needsCheck() {
				s.Checked, changed = true, true
			}
		}
	}
}

func (s *Shape) needsCheck() bool {
	if s.Type == "eventStream" {
		return false // it is checked event by event, while it comes
	}
	if s.HasMin || s.HasMax || s.Pattern != "" || len(s.Enum) > 0 {
		return true
	}
	for _, m := range s.Members {
		if m.Required || m.Shape.Checked {
			return true
		}
	}
	return (s.Elem != nil && s.Elem.Checked) || (s.Key != nil && s.Key.Checked)
}
