package partiql

import (
	"strconv"
	"strings"

	api "croft/internal/awsapi/dynamodb"
	"croft/internal/service/dynamodb/expression"
)

// maxDepth bounds parentheses, NOT and documents within documents.
const maxDepth = 64

// parser reads one statement.
type parser struct {
	text   string
	tokens []token
	at     int
	params []api.AttributeValue
	check  func(*api.AttributeValue) error
	used   int
	depth  int
}

// Parse reads a statement; params take the places of its question marks in turn. check reports what is wrong with a value that is compared
// or assigned; the item of an INSERT is not checked.
func Parse(text string, params []api.AttributeValue, check func(*api.AttributeValue) error) (*Statement, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens, params: params, check: check}
	st, err := p.statement()
	if err != nil {
		return nil, err
	}
	p.symbol(";")
	if p.peek().kind != kindEnd {
		return nil, malformed("Unexpected token after expression")
	}
	if p.used != len(params) {
		return nil, errParameters()
	}
	return st, nil
}

func errParameters() error {
	return invalid("Number of parameters in request and statement don't match.")
}

func (p *parser) statement() (*Statement, error) {
	switch {
	case p.keyword("SELECT"):
		return p.selects()
	case p.keyword("INSERT"):
		return p.inserts()
	case p.keyword("UPDATE"):
		return p.updates()
	case p.keyword("DELETE"):
		return p.deletes()
	case p.keyword("EXISTS"):
		return p.exists()
	}
	return nil, malformed("Expected data manipulation")
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) symbol(s string) bool {
	if t := p.peek(); t.kind == kindSymbol && t.text == s {
		p.at++
		return true
	}
	return false
}

func (p *parser) keyword(word string) bool {
	if t := p.peek(); t.kind == kindWord && strings.EqualFold(t.text, word) {
		p.at++
		return true
	}
	return false
}

func (p *parser) need(symbol string) error {
	if !p.symbol(symbol) {
		return p.unexpected("'" + symbol + "'")
	}
	return nil
}

func (p *parser) needWord(word string) error {
	if !p.keyword(word) {
		return p.unexpected(word)
	}
	return nil
}

func (p *parser) unexpected(wanted string) error {
	t := p.peek()
	return malformed("Expected %s, found %q at %s", wanted, t.text, p.place(t))
}

// deeper counts a level of nesting, until the function that it returns is called.
func (p *parser) deeper() (func(), error) {
	if p.depth++; p.depth > maxDepth {
		return nil, malformed("nesting too deep")
	}
	return func() { p.depth-- }, nil
}

// clause reports whether word begins a clause, which makes it no name.
func clause(word string) bool {
	switch strings.ToUpper(word) {
	case "SELECT", "FROM", "WHERE", "SET", "REMOVE", "RETURNING", "ORDER", "AND", "OR", "NOT", "IN", "IS", "BETWEEN", "VALUE", "MISSING", "NULL":
		return true
	}
	return false
}

// name reads a name, in quotes or not.
func (p *parser) name() (string, error) {
	t := p.peek()
	switch {
	case t.kind == kindQuoted && t.text == "":
		return "", invalid("Path component cannot be an empty string")
	case t.kind == kindQuoted, t.kind == kindWord && !clause(t.text):
		p.at++
		return t.text, nil
	}
	return "", p.unexpected("a name")
}

// path reads a document path.
func (p *parser) path() ([]expression.Step, error) {
	first, err := p.name()
	if err != nil {
		return nil, err
	}
	out := []expression.Step{{Name: first}}
	for {
		switch {
		case p.symbol("."):
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			out = append(out, expression.Step{Name: name})
		case p.symbol("["):
			step, err := p.index()
			if err != nil {
				return nil, err
			}
			out = append(out, step)
		default:
			return out, nil
		}
	}
}

// index reads what stands in brackets: an index, or a name as text.
func (p *parser) index() (expression.Step, error) {
	t := p.peek()
	step := expression.Step{}
	switch {
	case t.kind == kindNumber:
		i, err := strconv.Atoi(t.text)
		if err != nil {
			return step, invalid("List index is not within the allowable range; index: [%s] at %s", t.text, p.place(t))
		}
		step.Index = i
	case t.kind == kindText && t.text != "":
		step.Name = t.text
	default:
		return step, p.unexpected("an index")
	}
	p.at++
	return step, p.need("]")
}

// source reads the name of a table and, where that is allowed, of an index.
func (p *parser) source(st *Statement) (err error) {
	if st.Table, err = p.name(); err != nil || !p.symbol(".") {
		return err
	}
	if st.Index, err = p.name(); err != nil {
		return err
	}
	if st.Verb != Select {
		return invalid("This operation is not supported on an index")
	}
	return nil
}

func (p *parser) where(st *Statement) (err error) {
	if !p.keyword("WHERE") {
		return nil
	}
	all, err := p.condition()
	if err != nil {
		return err
	}
	st.Where = all
	return nil
}

func (p *parser) selects() (*Statement, error) {
	st := &Statement{Verb: Select}
	if err := p.columns(st); err != nil {
		return nil, err
	}
	if err := p.needWord("FROM"); err != nil {
		return nil, err
	}
	if err := p.source(st); err != nil {
		return nil, err
	}
	if p.symbol(",") {
		return nil, invalid("Only select from a single table or index is supported.")
	}
	if err := p.where(st); err != nil {
		return nil, err
	}
	return st, p.order(st)
}

func (p *parser) columns(st *Statement) error {
	if p.symbol("*") {
		if p.symbol(",") {
			return invalid("Other attributes should not be present in the projection when '*' is used.")
		}
		return nil
	}
	var paths [][]expression.Step
	for {
		if p.at+1 < len(p.tokens) && p.tokens[p.at+1].text == "(" {
			return invalid("Unexpected path component at %s", p.place(p.peek()))
		}
		path, err := p.path()
		if err != nil {
			return err
		}
		paths = append(paths, path)
		if p.keyword("AS") {
			return invalid("Aliasing is not supported")
		}
		if !p.symbol(",") {
			break
		}
	}
	st.Columns = expression.Columns(paths)
	if name := st.Columns.Repeated(); name != "" {
		return invalid("Duplicate identifiers in select clause: %s", name)
	}
	return nil
}

func (p *parser) order(st *Statement) error {
	if !p.keyword("ORDER") {
		return nil
	}
	if err := p.needWord("BY"); err != nil {
		return err
	}
	for {
		name, err := p.name()
		if err != nil {
			return err
		}
		o := Order{Name: name, Descending: p.keyword("DESC")}
		if !o.Descending {
			p.keyword("ASC")
		}
		st.Order = append(st.Order, o)
		if !p.symbol(",") {
			break
		}
	}
	if len(st.Where) == 0 {
		return invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
	}
	return nil
}

func (p *parser) exists() (*Statement, error) {
	if err := p.need("("); err != nil {
		return nil, err
	}
	if err := p.needWord("SELECT"); err != nil {
		return nil, err
	}
	st, err := p.selects()
	if err != nil {
		return nil, err
	}
	st.Verb = Exists
	return st, p.need(")")
}
