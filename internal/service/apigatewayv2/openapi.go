package apigatewayv2

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"croft/internal/cloud"
	"croft/internal/httpevent"
)

// extension begins the names of API Gateway's own elements in an OpenAPI document. All of them but those below are refused.
const extension = "x-amazon-apigateway-"

const (
	extCORS        = extension + "cors"
	extTagValue    = extension + "tag-value"
	extAnyMethod   = extension + "any-method"
	extIntegration = extension + "integration"
	extVersion     = extension + "importexport-version"
	// defaultPath stands in documents for the default route.
	defaultPath = "/$default"
)

// document is an OpenAPI 3 document as far as it shapes an HTTP API.
type document struct {
	OpenAPI string `json:"openapi"`
	Info    struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		// Version may be written as a number.
		Version any `json:"version"`
	} `json:"info"`
	Paths map[string]map[string]json.RawMessage `json:"paths"`
	Tags  []struct {
		Name  string `json:"name"`
		Value string `json:"x-amazon-apigateway-tag-value"`
	} `json:"tags"`
	CORS *struct {
		AllowCredentials *bool    `json:"allowCredentials"`
		AllowHeaders     []string `json:"allowHeaders"`
		AllowMethods     []string `json:"allowMethods"`
		AllowOrigins     []string `json:"allowOrigins"`
		ExposeHeaders    []string `json:"exposeHeaders"`
		MaxAge           *int32   `json:"maxAge"`
	} `json:"x-amazon-apigateway-cors"`
}

func badDocument(format string, args ...any) error {
	return badRequest("%s", "Unable to import the API definition: "+fmt.Sprintf(format, args...))
}

func unsupportedElement(where, name string) error {
	return cloud.Errorf("NotImplemented", "croft does not implement %s of the API definition, at %s.", name, where).WithStatus(501)
}

// importDocument fills a with what an OpenAPI 3 document says: its name, tags, CORS configuration, routes and integrations.
func (a *apiRow) importDocument(text string) error {
	var top map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &top); err != nil {
		return badDocument("it is not JSON: %v", err)
	}
	if err := checkElements(top, "the top", "security", extCORS, extVersion); err != nil {
		return err
	}
	var doc document
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		return badDocument("%v", err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") {
		return badDocument("an HTTP API needs OpenAPI 3, and this is %q", doc.OpenAPI)
	}
	if doc.Info.Title == "" {
		return badDocument("info.title is missing")
	}
	a.Name, a.Description = doc.Info.Title, doc.Info.Description
	a.Version, _ = scalarOf(doc.Info.Version)
	for _, t := range doc.Tags {
		if t.Value == "" {
			continue
		}
		if a.Tags == nil {
			a.Tags = map[string]string{}
		}
		a.Tags[t.Name] = t.Value
	}
	if c := doc.CORS; c != nil {
		row := httpevent.CORS{Credentials: c.AllowCredentials, Headers: c.AllowHeaders, Methods: c.AllowMethods, Origins: c.AllowOrigins,
			Expose: c.ExposeHeaders, MaxAge: c.MaxAge}
		if err := checkCORS(&row); err != nil {
			return err
		}
		a.CORS = &row
	}
	return a.importPaths(doc.Paths)
}

// scalarOf is httpevent.Scalar for JSON decoded without json.Number.
func scalarOf(v any) (string, bool) {
	if n, ok := v.(float64); ok {
		raw, err := json.Marshal(n)
		return string(raw), err == nil
	}
	return httpevent.Scalar(v)
}

// checkElements refuses elements that would change what the API does: API Gateway's own other than those in known, and
// security unless it is empty.
func checkElements(elements map[string]json.RawMessage, where string, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		if strings.HasPrefix(name, extension) && !slices.Contains(known, name) {
			return unsupportedElement(where, name)
		}
		if name == "security" {
			var list []any
			if json.Unmarshal(elements[name], &list) != nil || len(list) > 0 {
				return unsupportedElement(where, name)
			}
		}
	}
	return nil
}

func (a *apiRow) importPaths(paths map[string]map[string]json.RawMessage) error {
	a.Routes, a.Integrations = nil, nil
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path]
		if err := checkElements(item, path, extAnyMethod); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(item)) {
			method, isMethod := methodOf(name)
			switch {
			case name == "$ref":
				return unsupportedElement(path, name)
			case !isMethod:
				continue
			}
			if err := a.importOperation(method, path, item[name]); err != nil {
				return err
			}
		}
	}
	return nil
}

// methodOf returns the route's method for an element of a path item.
func methodOf(element string) (string, bool) {
	if element == extAnyMethod {
		return methodAny, true
	}
	method := strings.ToUpper(element)
	return method, slices.Contains(methods(), method)
}

func (a *apiRow) importOperation(method, path string, raw json.RawMessage) error {
	where := method + " " + path
	var elements map[string]json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return badDocument("%s is not an object", where)
	}
	if err := checkElements(elements, where, extIntegration); err != nil {
		return err
	}
	integration, given := elements[extIntegration]
	if !given {
		return badDocument("No integration defined for method %s", where)
	}
	i, err := a.importIntegration(where, integration)
	if err != nil {
		return err
	}
	key := where
	if path == defaultPath {
		if method != methodAny {
			return badDocument("%s: the default route takes any method", where)
		}
		key = routeDefault
	}
	target := targetPrefix + i.ID
	_, err = a.addRoute(routeSpec{key: key, target: &target})
	return err
}

// importedIntegration is the element x-amazon-apigateway-integration.
type importedIntegration struct {
	Type           string `json:"type"`
	HTTPMethod     string `json:"httpMethod"`
	URI            string `json:"uri"`
	Format         any    `json:"payloadFormatVersion"`
	Timeout        *int32 `json:"timeoutInMillis"`
	ConnectionType string `json:"connectionType"`
	Description    string `json:"description"`
}

func (a *apiRow) importIntegration(where string, raw json.RawMessage) (*integrationRow, error) {
	var elements map[string]json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return nil, badDocument("%s: the integration is not an object", where)
	}
	for _, name := range slices.Sorted(maps.Keys(elements)) {
		switch name {
		case "type", "httpMethod", "uri", "payloadFormatVersion", "timeoutInMillis", "connectionType", "description":
		default:
			return nil, unsupportedElement(where, extIntegration+"."+name)
		}
	}
	var in importedIntegration
	if err := json.Unmarshal(raw, &in); err != nil {
		return nil, badDocument("%s: %v", where, err)
	}
	if !strings.EqualFold(in.Type, typeProxy) {
		return nil, unsupportedElement(where, "integration type "+in.Type)
	}
	if in.ConnectionType != "" && in.ConnectionType != internet {
		return nil, unsupportedElement(where, "connectionType "+in.ConnectionType)
	}
	format, _ := scalarOf(in.Format)
	switch format {
	case "1":
		format = format1
	case "2":
		format = format2
	}
	return a.addIntegration(integrationSpec{
		uri: in.URI, format: format, method: in.HTTPMethod, description: in.Description, timeout: in.Timeout,
	})
}
