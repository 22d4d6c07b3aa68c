package main

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
)

// natOptions are what a node of the Go library leaves at its default, save that it uses relays as well.
type natOptions struct {
	public bool
	relay  bool
	punch  bool
	// answers, by version 2 of the protocol alone, whether others can be reached
	autonatV2 bool
}

// autonatV2 is nil where the library has no such thing: autonat.go sets it.
var autonatV2 func() libp2p.Option

func (o natOptions) settings() []libp2p.Option {
	settings := []libp2p.Option{libp2p.EnableRelay()}
	if o.autonatV2 {
		settings = append(settings, autonatV2())
	} else {
		settings = append(settings, libp2p.EnableNATService())
	}
	if o.public {
		settings = append(settings, libp2p.ForceReachabilityPublic())
	}
	if o.relay {
		settings = append(settings, libp2p.EnableRelayService(relay.WithInfiniteLimits()))
	}
	if o.punch {
		identify.ActivationThresh = 1 // observers of an address before it counts; a test has one, the relay
		settings = append(settings, libp2p.EnableHolePunching(), libp2p.ForceReachabilityPrivate())
	}
	return settings
}

// reserve lets others reach the node through a relay for as long as it is connected with it.
func (n *node) reserve(addresses []string) error {
	to, err := addrInfo(addresses)
	if err != nil {
		return err
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		said := fields{"relay": to.ID.String()}
		reservation, err := client.Reserve(ctx, n.host, to)
		if err == nil {
			said["limited"] = reservation.LimitData != 0 || reservation.LimitDuration != 0
		}
		said["error"] = text(err)
		n.out.say("reserved", said)
	}()
	return nil
}

// addrInfo gathers addresses of one peer, each of which ends in its id.
func addrInfo(addresses []string) (peer.AddrInfo, error) {
	var to peer.AddrInfo
	for _, address := range addresses {
		one, err := peer.AddrInfoFromString(address)
		if err != nil {
			return to, err
		}
		to.ID = one.ID
		to.Addrs = append(to.Addrs, one.Addrs...)
	}
	return to, nil
}
