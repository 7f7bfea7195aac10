package apigatewayv2

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"croft/internal/cloud"
	"croft/internal/kv"
)

// liveAPI is an API made ready to be served. It is immutable.
type liveAPI struct {
	stored []byte
	row    *apiRow
	// routes are in the order in which they are tried.
	routes []liveRoute
}

type liveRoute struct {
	routeKey
	row         *routeRow
	integration *integrationRow
	function    string
}

func newLive(stored []byte) (*liveAPI, error) {
	row, err := decodeAPI(stored)
	if err != nil {
		return nil, err
	}
	a := &liveAPI{stored: bytes.Clone(stored), row: row}
	for i := range row.Routes {
		r := liveRoute{row: &row.Routes[i], integration: row.integration(row.Routes[i].Integration)}
		if r.routeKey, err = parseRouteKey(r.row.Key); err != nil {
			return nil, err
		}
		if r.integration != nil {
			if r.function, err = functionOf(r.integration.URI); err != nil {
				return nil, err
			}
		}
		a.routes = append(a.routes, r)
	}
	sort.SliceStable(a.routes, func(i, j int) bool { return a.routes[i].before(&a.routes[j].routeKey) })
	return a, nil
}

// stageOf returns the stage that a path belongs to, and the path below it.
func (a *liveAPI) stageOf(path string) (stage *stageRow, rest string) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first != stageDefault {
		if stage := a.row.stage(first); stage != nil {
			return stage, "/" + rest
		}
	}
	return a.row.stage(stageDefault), path
}

// route returns the route for a request, with the values of its path's variables, or nil.
func (a *liveAPI) route(method, path string) (*liveRoute, map[string]string) {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i := range a.routes {
		r := &a.routes[i]
		if r.method == "" {
			return r, nil
		}
		if r.method != method && r.method != methodAny {
			continue
		}
		if values, ok := r.match(parts); ok {
			return r, values
		}
	}
	return nil, nil
}

// apiCache holds APIs made ready, by id. An entry counts only for the stored bytes that it was made of, so it can never be stale.
type apiCache struct {
	mu   sync.RWMutex
	apis map[string]*liveAPI
}

const cachedAPIs = 256

func (c *apiCache) live(id string, stored []byte) (*liveAPI, error) {
	c.mu.RLock()
	a := c.apis[id]
	c.mu.RUnlock()
	if a != nil && bytes.Equal(a.stored, stored) {
		return a, nil
	}
	a, err := newLive(stored)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.apis == nil || len(c.apis) >= cachedAPIs {
		c.apis = make(map[string]*liveAPI)
	}
	c.apis[id] = a
	return a, nil
}

// find returns the API called id, whatever account and region it lies in, or kv.ErrNotFound.
func (s *Service) find(ctx context.Context, id string) (at indexRow, a *liveAPI, err error) {
	err = s.shared().View(ctx, func(ctx context.Context, r kv.Reader) error {
		entry, err := r.Get(indexKey(id))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(entry, &at); err != nil {
			return fmt.Errorf("apigatewayv2: the index is damaged at %s: %w", id, err)
		}
		return s.space(cloud.In(ctx, at.Account, at.Region)).View(ctx, func(_ context.Context, r kv.Reader) error {
			stored, err := r.Get(apiKey(id))
			if err != nil {
				return err
			}
			a, err = s.cache.live(id, stored)
			return err
		})
	})
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		s.log.ErrorContext(ctx, "an API cannot be read", "api", id, "error", err)
	}
	return at, a, err
}
