package model

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// maxModel bounds a model's size once unpacked.
const maxModel = 64 << 20

type reader struct {
	root   *node
	shapes map[string]*Shape
}

// Read reads the newest model of the service called name under dir, applies the patches in patchFile, and returns it with the
// operations in listed.
func Read(dir, name, patchFile string, listed []string) (*Service, error) {
	data, err := readModel(dir, name)
	if err != nil {
		return nil, err
	}
	root, err := parseNode(data)
	if err != nil {
		return nil, err
	}
	if err := applyPatches(root, patchFile); err != nil {
		return nil, err
	}
	r := &reader{root: root, shapes: map[string]*Shape{}}
	svc := &Service{Name: name, Meta: r.meta()}
	if svc.Meta.Validation.Code == "" {
		return nil, errors.New(`its patches do not say how it reports invalid input (/metadata/croftValidation)`)
	}
	if err := r.operations(svc, listed); err != nil {
		return nil, err
	}
	for _, s := range r.shapes {
		svc.Shapes = append(svc.Shapes, s)
	}
	sort.Slice(svc.Shapes, func(i, j int) bool { return svc.Shapes[i].Name < svc.Shapes[j].Name })
	for i, s := range svc.Shapes {
		s.Index = i + 1
		if s.Error != nil {
			svc.Errors = append(svc.Errors, s)
		}
	}
	markChecked(svc.Shapes)
	return svc, nameTypes(svc)
}

func readModel(dir, name string) ([]byte, error) {
	found, err := filepath.Glob(filepath.Join(dir, name, "*", "service-2.json.gz"))
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("no model under %s", dir)
	}
	sort.Strings(found)
	f, err := os.Open(found[len(found)-1])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(z, maxModel))
}

func (r *reader) meta() Meta {
	m := r.root.get("metadata")
	meta := Meta{
		ServiceID: m.str("serviceId"), SigningName: m.str("signingName"), EndpointPrefix: m.str("endpointPrefix"),
		TargetPrefix: m.str("targetPrefix"), JSONVersion: m.str("jsonVersion"), XMLNamespace: m.str("xmlNamespace"),
		APIVersion: m.str("apiVersion"), ErrorPrefix: m.str("croftErrorPrefix"), Protocols: m.strings("protocols"),
		QueryCompatible: m.get("awsQueryCompatible") != nil, CRC32: m.flag("croftCRC32"), S3Rules: m.flag("croftS3Rules"),
		Wording: m.str("croftWording"), PathMember: m.str("croftPathMember"),
		Validation: Validation{
			Code: m.str("croftValidation", "code"), QueryCode: m.str("croftValidation", "queryCode"),
			Missing: m.str("croftValidation", "missing"), MissingQuery: m.str("croftValidation", "missingQuery"),
			MissingFormat: m.str("croftValidation", "missingFormat"), Off: m.strings("croftValidation", "off"),
			HideValues: m.flag("croftValidation", "hideValues"),
		},
	}
	if meta.SigningName == "" {
		meta.SigningName = meta.EndpointPrefix
	}
	if len(meta.Protocols) == 0 {
		meta.Protocols = []string{m.str("protocol")}
	}
	return meta
}

func (r *reader) operations(svc *Service, listed []string) error {
	want := map[string]bool{}
	for _, name := range listed {
		if r.root.get("operations", name) == nil {
			return fmt.Errorf("the model has no operation %s", name)
		}
		want[name] = true
	}
	names := append([]string(nil), r.root.get("operations").keys...)
	sort.Strings(names)
	for _, name := range names {
		op, err := r.operation(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !want[name] {
			svc.Others = append(svc.Others, op)
			continue
		}
		if err := r.shapesOf(op); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		svc.Operations = append(svc.Operations, op)
	}
	return nil
}
