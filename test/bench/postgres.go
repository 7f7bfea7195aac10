package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/jackc/pgx/v5"

	api "croft/internal/awsapi/sqs"
	"croft/internal/clock"
	"croft/internal/cloud"
	"croft/internal/kv/all"
	"croft/internal/kv/pgkv/pgtest"
	"croft/internal/lease"
	"croft/internal/outbox"
	"croft/internal/service"
	sqsservice "croft/internal/service/sqs"
	"croft/internal/timer"
)

// postgres measures SendMessage on a cloud that lies in PostgreSQL: the call alone, from the validation of its input to the commit, and the
// whole of it over HTTP. The floor of both is what SendMessage asks of the database and no more, by pgx alone in as many round
// trips: one that reads the queue, and one that writes the message and commits.
func (b *bench) postgres(ctx context.Context, rounds int) (err error) {
	database, err := pgtest.Launch()
	if errors.Is(err, pgtest.ErrMissing) {
		fmt.Printf("\nSendMessage on PostgreSQL is not measured: %v\n", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer database.Discard()
	subject, err := b.startCroft(ctx, "--store", database.URL(), "--blobs", filepath.Join(b.dir, "blobs"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, subject.stop()) }()
	floor, err := pgx.Connect(ctx, database.URL())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, floor.Close(ctx)) }()
	if err := prepareBare(ctx, floor); err != nil {
		return err
	}
	tr := transport()
	defer tr.CloseIdleConnections()
	c := client(subject.endpoint, tr)
	if _, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("bench")}); err != nil {
		return err
	}
	inside, closeStore, err := insideSend(database.URL(), b.clock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()
	return b.comparePostgres(rounds, func() error { return sendBare(ctx, floor) }, inside, func() error { return sendOne(ctx, c) })
}

// insideSend returns SendMessage to the same queue, in this process.
func insideSend(location string, c clock.Clock) (send, closeStore func() error, err error) {
	store, err := all.Open(location, all.Options{})
	if err != nil {
		return nil, nil, err
	}
	log := slog.New(slog.DiscardHandler)
	timers := timer.New(store, c, log)
	d := service.NewDispatcher()
	d.Add(sqsservice.New(service.Deps{
		Clock: c, Store: store, Timers: timers, Outbox: outbox.New(store, timers, c, log), Leases: lease.Local(), Caller: d, Log: log,
	}).Descriptor())
	calls := api.NewClient(d)
	in := &api.SendMessageInput{QueueUrl: queueURL, MessageBody: strings.Repeat("m", 200)}
	return func() error {
		ctx := cloud.WithCall(context.Background(), cloud.InternalCall(cloud.DefaultAccount, cloud.DefaultRegion, c.Now()))
		_, err := calls.SendMessage(ctx, in)
		return err
	}, store.Close, nil
}

func (b *bench) comparePostgres(rounds int, bare, inside, whole func() error) error {
	fmt.Printf("\nSQS SendMessage, 200 bytes, on PostgreSQL\n%-6s %14s %14s %7s %14s %7s\n", "round", "bare pgx p50", "the call p50", "ratio", "over HTTP", "ratio")
	var calls, http []float64
	for round := range rounds + 1 {
		var p50 [3]time.Duration
		for i, op := range []func() error{bare, inside, whole} {
			var err error
			if p50[i], err = b.p50(op); err != nil {
				return err
			}
		}
		if round == 0 {
			continue // warms all up
		}
		calls = append(calls, float64(p50[1])/float64(p50[0]))
		http = append(http, float64(p50[2])/float64(p50[0]))
		fmt.Printf("%-6d %14v %14v %6.2fx %14v %6.2fx\n", round, p50[0], p50[1], calls[round-1], p50[2], http[round-1])
	}
	fmt.Printf("median: the call %.2fx the bare transaction, over HTTP %.2fx\n", median(calls), median(http))
	return nil
}

func (b *bench) p50(op func() error) (time.Duration, error) {
	times := make([]time.Duration, sequential)
	for i := range times {
		begin := b.clock.Now()
		if err := op(); err != nil {
			return 0, err
		}
		times[i] = b.clock.Now().Sub(begin)
	}
	slices.Sort(times)
	return times[len(times)/2], nil
}

func prepareBare(ctx context.Context, conn *pgx.Conn) error {
	for _, sql := range []string{
		"CREATE TABLE bare (k bytea PRIMARY KEY, v bytea NOT NULL)", "CREATE SEQUENCE bare_numbers",
		"INSERT INTO bare (k, v) VALUES ('queue', repeat('q', 300)::bytea)",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func sendBare(ctx context.Context, conn *pgx.Conn) error {
	read, write := &pgx.Batch{}, &pgx.Batch{}
	read.Queue("BEGIN")
	read.Queue("SELECT v FROM bare WHERE k = $1", []byte("queue"))
	if err := conn.SendBatch(ctx, read).Close(); err != nil {
		return err
	}
	write.Queue("INSERT INTO bare (k, v) VALUES ($1 || int8send(nextval('bare_numbers')), $2)", []byte("log"), make([]byte, 260))
	write.Queue("COMMIT")
	return conn.SendBatch(ctx, write).Close()
}
