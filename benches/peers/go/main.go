// The Go side of the benches: go-libp2p, GossipSub and the Kademlia tables with the settings and the versions of the Go
// library, and its event, which encoding/json writes and reads. The command line and the lines that it says are those of
// the raw peer: see benches/raw/src/main.rs.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

type options struct {
	transport string
	credit    string
	address   string
	count     uint64
	warmup    uint64
	size      int
	window    uint64
	rate      uint64
	seconds   float64
	linger    float64
	latency   bool
}

type fields map[string]any

var output = json.NewEncoder(os.Stdout)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("the command is recv or send")
	}
	var o options
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	flags.StringVar(&o.transport, "transport", "quic", "quic or tcp")
	flags.StringVar(&o.credit, "credit", "", "file with the number of received events")
	flags.StringVar(&o.address, "address", "", "where the receiver listens")
	flags.Uint64Var(&o.count, "count", 0, "events")
	flags.Uint64Var(&o.warmup, "warmup", 0, "events before those that count")
	flags.IntVar(&o.size, "size", 200, "bytes of an event")
	flags.Uint64Var(&o.window, "window", 24, "events beyond what the receiver has")
	flags.Uint64Var(&o.rate, "rate", 0, "events a second, on a schedule")
	flags.Float64Var(&o.seconds, "seconds", 0, "length of the schedule")
	flags.Float64Var(&o.linger, "linger", 0, "seconds to stay connected after the result")
	flags.BoolVar(&o.latency, "latency", false, "measure latencies")
	if err := flags.Parse(os.Args[2:]); err != nil {
		log.Fatal(err)
	}
	if err := run(os.Args[1], o); err != nil {
		say("failed", fields{"error": err.Error()})
		os.Exit(1)
	}
}

func run(role string, o options) error {
	ctx := context.Background()
	c, err := openCredit(o.credit)
	if err != nil {
		return err
	}
	n, err := newNode(ctx, o.transport)
	if err != nil {
		return err
	}
	if role == "recv" {
		err = receive(ctx, n, o, c)
	} else {
		err = send(ctx, n, o, c)
	}
	time.Sleep(time.Duration(o.linger * float64(time.Second)))
	return err
}

func say(event string, said fields) {
	said["event"] = event
	if err := output.Encode(said); err != nil {
		log.Fatal(err)
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
