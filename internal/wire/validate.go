package wire

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"croft/internal/cloud"
)

// maxProblems is how many problems are looked for: AWS counts and names no more. Source: answers of DynamoDB and Kinesis, as
// published in the tests of other implementations.
const maxProblems = 10

// Validate checks in, a pointer to op's input structure, against the model's constraints. It returns nil or a *cloud.Error in the
// service's own code and AWS's words. Plain members cannot show that they were left out, and pass as present.
func Validate(op *Operation, in any) error {
	v := reflect.ValueOf(in)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("wire: %s was called with %T", op.Name, in)
	}
	return validate(op, v.Elem(), nil)
}

// validate checks v; missing are the paths that the decoder knows to be absent.
func validate(op *Operation, v reflect.Value, missing []string) error {
	if op.Input == NoRef {
		return nil
	}
	return check(op.Schema, op.Schema.Shape(op.Input), v, missing)
}

// check is validate for a structure of any shape.
func check(schema *Schema, s *Shape, v reflect.Value, missing []string) error {
	if !s.Checked {
		return nil
	}
	if err := checkFirst(schema, s, v, missing); err != nil {
		return err
	}
	w := validator{schema: schema, rules: &schema.Validation}
	if len(missing) > 0 {
		w.missing = make(map[string]bool, len(missing))
	}
	for _, at := range missing {
		w.missing[at] = true
	}
	w.value(s, v)
	// What the walk did not come to are elements that are null.
	for _, at := range missing {
		if w.missing[at] {
			w.absent(at)
		}
	}
	if w.count == 0 {
		return nil
	}
	return w.err()
}

// validator walks a value and gathers what is wrong with it.
type validator struct {
	schema       *Schema
	rules        *Validation
	at           path
	missing      map[string]bool // a set, for a request may lack a hundred thousand
	firstMissing string
	count        int
	text         strings.Builder
}

func (w *validator) err() error {
	if w.rules.Missing != "" && w.firstMissing != "" {
		e := cloud.Errorf(w.rules.Missing, w.rules.MissingFormat, modelName(w.firstMissing))
		e.QueryCode = w.rules.MissingQuery
		return e
	}
	plural := "s"
	if w.count == 1 {
		plural = ""
	}
	e := cloud.Errorf(w.rules.Code, "%d validation error%s detected: %s", w.count, plural, w.text.String())
	e.QueryCode = w.rules.QueryCode
	return e
}

// modelName turns a path back into the form of member names: SQS writes "QueueUrl" and "SendMessageBatchRequestEntry.1.Id".
func modelName(at string) string {
	parts := strings.Split(at, ".")
	for i, p := range parts {
		if p != "" && p[0] >= 'a' && p[0] <= 'z' {
			parts[i] = strings.ToUpper(p[:1]) + p[1:]
		}
	}
	return strings.ReplaceAll(strings.Join(parts, "."), ".Member", "")
}

func (w *validator) add(problem string) {
	if w.count == maxProblems {
		return
	}
	w.count++
	if w.text.Len() > 0 {
		w.text.WriteString("; ")
	}
	w.text.WriteString(problem)
}

func (w *validator) absent(at string) {
	if w.firstMissing == "" {
		w.firstMissing = at
	}
	w.add("Value null at '" + at + "' failed to satisfy constraint: " + notNull)
}

func (w *validator) value(s *Shape, v reflect.Value) {
	if !s.Checked {
		return
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch s.Kind {
	case Structure:
		w.structure(s, v)
	case List:
		w.list(s, v)
	case Map:
		w.mapping(s, v)
	default:
		for _, p := range w.scalarProblems(s, v) {
			w.problem(s, v, p)
		}
	}
}

// problem adds a problem with the value v at the present path.
func (w *validator) problem(s *Shape, v reflect.Value, what string) {
	value := ""
	if !s.Sensitive && !w.rules.HideValues && s.Kind != Blob {
		value = " '" + shown(w.schema, s, v) + "'"
	}
	w.add("Value" + value + " at '" + w.at.String() + "' failed to satisfy constraint: " + what)
}

func (w *validator) structure(s *Shape, v reflect.Value) {
	for i := range s.Members {
		m := &s.Members[i]
		shape := w.schema.Shape(m.Shape)
		if !m.Required && !shape.Checked {
			continue
		}
		f := v.Field(i)
		w.at.member(m.Name)
		switch {
		case isAbsent(f):
			if m.Required {
				w.absent(w.at.String())
			}
		case len(w.missing) > 0 && w.missing[w.at.String()]:
			w.absent(w.at.String())
			delete(w.missing, w.at.String())
		default:
			w.value(shape, f)
		}
		w.at.pop()
	}
}

// isAbsent reports whether a field shows that its member was left out.
func isAbsent(f reflect.Value) bool {
	switch f.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Func:
		return f.IsNil()
	}
	return false
}

