package app

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"croft/internal/awsapi/logs"
	"croft/internal/control"
	"croft/internal/wire"
)

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
	var live <-chan control.LogLine
	if query.Get("follow") != "" {
		var stop func()
		live, stop = a.tail.follow() // before the past is read, so that nothing falls between
		defer stop()
	}
	out := lines{w}
	last, err := a.past(r.Context(), query, since, out)
	if err != nil {
		a.opts.Log.Debug("logs could not be shown", "err", err)
		return
	}
	a.follow(r.Context(), live, query, last, out)
}

// past sends the stored lines of each function and returns the time of the newest.
func (a *App) past(ctx context.Context, query url.Values, since time.Time, out lines) (last time.Time, err error) {
	ctx = a.root(ctx)
	client := logs.NewClient(a.dispatch)
	groups, err := client.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupNamePrefix: wire.Ptr(functionLogs + query.Get("function"))})
	if err != nil {
		return last, err
	}
	for _, g := range groups.LogGroups {
		name := strings.TrimPrefix(wire.Value(g.LogGroupName), functionLogs)
		if f := query.Get("function"); f != "" && f != name {
			continue
		}
		in := &logs.FilterLogEventsInput{LogGroupName: g.LogGroupName, StartTime: wire.Ptr(max(0, since.UnixMilli()))}
		for {
			page, err := client.FilterLogEvents(ctx, in)
			if err != nil {
				return last, err
			}
			for _, e := range page.Events {
				at := time.UnixMilli(wire.Value(e.Timestamp))
				if at.After(last) {
					last = at
				}
				if err := out.send(control.LogLine{Time: at, Function: name, Text: wire.Value(e.Message)}); err != nil {
					return last, err
				}
			}
			if page.NextToken == nil {
				break
			}
			in.NextToken = page.NextToken
		}
	}
	return last, nil
}

// follow sends live lines until the client goes away or the cloud closes. Lines that past has shown already are left out; they
// are told by their time, to the millisecond.
func (a *App) follow(ctx context.Context, live <-chan control.LogLine, query url.Values, last time.Time, out lines) {
	if live == nil {
		return
	}
	if err := http.NewResponseController(out.w).Flush(); err != nil {
		return
	}
	name := query.Get("function")
	for {
		select {
		case l, open := <-live:
			if !open {
				return
			}
			if name != "" && l.Function != name || l.Time.Truncate(time.Millisecond).Before(last) {
				continue
			}
			if err := out.send(l); err != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}
