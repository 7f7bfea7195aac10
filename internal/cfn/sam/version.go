package sam

import (
	"crypto/sha1" //nolint:gosec // SAM's own choice for the names of resources; nothing depends on its strength
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"croft/internal/cfn/template"
)

// publishing is what a function says of its versions.
type publishing struct {
	alias, all, sha, description, deletion, provisioned, role *value
}

func readPublishing(p *properties) publishing {
	return publishing{
		alias: p.get("AutoPublishAlias", template.String, template.Map), all: p.get("AutoPublishAliasAllProperties"),
		sha: p.get("AutoPublishCodeSha256", template.String, template.Map), description: p.get("VersionDescription"),
		deletion: p.get("VersionDeletionPolicy"), provisioned: p.get("ProvisionedConcurrencyConfig"), role: p.get("Role"),
	}
}

// invoked returns how other resources name what is to be invoked: the function's alias, if it has one, or the function.
func (s *source) invoked() *value {
	if s.alias != "" {
		return ref(s.alias)
	}
	return ref(s.id)
}

// invokedARN returns the ARN of what is to be invoked.
func (s *source) invokedARN() *value {
	if s.alias != "" {
		return ref(s.alias)
	}
	return arnOf(s.id)
}

// invokedVariable returns invokedARN as a variable of Fn::Sub.
func (s *source) invokedVariable() string {
	if s.alias != "" {
		return "${" + s.alias + "}"
	}
	return "${" + s.id + ".Arn}"
}

// publish adds the version and the alias of a function that publishes itself. fn may change.
func (x *expander) publish(s *source, fn *resource, pub publishing) ([]*resource, error) {
	if !truthy(pub.alias) {
		if truthy(pub.provisioned) {
			return nil, invalid(s.id, pub.provisioned.Pos(), "To set ProvisionedConcurrencyConfig AutoPublishALias must be defined on the function")
		}
		return nil, nil
	}
	name, ok := x.resolve(pub.alias).Str()
	if !ok {
		return nil, invalid(s.id, pub.alias.Pos(), "'AutoPublishAlias' must be a string or a Ref to a template parameter")
	}
	if !aliasName(name) {
		return nil, invalid(s.id, pub.alias.Pos(), "AutoPublishAlias name ('%s') must contain only alphanumeric characters, hyphens, or underscores "+
			"matching (?!^[0-9]+$)([a-zA-Z0-9-_]+) pattern.", clip(name))
	}
	sha, err := x.publishedSHA(s, fn, pub)
	if err != nil {
		return nil, err
	}
	versionID := s.id + "Version" + x.versionHash(fn, pub, sha)
	attributes := s.inherited()
	if s.value.Get("DeletionPolicy") == nil {
		policy := str("Retain")
		if pub.deletion != nil {
			policy = pub.deletion
		}
		attributes = append(attributes, f("DeletionPolicy", policy))
	}
	s.alias = s.id + "Alias" + strings.NewReplacer("-", "D", "_", "U").Replace(name)
	x.stages[s.id+".Version"], x.stages[s.id+".Alias"] = versionID, s.alias
	version := &resource{id: versionID, typ: "AWS::Lambda::Version", attributes: attributes,
		properties: present(f("FunctionName", ref(s.id)), f("Description", pub.description))}
	alias := &resource{id: s.alias, typ: "AWS::Lambda::Alias", attributes: s.inherited(), properties: present(
		f("Name", str(name)), f("FunctionName", ref(s.id)),
		f("FunctionVersion", object(f("Fn::GetAtt", list(str(versionID), str("Version"))))),
		f("ProvisionedConcurrencyConfig", pub.provisioned))}
	return []*resource{version, alias}, nil
}

var aliasPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]+$`)

func aliasName(name string) bool {
	return aliasPattern.MatchString(name) && strings.Trim(name, "0123456789") != ""
}

// publishedSHA returns AutoPublishCodeSha256, if there is one. The function's description ends with it, so that new code is a change of
// the function too.
func (x *expander) publishedSHA(s *source, fn *resource, pub publishing) (string, error) {
	if !truthy(pub.sha) {
		return "", nil
	}
	sha, ok := x.resolve(pub.sha).Str()
	if !ok {
		return "", invalid(s.id, pub.sha.Pos(), "AutoPublishCodeSha256 must be a string")
	}
	with := str(sha)
	if old := x.resolve(fn.get("Description")); truthy(old) {
		with = object(f("Fn::Join", list(str(" "), list(old, str(sha)))))
		if text, ok := old.Str(); ok {
			with = str(text + " " + sha)
		}
	}
	fn.set("Description", with)
	return sha, nil
}

// versionHash returns the end of a version's logical id: it changes when a new version is to be published. Its form is the translator's, so
// that a stack that AWS has made keeps its versions.
func (x *expander) versionHash(fn *resource, pub publishing, sha string) string {
	const length = 10
	code := x.resolve(fn.get("Code"))
	fn.set("Code", code)
	if sha != "" {
		return sha[:min(length, len(sha))]
	}
	covered := code
	if truthy(pub.all) {
		covered = object(present(append(slices.Clone(fn.properties), f("Role", pub.role))...)...)
	} else {
		for _, field := range fn.get("Environment").Fields() {
			covered = covered.Set(field.Key, field.Value)
		}
		if memory := fn.get("MemorySize"); truthy(memory) {
			covered = covered.Set("MemorySize", memory)
		}
		apply := fn.get("SnapStart").Get("ApplyOn")
		if text, _ := apply.Str(); apply != nil && text != "None" {
			covered = covered.Set("SnapStart", fn.get("SnapStart"))
		}
	}
	var text strings.Builder
	canonical(&text, covered)
	sum := sha1.Sum([]byte(text.String()))
	return hex.EncodeToString(sum[:])[:length]
}

// canonical writes v as JSON with sorted keys, without spaces, and in ASCII.
func canonical(b *strings.Builder, v *value) {
	switch v.Kind() {
	case template.Map:
		fields := slices.Clone(v.Fields())
		slices.SortFunc(fields, func(a, b template.Field) int { return strings.Compare(a.Key, b.Key) })
		b.WriteByte('{')
		for i, field := range fields {
			if i > 0 {
				b.WriteByte(',')
			}
			canonicalString(b, field.Key)
			b.WriteByte(':')
			canonical(b, field.Value)
		}
		b.WriteByte('}')
	case template.List:
		b.WriteByte('[')
		for i, item := range v.Items() {
			if i > 0 {
				b.WriteByte(',')
			}
			canonical(b, item)
		}
		b.WriteByte(']')
	case template.String:
		s, _ := v.Str()
		canonicalString(b, s)
	default:
		canonicalScalar(b, v)
	}
}

func canonicalScalar(b *strings.Builder, v *value) {
	text, err := v.MarshalJSON()
	if err != nil {
		return
	}
	if n, err := strconv.ParseFloat(string(text), 64); err == nil && strings.ContainsAny(string(text), ".eE") {
		short := strconv.FormatFloat(n, 'g', -1, 64)
		if !strings.ContainsAny(short, ".e") {
			short += ".0"
		}
		text = []byte(short)
	}
	b.Write(text)
}

func canonicalString(b *strings.Builder, s string) {
	var quoted strings.Builder
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	if e.Encode(s) != nil {
		return
	}
	for _, r := range strings.TrimSuffix(quoted.String(), "\n") {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			hexRune(b, high)
			hexRune(b, low)
		default:
			hexRune(b, r)
		}
	}
}

func hexRune(b *strings.Builder, r rune) {
	b.WriteString(`\u`)
	text := strconv.FormatInt(int64(r), 16)
	b.WriteString(strings.Repeat("0", 4-len(text)) + text)
}

// get returns a property of the resource, nil when it is absent.
func (r *resource) get(name string) *value {
	for _, field := range r.properties {
		if field.Key == name {
			return field.Value
		}
	}
	return nil
}

func (r *resource) set(name string, v *value) {
	for i, field := range r.properties {
		if field.Key == name {
			r.properties[i].Value = v
			return
		}
	}
	r.properties = append(r.properties, f(name, v))
}

// tracing returns the TracingConfig that Tracing means, nil for none.
func (x *expander) tracing(mode *value) *value {
	if text, _ := x.resolve(mode).Str(); !truthy(mode) || text == "Disabled" {
		return nil
	}
	return object(f("Mode", mode))
}