// list checks a list's size and its elements. What is wrong with elements that are scalars is said once, of the list.
func (w *validator) list(s *Shape, v reflect.Value) {
	w.size(s, v)
	w.elements(s, v)
}

// elements checks what is in a list.
func (w *validator) elements(s *Shape, v reflect.Value) {
	elem := w.schema.Shape(s.Elem)
	if !elem.Checked {
		return
	}
	scalar := isScalar(elem.Kind)
	for i := range v.Len() {
		if scalar {
			if len(w.scalarProblems(elem, v.Index(i))) > 0 {
				w.problem(s, v, "Member must satisfy constraint: ["+elementRules(elem)+"]")
				return
			}
			continue
		}
		w.at.element(i)
		w.value(elem, v.Index(i))
		w.at.pop()
	}
}

// mapping checks a map's size, its keys and its values. What is wrong with keys, and with the values themselves, is said once, of the map.
func (w *validator) mapping(s *Shape, v reflect.Value) {
	w.size(s, v)
	key, elem := w.schema.Shape(s.Key), w.schema.Shape(s.Elem)
	if !key.Checked && !elem.Checked {
		return
	}
	keys := sortedKeys(v)
	badKey := func(k reflect.Value) bool { return len(w.scalarProblems(key, k)) > 0 }
	if key.Checked && slices.ContainsFunc(keys, badKey) {
		w.problem(s, v, "Map keys must satisfy constraint: ["+w.entryRules(key)+"]")
	}
	badValue := func(k reflect.Value) bool {
		if isScalar(elem.Kind) {
			return len(w.scalarProblems(elem, v.MapIndex(k))) > 0
		}
		return elem.Kind == List && elem.Limits != nil && len(lengthProblems(elem.Limits, v.MapIndex(k).Len())) > 0
	}
	if elem.Checked && slices.ContainsFunc(keys, badValue) {
		w.problem(s, v, "Map value must satisfy constraint: ["+w.entryRules(elem)+"]")
	}
	if !elem.Checked || isScalar(elem.Kind) {
		return
	}
	for _, k := range keys {
		w.at.key(k.String())
		if elem.Kind == List {
			w.elements(elem, v.MapIndex(k))
		} else {
			w.value(elem, v.MapIndex(k))
		}
		w.at.pop()
	}
}

// entryRules is elementRules for keys and values of maps, of which DynamoDB does not say that they must not be null.
func (w *validator) entryRules(s *Shape) string {
	rules := elementRules(s)
	if w.schema.Wording == DynamoWords {
		rules = strings.TrimSuffix(rules, ", "+notNull)
	}
	return rules
}

// sortedKeys returns a map's keys in order: messages and answers do not depend on chance.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
	return keys
}

func (w *validator) size(s *Shape, v reflect.Value) {
	if s.Limits == nil {
		return
	}
	for _, p := range lengthProblems(s.Limits, v.Len()) {
		w.problem(s, v, p)
	}
}

func lengthProblems(l *Limits, n int) []string {
	var out []string
	if l.HasMax && int64(n) > l.Max {
		out = append(out, "Member must have length less than or equal to "+strconv.FormatInt(l.Max, 10))
	}
	if l.HasMin && int64(n) < l.Min {
		out = append(out, "Member must have length greater than or equal to "+strconv.FormatInt(l.Min, 10))
	}
	return out
}

// scalarProblems returns which constraints of s the value v breaks; none is the common case and allocates nothing.
func (w *validator) scalarProblems(s *Shape, v reflect.Value) []string {
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	var out []string
	switch s.Kind {
	case String:
		text := v.String()
		if s.OrARN && strings.HasPrefix(text, arnPrefix) {
			return nil
		}
		if s.Pattern != nil && !w.off("pattern") && !s.Pattern.Match(text) {
			out = append(out, "Member must satisfy regular expression pattern: "+s.Pattern.Source)
		}
		if s.Limits != nil && !w.off("length") {
			out = append(out, lengthProblems(s.Limits, utf8.RuneCountInString(text))...)
		}
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, text) && !w.off("enum") {
			rule := "Member must satisfy enum value set"
			if !w.rules.HideValues { // IAM, which hides the value, hides these too
				rule += ": [" + strings.Join(s.Enum, ", ") + "]"
			}
			out = append(out, rule)
		}
	case Blob:
		if s.Limits != nil && !w.off("length") {
			out = lengthProblems(s.Limits, v.Len())
		}
	case Integer, Long:
		out = rangeProblems(w, s.Limits, v.Int())
	case Float, Double:
		out = rangeProblems(w, s.Limits, v.Float())
	}
	return out
}

