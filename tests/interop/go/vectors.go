package main

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/ipfs/go-cid"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"google.golang.org/protobuf/encoding/protowire"
)

// signOrder is a message to be made by hand, as the library chooses sequence numbers by itself.
type signOrder struct {
	Secret string `json:"secret"`
	From   string `json:"from"` // the peer id of the secret when empty
	Topic  string `json:"topic"`
	Seqno  string `json:"seqno"` // hexadecimal
	Data   string `json:"data"`
}

// vectors says what the Go libraries make of the values that docs/wire.md gives vectors for.
func (n *node) vectors(c command) error {
	switch c.Cmd {
	case "identities":
		return n.identities(c.Secrets)
	case "provider-keys":
		return n.providerKeys(c.Names)
	default:
		return n.sign(c.Signed)
	}
}

func (n *node) identities(secrets []string) error {
	peers, wallets := []string{}, []string{}
	for _, secret := range secrets {
		key, err := keyFrom(secret)
		if err != nil {
			return err
		}
		id, err := peer.IDFromPrivateKey(key)
		if err != nil {
			return err
		}
		wallet, err := walletOf(id)
		if err != nil {
			return err
		}
		peers, wallets = append(peers, id.String()), append(wallets, wallet)
	}
	n.out.say("identities", fields{"peers": peers, "wallets": wallets})
	return nil
}

func (n *node) providerKeys(databases []string) error {
	keys, cids := []string{}, []string{}
	for _, database := range databases {
		hash, err := multihash.Sum([]byte(namespace(database)), multihash.SHA2_256, -1)
		if err != nil {
			return err
		}
		keys, cids = append(keys, hash.HexString()), append(cids, cid.NewCidV1(cid.Raw, hash).String())
	}
	n.out.say("provider-keys", fields{"multihashes": keys, "cids": cids})
	return nil
}

func (n *node) sign(order signOrder) error {
	key, err := keyFrom(order.Secret)
	if err != nil {
		return err
	}
	author, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return err
	}
	if order.From != "" {
		if author, err = peer.Decode(order.From); err != nil {
			return err
		}
	}
	seqno, err := hex.DecodeString(order.Seqno)
	if err != nil {
		return err
	}
	message := &pb.Message{From: []byte(author), Data: []byte(order.Data), Seqno: seqno, Topic: &order.Topic}
	unsigned, err := message.Marshal()
	if err != nil {
		return err
	}
	if message.Signature, err = key.Sign(append([]byte(pubsub.SignPrefix), unsigned...)); err != nil {
		return err
	}
	signed, err := message.Marshal()
	if err != nil {
		return err
	}
	rpc, err := (&pb.RPC{Publish: []*pb.Message{message}}).Marshal()
	if err != nil {
		return err
	}
	frame := append(protowire.AppendVarint(nil, uint64(len(rpc))), rpc...)
	digest := sha256.Sum256(frame)
	n.out.say("signed", fields{
		"unsigned":  hex.EncodeToString(unsigned),
		"message":   hex.EncodeToString(signed),
		"signature": hex.EncodeToString(message.Signature),
		"id":        hex.EncodeToString([]byte(pubsub.DefaultMsgIdFn(message))),
		"frame":     hex.EncodeToString(frame),
		"sha256":    hex.EncodeToString(digest[:]),
	})
	return nil
}
