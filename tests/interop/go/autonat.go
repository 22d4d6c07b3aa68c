//go:build autonatv2

package main

import "github.com/libp2p/go-libp2p"

func init() { autonatV2 = libp2p.EnableAutoNATv2 }
