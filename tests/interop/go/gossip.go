package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
)

type gossipOptions struct {
	leaf  bool
	trace bool
}

// gossip is GossipSub with the defaults of its library, and the topics of the node.
type gossip struct {
	out    *output
	host   host.Host
	pubsub *pubsub.PubSub
	topics map[string]*topic
}

type topic struct {
	handle *pubsub.Topic
	stop   context.CancelFunc // nil while nobody subscribes
}

func newGossip(ctx context.Context, h host.Host, out *output, o gossipOptions) (*gossip, error) {
	settings := []pubsub.Option{pubsub.WithRawTracer(&tracer{out: out, rpcs: o.trace})}
	if o.leaf {
		settings = append(settings, pubsub.WithGossipSubParams(leafParameters()))
	}
	p, err := pubsub.NewGossipSub(ctx, h, settings...)
	return &gossip{out: out, host: h, pubsub: p, topics: make(map[string]*topic)}, err
}

// leafParameters want nobody in the mesh; what remains is the exchange of ids at each heartbeat.
func leafParameters() pubsub.GossipSubParams {
	p := pubsub.DefaultGossipSubParams()
	p.D, p.Dlo, p.Dhi, p.Dout, p.Dscore = 0, 0, 0, 0, 0
	return p
}

func (g *gossip) join(name string) (*topic, error) {
	if known, ok := g.topics[name]; ok {
		return known, nil
	}
	handle, err := g.pubsub.Join(name)
	if err != nil {
		return nil, err
	}
	g.topics[name] = &topic{handle: handle}
	return g.topics[name], nil
}

// subscribe listens to one topic, or to count of them, whose names get a number at the end.
func (g *gossip) subscribe(name string, count int) error {
	for number := range max(count, 1) {
		full := name
		if count > 0 {
			full = fmt.Sprintf("%s%d", name, number)
		}
		if err := g.listen(full); err != nil {
			return err
		}
	}
	g.out.say("subscribed", fields{"topic": name})
	return nil
}

func (g *gossip) listen(name string) error {
	t, err := g.join(name)
	if err != nil {
		return err
	}
	subscription, err := t.handle.Subscribe()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	t.stop = func() { stop(); subscription.Cancel() }
	go g.receive(ctx, name, subscription)
	return nil
}

func (g *gossip) unsubscribe(name string) error {
	t, ok := g.topics[name]
	if !ok || t.stop == nil {
		return fmt.Errorf("not subscribed to %q", name)
	}
	t.stop()
	delete(g.topics, name)
	g.out.say("unsubscribed", fields{"topic": name, "error": text(t.handle.Close())})
	return nil
}

// publish sends an event with a message, or any text in the place of an event.
func (g *gossip) publish(name string, message json.RawMessage, data *string) error {
	t, err := g.join(name)
	if err != nil {
		return err
	}
	said := fields{"topic": name}
	var raw []byte
	if data != nil {
		raw = []byte(*data)
	} else {
		made, err := newEvent(g.host.ID(), message)
		if err != nil {
			return err
		}
		if raw, err = json.Marshal(made); err != nil {
			return err
		}
		said["id"] = made.ID
	}
	said["bytes"] = len(raw)
	said["error"] = text(t.handle.Publish(context.Background(), raw))
	g.out.say("published", said)
	return nil
}

// receive says every message of others, as the handler of a Go node would get it.
func (g *gossip) receive(ctx context.Context, name string, subscription *pubsub.Subscription) {
	for {
		message, err := subscription.Next(ctx)
		if err != nil {
			return // unsubscribed
		}
		if message.ReceivedFrom == g.host.ID() {
			continue
		}
		digest := sha256.Sum256(message.Data)
		said := fields{
			"topic":     name,
			"author":    message.GetFrom().String(),
			"forwarder": message.ReceivedFrom.String(),
			"message":   hex.EncodeToString([]byte(pubsub.DefaultMsgIdFn(message.Message))),
			"bytes":     len(message.Data),
			"sha256":    hex.EncodeToString(digest[:]),
		}
		read, err := readEvent(message.Data, message.ReceivedFrom)
		if err != nil {
			said["reason"] = err.Error()
			g.out.say("dropped", said)
			continue
		}
		said["read"] = read
		g.out.say("message", said)
	}
}