func (w *validator) off(what string) bool { return slices.Contains(w.rules.Off, what) }

func rangeProblems[N int64 | float64](w *validator, l *Limits, n N) []string {
	if l == nil || w.off("range") {
		return nil
	}
	if l.HasMax && n > N(l.Max) {
		return []string{"Member must have value less than or equal to " + strconv.FormatInt(l.Max, 10)}
	}
	if l.HasMin && n < N(l.Min) {
		return []string{"Member must have value greater than or equal to " + strconv.FormatInt(l.Min, 10)}
	}
	return nil
}

// elementRules lists all constraints of a list's elements, as AWS does when one of them is broken.
func elementRules(s *Shape) string {
	var out []string
	if l := s.Limits; l != nil {
		out = append(out, lengthProblems(&Limits{Max: l.Max, HasMax: l.HasMax}, int(l.Max)+1)...)
		out = append(out, lengthProblems(&Limits{Min: l.Min, HasMin: l.HasMin}, int(l.Min)-1)...)
	}
	if s.Pattern != nil {
		out = append(out, "Member must satisfy regular expression pattern: "+s.Pattern.Source)
	}
	if len(s.Enum) > 0 {
		out = append(out, "Member must satisfy enum value set: ["+strings.Join(s.Enum, ", ")+"]")
	}
	return strings.Join(append(out, notNull), ", ")
}

const notNull = "Member must not be null"

// maxShown bounds how much of a value a message repeats.
const maxShown = 16 << 10

// shown returns v as AWS writes values in messages: lists and structures as Java does.
func shown(schema *Schema, s *Shape, v reflect.Value) string {
	var b strings.Builder
	show(&b, schema, s, v)
	text := b.String()
	if len(text) > maxShown {
		return strings.ToValidUTF8(text[:maxShown], "") + "..."
	}
	return text
}

func show(b *strings.Builder, schema *Schema, s *Shape, v reflect.Value) {
	if b.Len() > maxShown {
		return
	}
	if isAbsent(v) {
		b.WriteString("null")
		return
	}
	if v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch s.Kind {
	case Structure:
		b.WriteString(s.Name + "(")
		for i := range s.Members {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(lowerFirst(s.Members[i].Name) + "=")
			show(b, schema, schema.Shape(s.Members[i].Shape), v.Field(i))
		}
		b.WriteByte(')')
	case List:
		b.WriteByte('[')
		for i := range v.Len() {
			if i > 0 {
				b.WriteString(", ")
			}
			show(b, schema, schema.Shape(s.Elem), v.Index(i))
		}
		b.WriteByte(']')
	case Map:
		b.WriteByte('{')
		for i, k := range sortedKeys(v) {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(k.String() + "=")
			show(b, schema, schema.Shape(s.Elem), v.MapIndex(k))
		}
		b.WriteByte('}')
	default:
		showScalar(b, s, v)
	}
}

func showScalar(b *strings.Builder, s *Shape, v reflect.Value) {
	switch {
	case s.Sensitive:
		b.WriteString("***Sensitive Data Redacted***")
	case s.Kind == Blob:
		b.WriteString("java.nio.HeapByteBuffer[pos=0 lim=" + strconv.Itoa(v.Len()) + " cap=" + strconv.Itoa(v.Len()) + "]")
	case s.Kind == Timestamp:
		t, _ := v.Interface().(time.Time)
		b.Write(appendTime(nil, t, ISOTime))
	case s.Kind == Float || s.Kind == Double:
		b.WriteString(strconv.FormatFloat(v.Float(), 'g', -1, 64))
	case s.Kind == Integer || s.Kind == Long:
		b.WriteString(strconv.FormatInt(v.Int(), 10))
	case s.Kind == Boolean:
		b.WriteString(strconv.FormatBool(v.Bool()))
	case s.Kind == Document:
		b.Write(v.Bytes())
	default:
		b.WriteString(v.String())
	}
}
