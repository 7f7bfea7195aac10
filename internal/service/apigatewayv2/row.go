package apigatewayv2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	api "croft/internal/awsapi/apigatewayv2"
	"croft/internal/cloud"
	"croft/internal/httpevent"
	"croft/internal/kv"
)

// apiRow is an API as it is stored.
type apiRow struct {
	ID          string            `json:"id"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	Version     string            `json:"version,omitempty"`
	Created     time.Time         `json:"created"`
	Tags        map[string]string `json:"tags,omitempty"`
	CORS        *httpevent.CORS   `json:"cors,omitempty"`
	// Disabled APIs are not served at their own address.
	Disabled     bool             `json:"disabled,omitempty"`
	Routes       []routeRow       `json:"routes,omitempty"`
	Integrations []integrationRow `json:"integrations,omitempty"`
	Stages       []stageRow       `json:"stages,omitempty"`
}

type routeRow struct {
	ID  string `json:"id"`
	Key string `json:"key"`
	// Integration is the id of the route's integration, empty for none.
	Integration string `json:"integration,omitempty"`
	Operation   string `json:"operation,omitempty"`
	// Managed routes were made with the API by quick create.
	Managed bool `json:"managed,omitempty"`
}

type integrationRow struct {
	ID          string `json:"id"`
	URI         string `json:"uri"`
	Format      string `json:"format"`
	Description string `json:"description,omitempty"`
	// Timeout is in milliseconds.
	Timeout int32 `json:"timeout"`
	Managed bool  `json:"managed,omitempty"`
}

type stageRow struct {
	Name        string            `json:"name"`
	AutoDeploy  bool              `json:"autoDeploy,omitempty"`
	Deployment  string            `json:"deployment,omitempty"`
	Description string            `json:"description,omitempty"`
	Variables   map[string]string `json:"variables,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Updated     time.Time         `json:"updated"`
	Managed     bool              `json:"managed,omitempty"`
}

// Quotas of an API. Source: API Gateway Developer Guide, "Quotas for configuring and running an HTTP API".
const (
	maxRoutes       = 300
	maxIntegrations = 300
	maxStages       = 10
)

func tooMany(what string, limit int) error {
	return badRequest("Maximum number of %s for this API has been reached: %d", what, limit)
}

// indexRow says where an API lies.
type indexRow struct {
	Account string `json:"account"`
	Region  string `json:"region"`
}

// readAPI returns the API called id in the caller's account and region.
func readAPI(ctx context.Context, r kv.Reader, id string) (*apiRow, error) {
	stored, err := r.Get(apiKey(id))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, api.NewNotFoundException("Invalid API identifier specified %s:%s", cloud.CallOf(ctx).Account, id)
	}
	if err != nil {
		return nil, err
	}
	return decodeAPI(stored)
}

func decodeAPI(stored []byte) (*apiRow, error) {
	a := new(apiRow)
	if err := json.Unmarshal(stored, a); err != nil {
		return nil, fmt.Errorf("apigatewayv2: an API is damaged: %w", err)
	}
	return a, nil
}

func writeJSON(tx kv.Tx, key kv.Key, v any) error {
	stored, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("apigatewayv2: %w", err)
	}
	return tx.Put(key, stored)
}

// view reads one API.
func (s *Service) view(ctx context.Context, id string) (a *apiRow, err error) {
	err = s.space(ctx).View(ctx, func(ctx context.Context, r kv.Reader) error {
		a, err = readAPI(ctx, r, id)
		return err
	})
	return a, err
}

// change changes one API in a transaction.
func (s *Service) change(ctx context.Context, id string, change func(*apiRow) error) error {
	return s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		a, err := readAPI(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := change(a); err != nil {
			return err
		}
		return writeJSON(tx, apiKey(id), a)
	})
}

// Lengths of identifiers.
const (
	apiIDLength  = 10
	partIDLength = 7
)

func newID(length int) string { return cloud.RandomString(length, cloud.LowerAlnum) }
