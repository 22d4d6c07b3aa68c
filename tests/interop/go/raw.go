package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/encoding/protowire"
)

const longestFrame = 2 << 20

var meshsub = []protocol.ID{"/meshsub/1.2.0", "/meshsub/1.1.0", "/meshsub/1.0.0"}

// raw sends single RPCs, whatever sense they make, and says what comes back.
type raw struct {
	out     *output
	host    host.Host
	streams map[peer.ID]network.Stream
}

func newRaw(h host.Host, out *output) *raw {
	r := &raw{out: out, host: h, streams: make(map[peer.ID]network.Stream)}
	for _, one := range meshsub {
		h.SetStreamHandler(one, r.receive)
	}
	return r
}

// rpcOrder is an RPC as a command spells it: message ids and whole messages in hexadecimal.
type rpcOrder struct {
	Subscribe   []string          `json:"subscribe"`
	Unsubscribe []string          `json:"unsubscribe"`
	Publish     []string          `json:"publish"`
	IHave       []string          `json:"ihave"`
	Topic       string            `json:"topic"` // of the IHAVE
	IWant       []string          `json:"iwant"`
	Graft       []string          `json:"graft"`
	Prune       map[string]uint64 `json:"prune"` // topic and back-off in seconds
	IDontWant   []string          `json:"idontwant"`
}

func (r *raw) send(to string, order rpcOrder) error {
	id, err := peer.Decode(to)
	if err != nil {
		return err
	}
	frame, err := order.encode()
	if err != nil {
		return err
	}
	said := fields{"bytes": len(frame)}
	said["error"] = text(r.write(id, frame))
	r.out.say("sent", said)
	return nil
}

// write uses one stream a peer, as GossipSub does, and opens a new one when the last was reset.
func (r *raw) write(to peer.ID, rpc []byte) error {
	stream, ok := r.streams[to]
	if !ok {
		var err error
		if stream, err = r.host.NewStream(context.Background(), to, meshsub...); err != nil {
			return err
		}
		r.streams[to] = stream
	}
	_, err := stream.Write(append(protowire.AppendVarint(nil, uint64(len(rpc))), rpc...))
	if err != nil {
		delete(r.streams, to)
	}
	return err
}

func (r *raw) receive(stream network.Stream) {
	reader := bufio.NewReader(stream)
	from := stream.Conn().RemotePeer().String()
	r.out.say("stream", fields{"peer": from, "protocol": string(stream.Protocol())})
	for {
		frame, err := readFrame(reader)
		if err != nil {
			r.out.say("stream-closed", fields{"peer": from, "error": err.Error()})
			return
		}
		r.out.say("rpc", describeRPC(frame, fields{"way": "in", "peer": from, "frame": hex.EncodeToString(frame)}))
	}
}

func readFrame(reader *bufio.Reader) ([]byte, error) {
	size, err := binary.ReadUvarint(reader)
	if err != nil {
		return nil, err
	}
	if size > longestFrame {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	frame := make([]byte, size)
	_, err = io.ReadFull(reader, frame)
	return frame, err
}
