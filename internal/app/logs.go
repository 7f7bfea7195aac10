package app

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/cloud"
	"croft/internal/control"
	"croft/internal/wire"
)

// maxRead bounds how many events of all log groups together are held while the past is shown.
const maxRead = 10_000

// logs shows what functions have logged, oldest first, and with "follow" what they log from then on.
func (a *App) logs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	var since time.Time
	if s := query.Get("since"); s != "" {
		var err error
		if since, err = time.Parse(time.RFC3339, s); err != nil {
			problem(w, http.StatusBadRequest, err)
			return
		}
	}
	name, err := a.logName(r.Context(), query)
	if err != nil {
		problem(w, status(err), err)
		return
	}
	if query.Get("follow") != "" && a.nodes != nil {
		if err := a.followStored(r.Context(), name, since, lines{w}); err != nil {
			a.opts.Log.Debug("logs could not be shown", "err", err)
		}
		return
	}
	var live <-chan control.LogLine
	if query.Get("follow") != "" {
		var stop func()
		live, stop = a.tail.follow(a.account(r.Context())) // before the past is read, so that nothing falls between
		defer stop()
	}
	out := lines{w}
	last, err := a.past(r.Context(), name, since, nil, out)
	if err != nil {
		a.opts.Log.Debug("logs could not be shown", "err", err)
		return
	}
	a.follow(r.Context(), live, name, last, out)
}

// logName returns the name of the function whose log is asked for, or "" for all. A function that has gone may have left its log.
func (a *App) logName(ctx context.Context, query url.Values) (string, error) {
	name := query.Get("function")
	if name == "" {
		return "", nil
	}
	ctx = a.root(ctx)
	groups, err := a.groups(ctx, name)
	if err != nil || len(groups) > 0 {
		return name, err
	}
	name, err = a.functionName(ctx, name)
	if arn, e := cloud.ParseARN(name); err == nil && e == nil {
		name = strings.TrimPrefix(arn.Resource, "function:")
	}
	return name, err
}

// groups returns the functions that have a log group: all, or the one called function.
func (a *App) groups(ctx context.Context, function string) ([]string, error) {
	client := logs.NewClient(a.dispatch)
	in := &logs.DescribeLogGroupsInput{LogGroupNamePrefix: wire.Ptr(functionLogs)}
	if function != "" {
		// The name alone comes first of all that begin with it.
		in = &logs.DescribeLogGroupsInput{LogGroupNamePrefix: wire.Ptr(functionLogs + function), Limit: wire.Ptr[int32](1)}
	}
	var names []string
	for {
		page, err := client.DescribeLogGroups(ctx, in)
		if cloud.Code(err) == "InvalidParameterException" {
			return names, nil // no function can have that name
		}
		if err != nil {
			return nil, err
		}
		for _, g := range page.LogGroups {
			if name := strings.TrimPrefix(wire.Value(g.LogGroupName), functionLogs); function == "" || name == function {
				names = append(names, name)
			}
		}
		if page.NextToken == nil || function != "" {
			return names, nil
		}
		in.NextToken = page.NextToken
	}
}

// past sends the stored lines that are not among those shown, merged by their time, and returns the time of each function's newest. shown may
// be nil.
func (a *App) past(ctx context.Context, function string, since time.Time, shown *shown, out lines) (map[string]time.Time, error) {
	ctx = a.root(ctx)
	names, err := a.groups(ctx, function)
	if err != nil {
		return nil, err
	}
	last := map[string]time.Time{}
	var open []*logReader
	for _, name := range names {
		r := &logReader{client: logs.NewClient(a.dispatch), function: name, shown: shown, in: &logs.FilterLogEventsInput{
			LogGroupName: wire.Ptr(functionLogs + name), StartTime: wire.Ptr(max(0, since.UnixMilli())),
			Limit: wire.Ptr(int32(max(1, maxRead/len(names)))),
		}}
		more, err := r.fill(ctx)
		if err != nil {
			return nil, err
		}
		if more {
			open = append(open, r)
		}
	}
	for len(open) > 0 {
		first := 0
		for i, r := range open {
			if r.time() < open[first].time() {
				first = i
			}
		}
		r := open[first]
		line := r.next()
		last[r.function] = line.Time
		if err := out.send(line); err != nil {
			return nil, err
		}
		more, err := r.fill(ctx)
		if err != nil {
			return nil, err
		}
		if !more {
			open = append(open[:first], open[first+1:]...)
		}
	}
	return last, nil
}

// logReader reads one function's stored lines, oldest first.
type logReader struct {
	client   logs.Client
	function string
	in       *logs.FilterLogEventsInput
	page     []logs.FilteredLogEvent
	ended    bool
	shown    *shown
}

// fill makes sure that there is a next line, and reports whether there is one.
func (r *logReader) fill(ctx context.Context) (bool, error) {
	for len(r.page) == 0 && !r.ended {
		out, err := r.client.FilterLogEvents(ctx, r.in)
		if err != nil {
			return false, err
		}
		r.page, r.in.NextToken, r.ended = r.shown.others(out.Events), out.NextToken, out.NextToken == nil
	}
	return len(r.page) > 0, nil
}

func (r *logReader) time() int64 { return wire.Value(r.page[0].Timestamp) }

func (r *logReader) next() control.LogLine {
	e := r.page[0]
	r.page = r.page[1:]
	return control.LogLine{Time: time.UnixMilli(wire.Value(e.Timestamp)), Function: r.function, Text: wire.Value(e.Message)}
}

// follow sends live lines until the client goes away or the cloud closes. Lines that past has shown already are left out; they
// are told by their time, to the millisecond.
func (a *App) follow(ctx context.Context, live <-chan control.LogLine, name string, last map[string]time.Time, out lines) {
	if live == nil {
		return
	}
	if err := out.flush(); err != nil {
		return
	}
	for {
		select {
		case l, open := <-live:
			if !open {
				return
			}
			if name == "" || l.Function == name {
				if !l.Time.Truncate(time.Millisecond).Before(last[l.Function]) && out.write(l) != nil {
					return
				}
			}
			// Functions log in batches: what comes together is sent together.
			if len(live) == 0 && out.flush() != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
