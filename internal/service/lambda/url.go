package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"croft/internal/awsapi/lambda"
	"croft/internal/cloud"
	"croft/internal/httpevent"
	"croft/internal/kv"
	"croft/internal/wire"
)

// urlRow is the stored form of a function's URL, or of an alias's.
type urlRow struct {
	ID string `json:"id"`
	// Qualifier is the alias, empty for the function itself.
	Qualifier string `json:"qualifier,omitempty"`
	AuthType  string `json:"authType"`
	// InvokeMode is empty until somebody chose one, which answers show.
	InvokeMode string          `json:"invokeMode,omitempty"`
	CORS       *httpevent.CORS `json:"cors,omitempty"`
	Created    time.Time       `json:"created"`
	Modified   time.Time       `json:"modified"`
}

// urlPlace says whose a URL is.
type urlPlace struct {
	Account   string `json:"account"`
	Region    string `json:"region"`
	Function  string `json:"function"`
	Qualifier string `json:"qualifier,omitempty"`
}

// Front doors. Source of the host's form: Lambda Developer Guide, "Creating and managing Lambda function URLs".
const (
	urlLabel    = "lambda-url"
	urlIDLength = 32
	// urlTime is how the service writes the times of URLs.
	urlTime = "2006-01-02T15:04:05.000000Z"
)

const codeNotFound = "ResourceNotFoundException"

func errNoURL() error { return notFound("The resource you requested does not exist.") }

func errNoURLFunction() error { return notFound("Function does not exist") }

// urlTarget returns what a request about a URL names: a function or one of its aliases.
func (s *Service) urlTarget(ctx context.Context, name string, qualifier *string) (reference, error) {
	ref, err := s.find(ctx, name, qualifier)
	if err != nil {
		return ref, err
	}
	if ref.qualifier != "" && !isAlias(ref.qualifier) {
		return ref, validation("Value '%s' at 'qualifier' failed to satisfy constraint: Member must satisfy regular expression pattern: %s",
			ref.qualifier, `((?!^\d+$)^[0-9a-zA-Z-_]+$)`)
	}
	return ref, nil
}

func loadURL(r kv.Reader, ref reference) (*urlRow, error) {
	v, err := r.Get(urlKey(ref.name, ref.qualifier))
	if errors.Is(err, kv.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decodeURL(v)
}

func decodeURL(value []byte) (*urlRow, error) {
	u := new(urlRow)
	if err := json.Unmarshal(value, u); err != nil {
		return nil, fmt.Errorf("lambda: damaged URL: %w", err)
	}
	return u, nil
}

func storeURL(w kv.Writer, ref reference, u *urlRow) error {
	v, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("lambda: %w", err)
	}
	return w.Put(urlKey(ref.name, ref.qualifier), v)
}

// address is the URL itself: the path form, which leads to the cloud from wherever the caller reached it, without a name that has to resolve.
func (s *Service) address(ctx context.Context, id string) string {
	return s.deps.Endpoint(ctx) + "/_aws/" + urlLabel + "/" + id + "/"
}

// urlCORS returns what a request says of CORS. A configuration that says nothing is none.
func urlCORS(in *lambda.Cors) *httpevent.CORS {
	if in == nil || in.AllowCredentials == nil && in.MaxAge == nil &&
		len(in.AllowHeaders)+len(in.AllowMethods)+len(in.AllowOrigins)+len(in.ExposeHeaders) == 0 {
		return nil
	}
	return &httpevent.CORS{
		Credentials: in.AllowCredentials, Headers: in.AllowHeaders, Methods: in.AllowMethods, Origins: in.AllowOrigins,
		Expose: in.ExposeHeaders, MaxAge: in.MaxAge,
	}
}

func describeCORS(c *httpevent.CORS) *lambda.Cors {
	if c == nil {
		return nil
	}
	return &lambda.Cors{
		AllowCredentials: c.Credentials, AllowHeaders: c.Headers, AllowMethods: c.Methods, AllowOrigins: c.Origins,
		ExposeHeaders: c.Expose, MaxAge: c.MaxAge,
	}
}

