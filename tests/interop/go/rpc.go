package main

import (
	"encoding/hex"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of a GossipSub RPC. They are read by number, as the older library does not know IDONTWANT.
const (
	rpcSubscription protowire.Number = 1
	rpcPublish      protowire.Number = 2
	rpcControl      protowire.Number = 3

	controlIHave     protowire.Number = 1
	controlIWant     protowire.Number = 2
	controlGraft     protowire.Number = 3
	controlPrune     protowire.Number = 4
	controlIDontWant protowire.Number = 5

	pruneBackoff protowire.Number = 3
)

// field is one of a protobuf message: bytes or a number.
type field struct {
	bytes  []byte
	number uint64
}

// fieldsOf reads a message as far as it is well formed.
func fieldsOf(raw []byte) map[protowire.Number][]field {
	found := make(map[protowire.Number][]field)
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 {
			return found
		}
		raw = raw[n:]
		var one field
		switch kind {
		case protowire.BytesType:
			one.bytes, n = protowire.ConsumeBytes(raw)
		case protowire.VarintType:
			one.number, n = protowire.ConsumeVarint(raw)
		default:
			n = protowire.ConsumeFieldValue(number, kind, raw)
		}
		if n < 0 {
			return found
		}
		found[number] = append(found[number], one)
		raw = raw[n:]
	}
	return found
}

// describeRPC adds what an RPC holds: topics by name, message ids and messages in hexadecimal.
func describeRPC(raw []byte, said fields) fields {
	rpc := fieldsOf(raw)
	subscribe, unsubscribe := []string{}, []string{}
	for _, one := range rpc[rpcSubscription] {
		option := fieldsOf(one.bytes)
		for _, name := range option[2] {
			if len(option[1]) > 0 && option[1][0].number == 1 {
				subscribe = append(subscribe, string(name.bytes))
			} else {
				unsubscribe = append(unsubscribe, string(name.bytes))
			}
		}
	}
	publish := []string{}
	for _, one := range rpc[rpcPublish] {
		publish = append(publish, hex.EncodeToString(one.bytes))
	}
	said["subscribe"], said["unsubscribe"], said["publish"] = subscribe, unsubscribe, publish
	for _, control := range rpc[rpcControl] {
		describeControl(control.bytes, said)
	}
	return said
}

func describeControl(raw []byte, said fields) {
	control := fieldsOf(raw)
	said["ihave"] = idsOf(control[controlIHave], 2)
	said["iwant"] = idsOf(control[controlIWant], 1)
	said["idontwant"] = idsOf(control[controlIDontWant], 1)
	graft := []string{}
	for _, one := range control[controlGraft] {
		for _, name := range fieldsOf(one.bytes)[1] {
			graft = append(graft, string(name.bytes))
		}
	}
	prune := map[string]uint64{}
	for _, one := range control[controlPrune] {
		parts := fieldsOf(one.bytes)
		for _, name := range parts[1] {
			prune[string(name.bytes)] = 0
			for _, backoff := range parts[pruneBackoff] {
				prune[string(name.bytes)] = backoff.number
			}
		}
	}
	said["graft"], said["prune"] = graft, prune
}

func idsOf(entries []field, number protowire.Number) []string {
	ids := []string{}
	for _, entry := range entries {
		for _, id := range fieldsOf(entry.bytes)[number] {
			ids = append(ids, hex.EncodeToString(id.bytes))
		}
	}
	return ids
}
