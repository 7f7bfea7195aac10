package app

import (
	"croft/internal/blobref"
	"croft/internal/cfn"
	"croft/internal/identity"
	"croft/internal/outbox"
	"croft/internal/service"
	"croft/internal/service/apigatewayv2"
	"croft/internal/service/cloudformation"
	"croft/internal/service/dynamodb"
	"croft/internal/service/iam"
	"croft/internal/service/lambda"
	"croft/internal/service/logs"
	"croft/internal/service/s3"
	"croft/internal/service/sns"
	"croft/internal/service/sqs"
	"croft/internal/service/sts"
	"croft/internal/timer"
)

// Services is the list of what a cloud consists of. It is exported for what reads the declarations, which needs no machinery behind them
// (an empty Deps and nil will do), and for tests that run all services on machinery of their own.
func Services(d service.Deps, keys *identity.Keys, functions lambda.Engine, lifted lambda.Limits) []service.Descriptor {
	types := map[string]cfn.ResourceType{}
	lookup := func(name string) (cfn.ResourceType, bool) {
		t, ok := types[name]
		return t, ok
	}
	tables := dynamodb.New(d)
	list := []service.Descriptor{
		apigatewayv2.New(d).Descriptor(),
		cloudformation.New(d, lookup).Descriptor(),
		tables.Descriptor(),
		tables.Streams().Descriptor(),
		iam.New(d).Descriptor(),
		lambda.New(d, functions).Lift(lifted).Descriptor(),
		logs.New(d).Descriptor(),
		s3.New(d).Descriptor(),
		sns.New(d).Descriptor(),
		sqs.New(d).Descriptor(),
		sts.New(d, keys).Descriptor(),
	}
	for _, s := range list {
		for _, t := range s.Resources {
			types[t.Type] = t
		}
	}
	return list
}

// handlers collects what the services handle of the outbox's messages and of the timers. Two handlers of one name are a programming
// error and panic: one of them would never be called.
func handlers(list []service.Descriptor, box *outbox.Outbox, refs *blobref.Refs) (map[string]outbox.Handler, map[string]timer.Handler) {
	messages, timers := refs.Outbox(), box.Timers()
	merge(timers, refs.Timers())
	for _, s := range list {
		merge(messages, s.Outbox)
		merge(timers, s.Timers)
	}
	return messages, timers
}

func merge[H any](into, from map[string]H) {
	for name, h := range from {
		if _, twice := into[name]; twice {
			panic("app: two handlers are named " + name)
		}
		into[name] = h
	}
}
