package cloudformation

import (
	"context"
	"maps"
	"slices"
	"strings"

	"croft/internal/awsapi/cloudformation"
	"croft/internal/cfn"
	"croft/internal/cloud"
	"croft/internal/kv"
)

// export is a value that stacks share.
type export struct {
	Stack     string `json:"stack"`
	StackName string `json:"name"`
	Value     string `json:"value"`
}

// Import returns the value exported under name.
func (j *journal) Import(name string) (string, bool, error) { return exported(j.tx, name) }

func exported(r kv.Reader, name string) (string, bool, error) {
	var e export
	ok, err := get(r, exportKey(name), &e)
	return e.Value, ok, err
}

// use notes that the stack uses an export.
func (j *journal) use(name string) error {
	if err := j.tx.Put(userKey(name, j.stack), []byte(j.name)); err != nil {
		return err
	}
	return j.tx.Put(usesKey(j.stack, name), nil)
}

// Publish replaces what the stack exports and uses.
func (j *journal) Publish(outputs []cfn.Output, imports []string) error {
	want := map[string]string{}
	for _, o := range outputs {
		if o.Export == "" {
			continue
		}
		if _, dup := want[o.Export]; dup {
			return validation("Template format error: Duplicate Export names: [%s]", o.Export)
		}
		want[o.Export] = o.Value
	}
	if err := j.withdraw(want); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if err := j.publish(name, want[name]); err != nil {
			return err
		}
	}
	return j.uses(imports)
}

// withdraw removes the exports that are not in want.
func (j *journal) withdraw(want map[string]string) error {
	have, err := names(j.tx, exportsOfPrefix(j.stack))
	if err != nil {
		return err
	}
	for _, name := range have {
		if _, stays := want[name]; stays {
			continue
		}
		if users, err := j.users(name); err != nil {
			return err
		} else if len(users) > 0 {
			return validation("Export %s cannot be deleted as it is in use by %s", name, strings.Join(users, ", "))
		}
		if err := j.tx.Delete(exportKey(name)); err != nil {
			return err
		}
		if err := j.tx.Delete(exportsOfKey(j.stack, name)); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) publish(name, value string) error {
	var old export
	ok, err := get(j.tx, exportKey(name), &old)
	if err != nil {
		return err
	}
	if ok && old.Stack != j.stack {
		return validation("Export with name %s is already exported by stack %s.", name, old.StackName)
	}
	if ok && old.Value == value {
		return nil
	}
	if ok {
		if users, err := j.users(name); err != nil {
			return err
		} else if len(users) > 0 {
			return validation("Export %s cannot be updated as it is in use by %s", name, strings.Join(users, ", "))
		}
	}
	if err := put(j.tx, exportKey(name), export{Stack: j.stack, StackName: j.name, Value: value}); err != nil {
		return err
	}
	return j.tx.Put(exportsOfKey(j.stack, name), nil)
}

// users returns the names of the stacks that use an export.
func (j *journal) users(name string) (out []string, err error) {
	for e, err := range j.tx.Scan(kv.PrefixRange(usersPrefix(name)), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		out = append(out, string(e.Value))
	}
	return out, nil
}

// uses makes the exports that the stack is known to use exactly those of imports.
func (j *journal) uses(imports []string) error {
	have, err := names(j.tx, usesPrefix(j.stack))
	if err != nil {
		return err
	}
	for _, name := range have {
		if slices.Contains(imports, name) {
			continue
		}
		if err := j.tx.Delete(userKey(name, j.stack)); err != nil {
			return err
		}
		if err := j.tx.Delete(usesKey(j.stack, name)); err != nil {
			return err
		}
	}
	for _, name := range imports {
		if err := j.use(name); err != nil {
			return err
		}
	}
	return nil
}

// ListExports returns what the stacks of the account and region export, by name.
func (s *Service) ListExports(ctx context.Context, in *cloudformation.ListExportsInput) (*cloudformation.ListExportsOutput, error) {
	out := &cloudformation.ListExportsOutput{Exports: []cloudformation.Export{}}
	err := s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) (err error) {
		out.NextToken, err = page(r, exportsPrefix(), in.NextToken, false, func(row kv.Entry) (bool, error) {
			var e export
			name, err := lastPart(row.Key, exportsPrefix())
			if err == nil {
				err = decode(row.Value, &e)
			}
			id := cloud.CallOf(ctx).ARN(serviceName, "stack/"+e.StackName+"/"+e.Stack)
			out.Exports = append(out.Exports, cloudformation.Export{ExportingStackId: &id, Name: &name, Value: &e.Value})
			return true, err
		})
		return err
	})
	return out, err
}

// ListImports returns the names of the stacks that use an export.
func (s *Service) ListImports(ctx context.Context, in *cloudformation.ListImportsInput) (*cloudformation.ListImportsOutput, error) {
	out := &cloudformation.ListImportsOutput{Imports: []string{}}
	err := s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) (err error) {
		out.NextToken, err = page(r, usersPrefix(in.ExportName), in.NextToken, false, func(row kv.Entry) (bool, error) {
			out.Imports = append(out.Imports, string(row.Value))
			return true, nil
		})
		if err == nil && len(out.Imports) == 0 {
			err = validation("Export '%s' is not imported by any stack.", in.ExportName)
		}
		return err
	})
	return out, err
}

// names returns the last parts of the keys below prefix.
func names(r kv.Reader, prefix kv.Key) (out []string, err error) {
	for e, err := range r.Scan(kv.PrefixRange(prefix), kv.ScanOptions{}) {
		if err != nil {
			return nil, err
		}
		name, err := lastPart(e.Key, prefix)
		if err != nil {
			return nil, err
		}
		out = append(out, name)
	}
	return out, nil
}
