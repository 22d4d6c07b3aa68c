package main

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gate asks at the same three places as the Go library: before a dial, and after the handshake in both directions.
type gate struct {
	out     *output
	mutex   sync.Mutex
	open    bool
	wallets map[string]bool
}

func newGate(out *output) *gate { return &gate{out: out, open: true} }

// admit lets these wallets in from now on, and nobody else.
func (g *gate) admit(wallets []string) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.open, g.wallets = false, make(map[string]bool, len(wallets))
	for _, wallet := range wallets {
		g.wallets[wallet] = true
	}
}

func (g *gate) allows(id peer.ID, where string) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.open {
		return true
	}
	wallet, err := walletOf(id)
	allowed := err == nil && g.wallets[wallet]
	if !allowed {
		g.out.say("blocked", fields{"peer": id.String(), "where": where})
	}
	return allowed
}

func (g *gate) InterceptPeerDial(id peer.ID) bool { return g.allows(id, "dial") }

func (g *gate) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }

func (g *gate) InterceptAccept(network.ConnMultiaddrs) bool { return true }

func (g *gate) InterceptSecured(direction network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return g.allows(id, direction.String())
}

func (g *gate) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
