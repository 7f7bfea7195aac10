package engine

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/engine/runtimeapi"
	"croft/internal/engine/runtimeapi/telemetry"
	"croft/internal/engine/sandbox"
)

const (
	// snapshotTime is how long a function with SnapStart may initialise, if its timeout is not longer, and restoreTime how long it may take until an
	// environment is restored. Source: Lambda Developer Guide, "Lambda SnapStart runtime hooks".
	snapshotTime = 130 * time.Second
	restoreTime  = 10 * time.Second
	// typeNoSnapshot is what a runtime reports that must not be forked.
	typeNoSnapshot = "Croft.NoSnapshot"
	// maxSnapshots is how many are kept, if others than those in use must be.
	maxSnapshots = 64
)

// snapshot is an initialised process that forks: its children are the environments of one function version.
type snapshot struct {
	all *snapshots
	key poolKey
	// made closes when it is known what became of it; the fields below are then set, and not changed any more.
	made chan struct{}
	// env is the process's environment. Without it there is no snapshot: by the function's doing (failure), for another reason (err), or because the
	// process cannot be forked, and every environment is initialised by itself.
	env     *environment
	failure *initFailure
	took    time.Duration
	err     error

	// The rest belongs to the mutex of all. holders counts the environments that start or have started from it, and whoever makes it.
	holders int
	used    time.Time
	dropped bool
}

// snapshots are those of all functions. It is safe for concurrent use.
type snapshots struct {
	e *Engine

	// limit is restoreTime, except in tests.
	limit time.Duration

	mu     sync.Mutex
	byKey  map[poolKey]*snapshot
	closed bool
}

func newSnapshots(e *Engine) *snapshots {
	return &snapshots{e: e, limit: restoreTime, byKey: map[poolKey]*snapshot{}}
}

// hold returns the snapshot of a pool's function, made if need be. Who has got it releases it. slot is given up when somebody else is making it.
func (ss *snapshots) hold(own *pool, slot func()) (*snapshot, error) {
	ss.mu.Lock()
	if ss.closed {
		ss.mu.Unlock()
		return nil, errClosed()
	}
	s := ss.byKey[own.key]
	if s != nil && s.spent(ss.e.cfg.Clock.Now()) {
		ss.drop(s)
		s = nil
	}
	mine := s == nil
	if mine {
		ss.makeRoom()
		s = &snapshot{all: ss, key: own.key, made: make(chan struct{}), holders: 1}
		ss.byKey[own.key] = s
	}
	s.holders++
	ss.mu.Unlock()
	if mine {
		ss.e.work.Go(func() {
			defer s.release()
			s.make(own, slot)
		})
	} else if !s.isMade() {
		slot()
	}
	<-s.made
	if s.err != nil {
		s.release()
		return nil, s.err
	}
	return s, nil
}

