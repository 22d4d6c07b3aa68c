// A node of the Go side of the network: go-libp2p, GossipSub and the Kademlia tables with the settings of the Go library
// (docs/wire.md), told what to do by JSON lines on standard input and saying what it sees by JSON lines on standard output.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

const longestLine = 4 << 20

// options are what has to be known before the host stands.
type options struct {
	key      string
	listen   string
	security string
	gate     string
	gossip   gossipOptions
	raw      bool
	nat      natOptions
}

func main() {
	log.SetFlags(0)
	var o options
	flag.StringVar(&o.key, "key", "", "secret key, 64 bytes in Base58; a fresh one when empty")
	flag.StringVar(&o.listen, "listen", "/ip4/127.0.0.1/udp/0/quic-v1,/ip4/127.0.0.1/tcp/0", "addresses to listen on")
	flag.StringVar(&o.security, "security", "", "noise or tls alone on TCP; both, in the order of the library, when empty")
	flag.StringVar(&o.gate, "gate", "", "wallets that may connect; anybody when empty")
	flag.BoolVar(&o.gossip.leaf, "leaf", false, "stay out of every mesh: messages come and go by IHAVE and IWANT alone")
	flag.BoolVar(&o.gossip.trace, "trace", false, "say what every RPC holds")
	flag.BoolVar(&o.raw, "raw", false, "no GossipSub of its own: RPCs are sent as told, and said when they come")
	flag.BoolVar(&o.nat.public, "public", false, "know from the start that everybody can dial us, and so serve the WAN table")
	flag.BoolVar(&o.nat.relay, "relay", false, "be a relay without limits, when we are public")
	flag.BoolVar(&o.nat.punch, "hole-punching", false, "know that nobody can dial us, and punch holes into the router")
	if autonatV2 != nil {
		flag.BoolVar(&o.nat.autonatV2, "autonat-v2", false, "answer whether others can be reached by AutoNAT v2, not v1")
	}
	flag.Parse()

	out := &output{encoder: json.NewEncoder(os.Stdout)}
	node, err := newNode(context.Background(), o, out)
	if err != nil {
		log.Fatal(err)
	}
	out.say("started", fields{
		"peer_id":   node.host.ID().String(),
		"addresses": node.addresses(),
		"versions":  versions(),
	})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, longestLine)
	for lines.Scan() {
		if err := node.obey(lines.Bytes()); err != nil {
			log.Fatalf("%.200s: %v", lines.Text(), err)
		}
	}
}

// versions are those that were linked, whatever a file says.
func versions() map[string]string {
	found := map[string]string{"go": strings.TrimPrefix(runtime.Version(), "go")}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, module := range info.Deps {
		if name, ours := strings.CutPrefix(module.Path, "github.com/libp2p/go-libp2p"); ours {
			switch name {
			case "", "-pubsub", "-kad-dht":
				found["go-libp2p"+name] = strings.TrimPrefix(module.Version, "v")
			}
		}
	}
	return found
}