func (u *urlRow) mode() *string {
	if u.InvokeMode == "" {
		return nil
	}
	return &u.InvokeMode
}

func (u *urlRow) streams() bool { return u.InvokeMode == lambda.InvokeModeRESPONSESTREAM }

func (s *Service) describeURL(ctx context.Context, ref reference, u *urlRow) lambda.FunctionUrlConfig {
	mode := lambda.InvokeModeBUFFERED
	if u.streams() {
		mode = u.InvokeMode
	}
	ref.qualifier = u.Qualifier
	return lambda.FunctionUrlConfig{
		FunctionUrl: s.address(ctx, u.ID), FunctionArn: ref.qualified(), AuthType: u.AuthType, Cors: describeCORS(u.CORS), InvokeMode: &mode,
		CreationTime: u.Created.UTC().Format(urlTime), LastModifiedTime: u.Modified.UTC().Format(urlTime),
	}
}

// CreateFunctionUrlConfig implements the operation.
func (s *Service) CreateFunctionUrlConfig(ctx context.Context, in *lambda.CreateFunctionUrlConfigInput) (*lambda.CreateFunctionUrlConfigOutput, error) {
	ref, err := s.urlTarget(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	now := cloud.CallOf(ctx).Now
	u := &urlRow{
		ID: cloud.RandomString(urlIDLength, cloud.LowerAlnum), Qualifier: ref.qualifier, AuthType: in.AuthType,
		InvokeMode: wire.Value(in.InvokeMode), CORS: urlCORS(in.Cors), Created: now, Modified: now,
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if err := urlOwner(tx, ref); err != nil {
			return err
		}
		old, err := loadURL(tx, ref)
		if err != nil {
			return err
		}
		if old != nil {
			return conflict("Failed to create function url config for [functionArn = %s]. Error message:  FunctionUrlConfig exists for this Lambda function",
				ref.qualified())
		}
		place, err := json.Marshal(urlPlace{ref.account, ref.region, ref.name, ref.qualifier})
		if err != nil {
			return fmt.Errorf("lambda: %w", err)
		}
		err = s.shared().Update(ctx, func(_ context.Context, index kv.Tx) error { return index.Put(urlIndexKey(u.ID), place) })
		if err != nil {
			return err
		}
		return storeURL(tx, ref, u)
	})
	if err != nil {
		return nil, err
	}
	d := s.describeURL(ctx, ref, u)
	return &lambda.CreateFunctionUrlConfigOutput{
		FunctionUrl: d.FunctionUrl, FunctionArn: d.FunctionArn, AuthType: d.AuthType, Cors: d.Cors, CreationTime: d.CreationTime, InvokeMode: u.mode(),
	}, nil
}

// urlOwner checks that the function or alias that gets a URL is there.
func urlOwner(r kv.Reader, ref reference) error {
	_, err := resolve(r, ref)
	if cloud.Code(err) == codeNotFound {
		return errNoURLFunction()
	}
	return err
}

