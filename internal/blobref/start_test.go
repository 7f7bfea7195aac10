package blobref_test

import (
	"croft/internal/outbox"
	"croft/internal/timer"
)

func start(times *timer.Timers, box *outbox.Outbox, timers map[string]timer.Handler, messages map[string]outbox.Handler) {
	times.Start(timers)
	box.Start(messages)
}
