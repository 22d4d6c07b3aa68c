package main

import (
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// tracer says what GossipSub does that its interface does not tell.
type tracer struct {
	out  *output
	rpcs bool
}

func (t *tracer) AddPeer(id peer.ID, spoken protocol.ID) {
	t.out.say("gossip-peer", fields{"peer": id.String(), "protocol": string(spoken)})
}

func (t *tracer) Graft(id peer.ID, topic string) {
	t.out.say("graft", fields{"peer": id.String(), "topic": topic})
}

func (t *tracer) Prune(id peer.ID, topic string) {
	t.out.say("prune", fields{"peer": id.String(), "topic": topic})
}

func (t *tracer) RejectMessage(message *pubsub.Message, reason string) {
	t.out.say("rejected", fields{"reason": reason, "forwarder": message.ReceivedFrom.String()})
}

func (t *tracer) DuplicateMessage(message *pubsub.Message) {
	t.out.say("duplicate", fields{"forwarder": message.ReceivedFrom.String()})
}

func (t *tracer) UndeliverableMessage(*pubsub.Message) { t.out.say("overflow", fields{}) }

func (t *tracer) DropRPC(_ *pubsub.RPC, id peer.ID) {
	t.out.say("rpc-dropped", fields{"peer": id.String()})
}

func (t *tracer) RecvRPC(rpc *pubsub.RPC) {
	if !t.rpcs {
		return
	}
	if raw, err := rpc.RPC.Marshal(); err == nil {
		t.out.say("rpc", describeRPC(raw, fields{"way": "in"}))
	}
}

func (t *tracer) SendRPC(rpc *pubsub.RPC, id peer.ID) {
	if !t.rpcs {
		return
	}
	if raw, err := rpc.RPC.Marshal(); err == nil {
		t.out.say("rpc", describeRPC(raw, fields{"way": "out", "peer": id.String()}))
	}
}

func (*tracer) RemovePeer(peer.ID) {}

func (*tracer) Join(string) {}

func (*tracer) Leave(string) {}

func (*tracer) ValidateMessage(*pubsub.Message) {}

func (*tracer) DeliverMessage(*pubsub.Message) {}

func (*tracer) ThrottlePeer(peer.ID) {}