// GetFunctionUrlConfig implements the operation.
func (s *Service) GetFunctionUrlConfig(ctx context.Context, in *lambda.GetFunctionUrlConfigInput) (*lambda.GetFunctionUrlConfigOutput, error) {
	ref, err := s.urlTarget(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var u *urlRow
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		if u, err = loadURL(r, ref); err == nil && u == nil {
			err = errNoURL()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	d := s.describeURL(ctx, ref, u)
	return &lambda.GetFunctionUrlConfigOutput{
		FunctionUrl: d.FunctionUrl, FunctionArn: d.FunctionArn, AuthType: d.AuthType, Cors: d.Cors, CreationTime: d.CreationTime,
		LastModifiedTime: d.LastModifiedTime, InvokeMode: d.InvokeMode,
	}, nil
}

// UpdateFunctionUrlConfig implements the operation.
func (s *Service) UpdateFunctionUrlConfig(ctx context.Context, in *lambda.UpdateFunctionUrlConfigInput) (*lambda.UpdateFunctionUrlConfigOutput, error) {
	ref, err := s.urlTarget(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	var u *urlRow
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		if err := urlOwner(tx, ref); err != nil {
			return err
		}
		if u, err = loadURL(tx, ref); err == nil && u == nil {
			err = errNoURL()
		}
		if err != nil {
			return err
		}
		set(&u.AuthType, in.AuthType)
		set(&u.InvokeMode, in.InvokeMode)
		if in.Cors != nil {
			u.CORS = urlCORS(in.Cors)
		}
		u.Modified = cloud.CallOf(ctx).Now
		return storeURL(tx, ref, u)
	})
	if err != nil {
		return nil, err
	}
	d := s.describeURL(ctx, ref, u)
	return &lambda.UpdateFunctionUrlConfigOutput{
		FunctionUrl: d.FunctionUrl, FunctionArn: d.FunctionArn, AuthType: d.AuthType, Cors: d.Cors, CreationTime: d.CreationTime,
		LastModifiedTime: d.LastModifiedTime, InvokeMode: u.mode(),
	}, nil
}

// DeleteFunctionUrlConfig implements the operation.
func (s *Service) DeleteFunctionUrlConfig(ctx context.Context, in *lambda.DeleteFunctionUrlConfigInput) (*lambda.DeleteFunctionUrlConfigOutput, error) {
	ref, err := s.urlTarget(ctx, in.FunctionName, in.Qualifier)
	if err != nil {
		return nil, err
	}
	err = s.space(ctx).Update(ctx, func(ctx context.Context, tx kv.Tx) error {
		u, err := loadURL(tx, ref)
		if err == nil && u == nil {
			err = errNoURL()
		}
		if err != nil {
			return err
		}
		return s.dropURL(ctx, tx, ref, u)
	})
	if err != nil {
		return nil, err
	}
	return &lambda.DeleteFunctionUrlConfigOutput{}, nil
}

func (s *Service) dropURL(ctx context.Context, tx kv.Tx, ref reference, u *urlRow) error {
	err := s.shared().Update(ctx, func(_ context.Context, index kv.Tx) error { return index.Delete(urlIndexKey(u.ID)) })
	if err != nil {
		return err
	}
	ref.qualifier = u.Qualifier
	return tx.Delete(urlKey(ref.name, ref.qualifier))
}

// dropURLs deletes the URLs of a function that is deleted, in its transaction. Those of a single alias outlive it, as on AWS.
func (s *Service) dropURLs(ctx context.Context, tx kv.Tx, ref reference) error {
	var all []*urlRow
	for e, err := range tx.Scan(kv.PrefixRange(urlsKey(ref.name)), kv.ScanOptions{}) {
		if err != nil {
			return err
		}
		u, err := decodeURL(e.Value)
		if err != nil {
			return err
		}
		all = append(all, u)
	}
	for _, u := range all {
		if err := s.dropURL(ctx, tx, ref, u); err != nil {
			return err
		}
	}
	return nil
}

// ListFunctionUrlConfigs implements the operation.
func (s *Service) ListFunctionUrlConfigs(ctx context.Context, in *lambda.ListFunctionUrlConfigsInput) (*lambda.ListFunctionUrlConfigsOutput, error) {
	ref, err := s.urlTarget(ctx, in.FunctionName, nil)
	if err != nil {
		return nil, err
	}
	ref.qualifier = ""
	after, err := readMarker(in.Marker)
	if err != nil {
		return nil, err
	}
	limit := maxListed
	if in.MaxItems != nil {
		limit = min(limit, int(*in.MaxItems))
	}
	out := &lambda.ListFunctionUrlConfigsOutput{}
	err = s.space(ctx).View(ctx, func(_ context.Context, r kv.Reader) error {
		out.FunctionUrlConfigs, out.NextMarker = []lambda.FunctionUrlConfig{}, nil
		if err := urlOwner(r, ref); err != nil {
			return err
		}
		return page(r, urlsKey(ref.name), after, limit, func(_ string, value []byte) (bool, error) {
			u, err := decodeURL(value)
			if err == nil {
				out.FunctionUrlConfigs = append(out.FunctionUrlConfigs, s.describeURL(ctx, ref, u))
			}
			return true, err
		}, &out.NextMarker)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
