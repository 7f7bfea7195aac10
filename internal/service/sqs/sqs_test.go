package sqs_test

import (
	"testing"

	"croft/internal/service"
	"croft/internal/service/servicetest"
	"croft/internal/service/sqs"
)

func newService(deps service.Deps) service.Descriptor { return sqs.New(deps).Descriptor() }

func TestScripts(t *testing.T) {
	servicetest.Run(t, "testdata/*.txtar", newService)
}
