package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/mr-tron/base58"
)

// A wallet stands in a peer id behind the multihash and protobuf headers of an Ed25519 key.
const walletStart, peerIDSize = 6, 38

var errNoWallet = errors.New("the peer id has no Ed25519 key in it")

func keyFrom(secret string) (crypto.PrivKey, error) {
	if secret == "" {
		key, _, err := crypto.GenerateEd25519Key(nil)
		return key, err
	}
	raw, err := base58.Decode(secret)
	if err != nil {
		return nil, err
	}
	if len(raw) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("a key has %d bytes, not %d", ed25519.PrivateKeySize, len(raw))
	}
	return crypto.UnmarshalEd25519PrivateKey(raw)
}

func walletOf(id peer.ID) (string, error) {
	raw := []byte(id)
	if len(raw) != peerIDSize {
		return "", errNoWallet
	}
	return base58.Encode(raw[walletStart:]), nil
}
