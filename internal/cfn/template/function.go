package template

import "strings"

// The functions and where they may stand.
const (
	fnRef         = "Ref"
	fnCondition   = "Condition"
	fnGetAtt      = "Fn::GetAtt"
	fnSub         = "Fn::Sub"
	fnJoin        = "Fn::Join"
	fnSelect      = "Fn::Select"
	fnSplit       = "Fn::Split"
	fnIf          = "Fn::If"
	fnFindInMap   = "Fn::FindInMap"
	fnBase64      = "Fn::Base64"
	fnImportValue = "Fn::ImportValue"
	fnGetAZs      = "Fn::GetAZs"
	fnEquals      = "Fn::Equals"
	fnAnd         = "Fn::And"
	fnOr          = "Fn::Or"
	fnNot         = "Fn::Not"
)

// checkCall checks the form of a function's argument as far as it can be seen before anything is evaluated.
func checkCall(name string, arg *Value) error {
	message := ""
	switch name {
	case fnRef:
		if !arg.Is(String) || arg.text == "" {
			message = "Template error: every Ref object must have a single String value."
		}
	case fnGetAtt:
		_, _, err := getAtt(arg)
		return err
	case fnSub:
		text, _, err := subArgs(arg)
		if err != nil {
			return err
		}
		_, err = parseSub(text)
		return err
	case fnJoin:
		if !join(arg) {
			message = errJoin
		}
	case fnSelect:
		if !selects(arg) {
			message = errSelect
		}
	case fnSplit:
		if !split(arg) {
			message = errSplit
		}
	case fnIf:
		if !arg.Is(List) || len(arg.items) != 3 || !arg.items[0].Is(String) {
			message = "Template error: Fn::If requires a list argument with the first element being a condition"
		}
	case fnFindInMap:
		if !findInMap(arg) {
			message = errFindInMap
		}
	case fnBase64, fnGetAZs, fnImportValue:
		if !stringOrCall(arg) {
			message = "Template error: every " + name + " object must have a String-typed value."
		}
	default:
		return errUnknownFunction(name, arg.Pos())
	}
	if message != "" {
		return errorAt(arg.Pos(), "%s", message)
	}
	return nil
}

// AWS's messages for malformed functions.
const (
	errJoin = "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be " +
		"joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined."
	errSelect = "Template error: Fn::Select requires a list argument with two elements: an integer index and a list"
	errSplit  = "Template error: every Fn::Split object requires two parameters, (1) a string delimiter and (2) a string to be split " +
		"or a function that returns a string to be split."
	errFindInMap = "Template error: every Fn::FindInMap object requires three parameters, the map name, map key and the attribute for " +
		"return value"
	errEquals = "Template error: every Fn::Equals object requires a list of 2 string parameters."
	errNot    = "Template error: every Fn::Not object requires one boolean parameter."
)

func join(arg *Value) bool {
	return arg.Is(List) && len(arg.items) == 2 && arg.items[0].Is(String) && listOrCall(arg.items[1])
}

// selects checks a Fn::Select; an index that is written out has to be in range of a list that is.
func selects(arg *Value) bool {
	if !arg.Is(List) || len(arg.items) != 2 || !listOrCall(arg.items[1]) || !stringOrCall(arg.items[0]) {
		return false
	}
	text, ok := arg.items[0].Scalar()
	if !ok {
		return true
	}
	n, ok := index(text)
	return ok && (!arg.items[1].Is(List) || n < len(arg.items[1].items))
}

func split(arg *Value) bool {
	return arg.Is(List) && len(arg.items) == 2 && arg.items[0].Is(String) && arg.items[0].text != "" && stringOrCall(arg.items[1])
}

func findInMap(arg *Value) bool {
	if !arg.Is(List) || len(arg.items) != 3 {
		return false
	}
	return stringOrCall(arg.items[0]) && stringOrCall(arg.items[1]) && stringOrCall(arg.items[2])
}

func stringOrCall(v *Value) bool {
	if _, ok := v.Scalar(); ok {
		return true
	}
	name, _ := Call(v)
	return name != ""
}

func listOrCall(v *Value) bool {
	name, _ := Call(v)
	return v.Is(List) || name != ""
}

// errUnknownFunction names a function that may not stand here: one of CloudFormation's that croft has not, one that belongs
// elsewhere, or none at all.
func errUnknownFunction(name string, p Pos) error {
	switch name {
	case fnEquals, fnAnd, fnOr, fnNot:
		return errorAt(p, "Template error: %s is only allowed in the Conditions block of the template", name)
	case "Fn::Cidr", "Fn::Transform", "Fn::Length", "Fn::ToJsonString", "Fn::GetStackOutput", "Fn::Contains", "Fn::EachMemberEquals",
		"Fn::EachMemberIn", "Fn::RefAll", "Fn::ValueOf", "Fn::ValueOfAll":
		return Unsupported(p, "The function "+name)
	}
	if strings.HasPrefix(name, "Fn::ForEach") {
		return Unsupported(p, "The function "+clip(name))
	}
	return errorAt(p, "Template error: Encountered unsupported function: %s Supported functions are: [%s]", clip(name),
		strings.Join([]string{fnBase64, fnGetAtt, fnGetAZs, fnImportValue, fnJoin, fnSplit, fnFindInMap, fnSelect, fnRef, fnEquals, fnIf,
			fnNot, fnCondition, fnAnd, fnOr, fnSub}, ", "))
}

// index reads the index of a Fn::Select.
func index(s string) (int, bool) {
	if s == "" || len(s) > 9 || !onlyDigits(s) {
		return 0, false
	}
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n, true
}
