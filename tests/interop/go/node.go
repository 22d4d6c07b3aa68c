package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p-kad-dht/dual"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// node is one host and what runs on it.
type node struct {
	out    *output
	host   host.Host
	gate   *gate
	gossip *gossip
	raw    *raw
	dht    *dual.DHT
}

func newNode(ctx context.Context, o options, out *output) (*node, error) {
	n := &node{out: out, gate: newGate(out)}
	if o.gate != "" {
		n.gate.admit(strings.Split(o.gate, ","))
	}
	settings, err := n.settings(o)
	if err != nil {
		return nil, err
	}
	if n.host, err = libp2p.New(settings...); err != nil {
		return nil, err
	}
	n.host.Network().Notify(&network.NotifyBundle{ConnectedF: n.connected, DisconnectedF: n.disconnected})
	if n.dht, err = dual.New(ctx, n.host); err != nil {
		return nil, err
	}
	if o.raw {
		n.raw = newRaw(n.host, out)
		return n, nil
	}
	n.gossip, err = newGossip(ctx, n.host, out, o.gossip)
	return n, err
}

// settings are those of the Go library, save that no router is asked to map a port: tests stay on this machine.
func (n *node) settings(o options) ([]libp2p.Option, error) {
	key, err := keyFrom(o.key)
	if err != nil {
		return nil, err
	}
	manager, err := connmgr.NewConnManager(100, 400, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, err
	}
	settings := []libp2p.Option{
		libp2p.Identity(key),
		libp2p.ListenAddrStrings(strings.Split(o.listen, ",")...),
		libp2p.Transport(quic.NewTransport),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.ConnectionManager(manager),
		libp2p.ConnectionGater(n.gate),
	}
	settings = append(settings, o.nat.settings()...)
	switch o.security {
	case "":
	case "noise":
		settings = append(settings, libp2p.Security(noise.ID, noise.New))
	case "tls":
		settings = append(settings, libp2p.Security(libp2ptls.ID, libp2ptls.New))
	default:
		return nil, fmt.Errorf("security is noise or tls, not %q", o.security)
	}
	return settings, nil
}

func (n *node) addresses() []string {
	addresses := []string{}
	for _, address := range n.host.Addrs() {
		addresses = append(addresses, fmt.Sprintf("%s/p2p/%s", address, n.host.ID()))
	}
	return addresses
}

func (n *node) connected(_ network.Network, c network.Conn) {
	n.out.say("connected", n.describe(c))
}

func (n *node) disconnected(_ network.Network, c network.Conn) {
	n.out.say("disconnected", n.describe(c))
}

func (n *node) describe(c network.Conn) fields {
	state := c.ConnState()
	return fields{
		"peer":      c.RemotePeer().String(),
		"direction": c.Stat().Direction.String(),
		"transport": state.Transport,
		"security":  string(state.Security),
		"address":   c.RemoteMultiaddr().String(),
		"open":      len(n.host.Network().ConnsToPeer(c.RemotePeer())),
	}
}

// dial connects, at a moment in Unix milliseconds if one is given, and says when it is through with identify.
func (n *node) dial(addresses []string, at int64) {
	time.Sleep(time.Until(time.UnixMilli(at))) // at once without one
	started := time.Now()
	err := n.connect(addresses)
	n.out.say("dialled", fields{
		"addresses": addresses,
		"error":     text(err),
		"ms":        float64(time.Since(started).Microseconds()) / 1e3,
	})
}

func (n *node) connect(addresses []string) error {
	to, err := addrInfo(addresses)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return n.host.Connect(ctx, to)
}
