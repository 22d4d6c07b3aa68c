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
	searchInterval = 2 * time.Second
	searchLimit    = 100
	newEachSearch  = 5
)

func namespace(database string) string { return "p2p-database-discovery_" + database }

// rendezvous advertises and searches a database for as long as the node runs, as often as the Go library does. Its leak,
// one more advertiser with every round, is left out: one renews the record by itself.
func (n *node) rendezvous(database string) error {
	ctx := context.Background()
	if err := n.dht.Bootstrap(ctx); err != nil {
		return err
	}
	finder := routing.NewRoutingDiscovery(n.dht)
	util.Advertise(ctx, finder, namespace(database))
	go func() {
		for range time.Tick(searchInterval) {
			n.search(ctx, finder, database)
		}
	}()
	n.out.say("rendezvous", fields{"database": database})
	return nil
}

func (n *node) search(ctx context.Context, finder discovery.Discoverer, database string) {
	found, err := finder.FindPeers(ctx, namespace(database), discovery.Limit(searchLimit))
	if err != nil {
		n.out.say("search-failed", fields{"error": err.Error()})
		return
	}
	left := newEachSearch
	for one := range found {
		if left == 0 || one.ID == n.host.ID() || n.host.Network().Connectedness(one.ID) == network.Connected {
			continue
		}
		if n.meet(ctx, one) {
			left--
		}
	}
}

func (n *node) meet(ctx context.Context, found peer.AddrInfo) bool {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := n.host.Connect(ctx, found)
	n.out.say("found", fields{"peer": found.ID.String(), "error": text(err)})
	return err == nil
}
