package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	routing "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	"github.com/libp2p/go-libp2p/p2p/discovery/util"
)

const (
	round        = 2 * time.Second
	newEachRound = 5
)

func namespace(database string) string { return "p2p-database-discovery_" + database }

// rendezvous advertises and searches a database for as long as the node runs, as often as the Go library does, and like
// it leaves one more endless advertiser behind with every round: a first one that found an empty table is not the last.
func (n *node) rendezvous(database string) error {
	ctx := context.Background()
	if err := n.dht.Bootstrap(ctx); err != nil {
		return err
	}
	finder := routing.NewRoutingDiscovery(n.dht)
	go func() {
		for tick := time.Tick(round); ; <-tick {
			util.Advertise(ctx, finder, namespace(database))
		}
	}()
	go func() {
		for tick := time.Tick(round); ; <-tick {
			n.search(ctx, finder, database)
		}
	}()
	n.out.say("rendezvous", fields{"database": database})
	return nil
}

// search returns when the tables have answered; it does not wait for its dials.
func (n *node) search(ctx context.Context, finder discovery.Discoverer, database string) {
	found, err := util.FindPeers(ctx, finder, namespace(database))
	if err != nil {
		n.out.say("search-failed", fields{"error": err.Error()})
		return
	}
	go n.meet(ctx, found)
}

func (n *node) meet(ctx context.Context, found []peer.AddrInfo) {
	left := newEachRound
	for _, one := range found {
		if left == 0 {
			return
		}
		if one.ID == n.host.ID() || n.host.Network().Connectedness(one.ID) == network.Connected {
			continue
		}
		dialling, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := n.host.Connect(dialling, one)
		cancel()
		n.out.say("found", fields{"peer": one.ID.String(), "error": text(err)})
		if err == nil {
			left--
		}
	}
}
