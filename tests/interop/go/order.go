package main

import (
	"encoding/hex"

	"google.golang.org/protobuf/encoding/protowire"
)

// encode writes the RPC field by field, as the older library cannot write every field.
func (o rpcOrder) encode() ([]byte, error) {
	var rpc []byte
	for _, name := range o.Subscribe {
		rpc = appendMessage(rpc, rpcSubscription, subscription(name, 1))
	}
	for _, name := range o.Unsubscribe {
		rpc = appendMessage(rpc, rpcSubscription, subscription(name, 0))
	}
	for _, message := range o.Publish {
		raw, err := hex.DecodeString(message)
		if err != nil {
			return nil, err
		}
		rpc = appendMessage(rpc, rpcPublish, raw)
	}
	control, err := o.control()
	if err != nil || len(control) == 0 {
		return rpc, err
	}
	return appendMessage(rpc, rpcControl, control), nil
}

func (o rpcOrder) control() ([]byte, error) {
	var control []byte
	for _, list := range []struct {
		kind  protowire.Number
		ids   []string
		at    protowire.Number
		topic string
	}{
		{controlIHave, o.IHave, 2, o.Topic},
		{controlIWant, o.IWant, 1, ""},
		{controlIDontWant, o.IDontWant, 1, ""},
	} {
		if len(list.ids) == 0 {
			continue
		}
		var entry []byte
		if list.topic != "" {
			entry = appendMessage(entry, 1, []byte(list.topic))
		}
		for _, id := range list.ids {
			raw, err := hex.DecodeString(id)
			if err != nil {
				return nil, err
			}
			entry = appendMessage(entry, list.at, raw)
		}
		control = appendMessage(control, list.kind, entry)
	}
	for _, name := range o.Graft {
		control = appendMessage(control, controlGraft, appendMessage(nil, 1, []byte(name)))
	}
	for name, seconds := range o.Prune {
		entry := appendMessage(nil, 1, []byte(name))
		control = appendMessage(control, controlPrune, appendNumber(entry, pruneBackoff, seconds))
	}
	return control, nil
}

func subscription(name string, on uint64) []byte {
	return appendMessage(appendNumber(nil, 1, on), 2, []byte(name))
}

func appendMessage(to []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), value)
}

func appendNumber(to []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}
