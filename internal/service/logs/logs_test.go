package logs_test

import (
	"testing"

	"croft/internal/service"
	"croft/internal/service/logs"
	"croft/internal/service/servicetest"
)

func newLogs(d service.Deps) service.Descriptor { return logs.New(d).Descriptor() }

func TestScripts(t *testing.T) { servicetest.Run(t, "testdata/*.txtar", newLogs) }
