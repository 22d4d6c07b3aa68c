package main

import (
	"encoding/json"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
)

// command is one line of standard input; which fields count depends on its name.
type command struct {
	Cmd       string          `json:"cmd"`
	Addresses []string        `json:"addresses"`
	At        int64           `json:"at"`
	Count     int             `json:"count"`
	Data      *string         `json:"data"`
	Database  string          `json:"database"`
	Message   json.RawMessage `json:"message"`
	Names     []string        `json:"names"`
	Peer      string          `json:"peer"`
	RPC       rpcOrder        `json:"rpc"`
	Secrets   []string        `json:"secrets"`
	Signed    signOrder       `json:"signed"`
	Topic     string          `json:"topic"`
	Wallets   []string        `json:"wallets"`
}

// obey does what a line says. Only a line that makes no sense is an error; what goes wrong on the network is said.
func (n *node) obey(line []byte) error {
	var c command
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	switch c.Cmd {
	case "dial":
		go n.dial(c.Addresses, c.At)
	case "hang-up":
		id, err := peer.Decode(c.Peer)
		if err != nil {
			return err
		}
		n.out.say("hung-up", fields{"error": text(n.host.Network().ClosePeer(id))})
	case "connections":
		connections := []fields{}
		for _, one := range n.host.Network().Conns() {
			connections = append(connections, n.describe(one))
		}
		n.out.say("connections", fields{"connections": connections})
	case "protocols":
		n.out.say("protocols", fields{"protocols": n.host.Mux().Protocols()})
	case "gate":
		n.gate.admit(c.Wallets)
		n.out.say("gate", fields{"wallets": len(c.Wallets)})
	case "reserve":
		return n.reserve(c.Addresses)
	case "rendezvous":
		return n.rendezvous(c.Database)
	case "tables":
		n.out.say("tables", fields{"lan": n.dht.LAN.RoutingTable().Size(), "wan": n.dht.WAN.RoutingTable().Size()})
	case "identities", "provider-keys", "sign":
		return n.vectors(c)
	case "rpc":
		return n.raw.send(c.Peer, c.RPC)
	default:
		return n.gossip.obey(c)
	}
	return nil
}

func (g *gossip) obey(c command) error {
	switch c.Cmd {
	case "subscribe":
		return g.subscribe(c.Topic, c.Count)
	case "unsubscribe":
		return g.unsubscribe(c.Topic)
	case "publish":
		return g.publish(c.Topic, c.Message, c.Data)
	case "topic-peers":
		peers := []string{}
		for _, id := range g.pubsub.ListPeers(c.Topic) {
			peers = append(peers, id.String())
		}
		g.out.say("topic-peers", fields{"topic": c.Topic, "peers": peers})
	default:
		return fmt.Errorf("there is no command %q", c.Cmd)
	}
	return nil
}
