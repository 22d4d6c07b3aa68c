package main

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"time"
)

const (
	stalled = 10 * time.Second
	look    = 500 * time.Microsecond
)

// receive reads each event in the loop of the subscription, as the Go library calls its handler.
func receive(ctx context.Context, n *node, o options, c credit) error {
	subscription, err := n.topic.Subscribe()
	if err != nil {
		return err
	}
	c.set(0)
	say("listening", fields{"address": n.address(), "versions": versions()})
	var latencies []int64
	began := usageNow()
	for received := uint64(0); received < o.warmup+o.count; {
		message, err := subscription.Next(ctx)
		if err != nil {
			return err
		}
		instant, err := due(message.Data)
		if err != nil {
			return err
		}
		if o.latency && received >= o.warmup {
			latencies = append(latencies, monotonic()-instant)
		}
		received++
		c.set(received)
		if received == o.warmup {
			began = usageNow()
		}
	}
	said := began.since(o.count)
	said["missing"] = 0
	slices.Sort(latencies)
	for name, perMille := range map[string]int{"p50_us": 500, "p99_us": 990, "p999_us": 999, "max_us": 1000} {
		if last := len(latencies) - 1; last >= 0 {
			said[name] = float64(latencies[last*perMille/1000]) / 1e3
		}
	}
	say("received", said)
	return nil
}

type sender struct {
	*node
	o      options
	credit credit
	events *writer
	before uint64
	sent   uint64
}

func send(ctx context.Context, n *node, o options, c credit) error {
	events, err := newWriter(n.host.ID(), o.size)
	if err != nil {
		return err
	}
	s := &sender{node: n, o: o, credit: c, events: events, before: c.received()}
	if err := n.join(ctx, o.address); err != nil {
		return err
	}
	if err := s.fast(ctx, o.warmup); err != nil {
		return err
	}
	began := usageNow()
	if o.rate > 0 {
		if err := s.onSchedule(ctx); err != nil {
			return err
		}
	}
	if err := s.fast(ctx, max(o.warmup+o.count, s.sent)); err != nil {
		return err
	}
	say("sent", began.since(s.sent-o.warmup))
	return nil
}

func (s *sender) publish(ctx context.Context, instant int64) error {
	written, err := s.events.write(s.sent, instant)
	if err != nil {
		return err
	}
	s.sent++
	return s.topic.Publish(ctx, written)
}

// fast publishes until total events are out and received, never more than the window ahead of the receiver.
func (s *sender) fast(ctx context.Context, total uint64) error {
	progress, since := uint64(0), time.Now()
	for {
		received := s.credit.received() - s.before
		if received >= total {
			return nil
		}
		if received > progress {
			progress, since = received, time.Now()
		} else if time.Since(since) > stalled {
			return fmt.Errorf("%d of %d events arrived", received, s.sent)
		}
		room := min(s.o.window-min(s.o.window, s.sent-received), total-s.sent)
		for ; room > 0; room-- {
			if err := s.publish(ctx, 0); err != nil {
				return err
			}
		}
		time.Sleep(look)
	}
}

// onSchedule publishes at fixed instants, from a thread of its own.
func (s *sender) onSchedule(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := monotonic()
	for number := int64(0); number < int64(float64(s.o.rate)*s.o.seconds); number++ {
		instant := start + number*int64(time.Second)/int64(s.o.rate)
		sleepUntil(instant)
		if err := s.publish(ctx, instant); err != nil {
			return err
		}
	}
	return nil
}
