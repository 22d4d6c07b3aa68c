package main

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p-kad-dht/dual"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const topicName = "bench_events"

type node struct {
	host  host.Host
	topic *pubsub.Topic
}

// newNode has the settings of the Go library, save that it does not ask a router to map a port.
func newNode(ctx context.Context, transport string) (*node, error) {
	manager, err := connmgr.NewConnManager(100, 400, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, err
	}
	listen := "/ip4/127.0.0.1/udp/0/quic-v1"
	if transport == "tcp" {
		listen = "/ip4/127.0.0.1/tcp/0"
	}
	h, err := libp2p.New(
		libp2p.ListenAddrStrings(listen),
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.EnableRelay(),
		libp2p.ConnectionManager(manager),
		libp2p.EnableNATService(),
	)
	if err != nil {
		return nil, err
	}
	if _, err = dual.New(ctx, h); err != nil {
		return nil, err
	}
	gossip, err := pubsub.NewGossipSub(ctx, h)
	if err != nil {
		return nil, err
	}
	topic, err := gossip.Join(topicName)
	return &node{host: h, topic: topic}, err
}

func (n *node) address() string {
	return fmt.Sprintf("%s/p2p/%s", n.host.Addrs()[0], n.host.ID())
}

// join dials and waits until the receiver is known to listen; earlier events would go nowhere.
func (n *node) join(ctx context.Context, address string) error {
	to, err := peer.AddrInfoFromString(address)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := n.host.Connect(ctx, *to); err != nil {
		return err
	}
	say("connected", fields{"ms": float64(time.Since(began).Microseconds()) / 1e3})
	for len(n.topic.ListPeers()) == 0 {
		time.Sleep(time.Millisecond)
	}
	return nil
}