// makeRoom drops what has not been used for longest, if there are too many. ss.mu is held.
func (ss *snapshots) makeRoom() {
	var oldest *snapshot
	for _, s := range ss.byKey {
		if s.holders == 0 && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	if oldest != nil && len(ss.byKey) >= maxSnapshots {
		ss.drop(oldest)
	}
}

func (s *snapshot) isMade() bool {
	select {
	case <-s.made:
		return true
	default:
		return false
	}
}

// spent reports whether nothing new may start from the snapshot: its process has ended, or its credentials are about to.
func (s *snapshot) spent(now time.Time) bool { return s.isMade() && s.env != nil && !s.env.usable(now) }

// make initialises the function and finds out what becomes of it.
func (s *snapshot) make(own *pool, slot func()) {
	defer close(s.made)
	e := s.all.e
	env, err := e.prepare(e.ctx, own, template)
	if err != nil {
		s.giveUp(err)
		return
	}
	reason := env.noSnapshot()
	if reason == "" {
		err = env.initialise("init", max(snapshotTime, own.fn.Timeout), slot)
		f := env.initFailure
		switch {
		case err != nil:
			s.giveUp(err)
		case f == nil:
			s.env = env
			return
		case f.errorType == typeNoSnapshot:
			reason = reasonOf(f)
		default:
			s.failure, s.took = f, env.initTook
			s.giveUp(nil)
		}
	}
	if reason != "" {
		env.logs.add("SnapStart takes no snapshot of this function: " + reason + ". Each environment is initialised by itself.")
		e.cfg.Log.Warn("no snapshot of a function: its environments are initialised one by one", "function", own.fn.ARN, "version", own.fn.Version, "reason", reason)
	}
	env.close()
}

// giveUp lets the next one who asks try again.
func (s *snapshot) giveUp(err error) {
	s.err = err
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.all.drop(s)
}

// noSnapshot says why no snapshot can be taken, whatever the function does; empty when nothing is known to be in the way.
func (env *environment) noSnapshot() string {
	extensions, err := env.externalExtensions()
	switch {
	case err == nil && len(extensions) > 0:
		return "it has external extensions"
	case env.e.cfg.Isolation != sandbox.Full:
		return "isolation is reduced"
	case env.entrypoint == nil && !env.launch.Frames:
		return "it starts through a wrapper"
	}
	return ""
}

func reasonOf(f *initFailure) string {
	var document struct {
		Message string `json:"errorMessage"`
	}
	if json.Unmarshal(f.payload, &document) != nil || document.Message == "" {
		return "it cannot be forked"
	}
	return document.Message
}

// release gives up a hold.
func (s *snapshot) release() {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	s.holders--
	s.used = s.all.e.cfg.Clock.Now()
	s.endIfLeft()
}

// endIfLeft ends the process when nobody needs it any more. The caller holds the mutex of all and has entered the engine.
func (s *snapshot) endIfLeft() {
	if s.dropped && s.holders == 0 && s.env != nil {
		s.all.e.end(s.env)
	}
}

// drop lets nothing new start from a snapshot. ss.mu is held, and the caller has entered the engine.
func (ss *snapshots) drop(s *snapshot) {
	if s.dropped {
		return
	}
	s.dropped = true
	if ss.byKey[s.key] == s {
		delete(ss.byKey, s.key)
	}
	s.endIfLeft()
}

// dropIf drops those for which f holds.
func (ss *snapshots) dropIf(f func(*snapshot) bool) {
	ss.mu.Lock()
	defer ss.mu.Unlock()
	for _, s := range ss.byKey {
		if f(s) {
			ss.drop(s)
		}
	}
}

// sweep drops those from which nothing has been started, and on which nothing has run, for a while.
func (ss *snapshots) sweep(idle time.Duration) {
	now := ss.e.cfg.Clock.Now()
	ss.dropIf(func(s *snapshot) bool { return s.spent(now) || s.holders == 0 && now.Sub(s.used) >= idle })
}

// retire drops those of a function.
func (ss *snapshots) retire(arn string) {
	ss.dropIf(func(s *snapshot) bool { return s.key.arn == arn })
}

// close drops all, and lets none be made any more.
func (ss *snapshots) close() {
	ss.mu.Lock()
	ss.closed = true
	ss.mu.Unlock()
	ss.dropIf(func(*snapshot) bool { return true })
}

// restore starts the environment from its function's snapshot. done is false when there can be none, and the environment is to be initialised by itself.
func (env *environment) restore(slot func()) (done bool, err error) {
	e := env.e
	s, err := e.snaps.hold(env.pool, slot)
	if err != nil {
		return false, err
	}
	env.cleanup = append(env.cleanup, s.release)
	if s.failure != nil {
		env.initFailure, env.initTook = s.failure, s.took
		return true, nil
	}
	if s.env == nil {
		return false, nil
	}
	env.Credentials = s.env.Credentials // what the snapshot has made uses them
	begin := e.cfg.Clock.Now()
	ctx, cancel := e.bounded(e.ctx, e.snaps.limit)
	defer cancel()
	env.report(env.restoreStart())
	if err = env.copy(ctx, s.env.process); err == nil {
		err = env.awaitInit(ctx, slot)
	} else {
		e.snaps.dropIf(func(other *snapshot) bool { return other == s }) // it does not fork any more
	}
	env.initTook, env.restoreTook = 0, e.cfg.Clock.Now().Sub(begin)
	if err != nil {
		return true, env.restoreFailed(err)
	}
	env.process.drain()
	env.reportRestore(telemetry.StatusSuccess, "")
	return true, nil
}

// copy has the snapshot's process fork, and makes the child the environment's process.
func (env *environment) copy(ctx context.Context, from *process) error {
	whole, ok := from.Running.(sandbox.Divisible)
	via, isSocket := from.conn.(*net.UnixConn)
	if !ok || !isSocket {
		return errors.New("engine: the snapshot cannot fork")
	}
	conn, theirs, err := framePair()
	if err != nil {
		return err
	}
	defer theirs.Close()
	out, err := newOutput()
	if err != nil {
		conn.Close()
		return err
	}
	go out.run()
	part, err := whole.Divide(ctx, via, sandbox.Program{Output: out.write, Files: []*os.File{theirs}}, int64(env.Function.MemoryMB)<<20)
	if err != nil {
		conn.Close()
		out.abandon()
		out.close()
		return err
	}
	p := env.newProcess(&spare{conn: conn, out: out}, part, nil)
	p.main, p.shared = part.Booted(), true
	env.process = p
	out.connect(env.functionOutput)
	p.serving.Go(func() { p.watchMain(env) })
	p.serving.Go(p.serveFrames)
	return p.api.Assign(runtimeapi.Assignment{
		Handler: env.Function.Handler, Restore: true, Env: map[string]string{"AWS_LAMBDA_LOG_STREAM_NAME": env.LogStream},
	})
}

// restoreFailed ends what could not be restored, and returns what the caller of the function is told.
func (env *environment) restoreFailed(err error) error {
	if env.process != nil {
		env.process.stop("failure")
	}
	code, status, text := "SnapStartException", 400, "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs."
	outcome, kind := telemetry.StatusError, ""
	switch {
	case errors.Is(err, clock.ErrTimeout):
		code, status, text = "SnapStartTimeoutException", 408, "Lambda couldn't restore the snapshot within the timeout limit."
		outcome = telemetry.StatusTimeout
	case errors.Is(err, errInitFailed):
		kind = env.process.api.InitError().ErrorType
	case env.process != nil && errors.Is(err, errExited):
		kind = typeExit
	default:
		return err
	}
	env.reportRestore(outcome, kind)
	return &cloud.Error{Code: code, Status: status, Message: text, Cause: err}
}

// restoreStart is the event with which a restoration begins, and reportRestore writes that with which it ends.
func (env *environment) restoreStart() event {
	init := env.initStart("")
	record, _ := init.record.(telemetry.InitStart)
	record.InitializationType = ""
	return event{kind: telemetry.KindRestoreStart, level: levelInfo, text: "RESTORE_START" + init.text[len("INIT_START"):], record: record}
}

func (env *environment) reportRestore(status, errorType string) {
	env.report(event{kind: telemetry.KindRestoreRuntimeDone, level: levelDebug, record: telemetry.InitRuntimeDone{Status: status, ErrorType: errorType}})
	text := "RESTORE_REPORT Restore Duration: " + millis(env.restoreTook) + " ms"
	if status != telemetry.StatusSuccess {
		text += "\tStatus: " + status
		if errorType != "" {
			text += "\tError Type: " + errorType
		}
	}
	env.report(event{kind: telemetry.KindRestoreReport, level: levelInfo, text: text, record: telemetry.InitReport{
		Status: status, ErrorType: errorType, Metrics: telemetry.InitMetrics{Duration: telemetry.Millis(env.restoreTook)},
	}})
}
