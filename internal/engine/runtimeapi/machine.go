package runtimeapi

import "errors"

// state is where an environment's runtime stands.
type state uint8

const (
	none      state = iota // what the table has for moves that are not legal
	starting               // the runtime initialises
	restoring              // it runs what it has to run after a snapshot
	waiting                // it has asked for an event, or will take one when it asks again
	running                // it has an event
	answering              // its answer is being read
	answered               // it has answered, and not yet asked again
	broken                 // its start failed, its event was given up, or it broke the protocol
	states
)

// move is what happens to a runtime, or what it does.
type move uint8

const (
	ask         move = iota // it asks for an event
	restore                 // it asks to be restored
	take                    // it gets an event
	answer                  // it begins to answer
	finish                  // its answer is complete
	failInit                // it reports that it could not initialise
	failRestore             // it reports that it could not be restored
	abandon                 // nobody waits for its answer any more
	breach                  // it broke the protocol
	moves
)

// after has the state that a move leads to, and none for the moves that are not legal.
var after = [states][moves]state{
	starting:  {ask: waiting, restore: restoring, failInit: broken, breach: broken},
	restoring: {ask: waiting, failInit: broken, failRestore: broken, breach: broken},
	waiting:   {ask: waiting, take: running, breach: broken}, // it asks again when its connection was lost
	running:   {answer: answering, abandon: broken, breach: broken},
	answering: {finish: answered, abandon: broken, breach: broken},
	answered:  {ask: waiting, breach: broken},
	broken:    {breach: broken},
}

// Reasons to refuse a request.
var (
	errTransition = errors.New("State transition is not allowed")
	errRequestID  = errors.New("Invalid request ID")
)

// move changes the state, if the move is legal. It is called with mu held.
func (s *Server) move(m move) error {
	to := after[s.state][m]
	if to == none || m == restore && !s.opt.Restore {
		return errTransition
	}
	from := s.state
	s.state = to
	switch {
	case m == ask && (from == starting || from == restoring):
		close(s.ready)
		s.extensions.closed = true
	case m == restore:
		close(s.restoring)
	}
	s.settle()
	return nil
}

// ask is the runtime's request for an event over HTTP. It returns the request's number.
func (s *Server) ask() (request int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != nil {
		return 0, errTransition // its bootstrap has another way
	}
	if err := s.move(ask); err != nil {
		return 0, err
	}
	s.requests++
	return s.requests, nil
}

// take hands out the event, or returns the channel that tells when to try again. Both are nil for a request that a later one has replaced:
// nobody may be listening to it any more.
func (s *Server) take(request int) (*exchange, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != waiting || s.requests != request {
		return nil, nil
	}
	if s.current == nil {
		return nil, s.offered
	}
	return s.taken(), nil
}

// taken gives the current event to the runtime, which waits for it. It is called with mu held.
func (s *Server) taken() *exchange {
	e := s.current
	if s.move(take) != nil {
		return nil
	}
	e.taken, s.lastID = s.opt.Clock.Now(), e.RequestID
	return e
}

// beginAnswer starts the answer to the event with the given id; to the current one when it is empty. No other answer is taken from here on.
func (s *Server) beginAnswer(id string) (*exchange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if id != "" && s.lastID != id {
		return nil, errRequestID
	}
	if err := s.move(answer); err != nil {
		return nil, err
	}
	s.current.began = s.opt.Clock.Now()
	return s.current, nil
}

// endAnswer delivers the answer. again says that the runtime asks for its next event in the same breath, and reports whether it may.
func (s *Server) endAnswer(e *exchange, a Answer, again bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != e || s.state != answering {
		return false // given up while the answer came in
	}
	a.Latency, a.Transfer = e.began.Sub(e.taken), s.opt.Clock.Now().Sub(e.began)
	if !a.Streamed && a.Size == 0 {
		a.Size = int64(len(a.Payload))
	}
	s.current = nil
	_ = s.move(finish) // legal here, and so is the next
	if again {
		_ = s.move(ask)
	}
	e.answer <- a
	return true
}

// beginFail starts the report that the runtime could not start, and says whether it may be made: once, and not later.
func (s *Server) beginFail(m move) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.move(m)
}

// endFail delivers the report that beginFail allowed.
func (s *Server) endFail(a Answer) {
	s.initErr = a
	close(s.failed)
}
