package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"
)

// event is the envelope of docs/wire.md section 3, written and read by encoding/json as every Go node does.
type event struct {
	ID        string `json:"id"`
	FromPeer  string `json:"from_peer"`
	Message   any    `json:"message"`
	Timestamp int64  `json:"timestamp"`
}

// newEvent wraps any JSON value; its numbers stay as they were written.
func newEvent(author peer.ID, message json.RawMessage) (event, error) {
	var value any
	decoder := json.NewDecoder(bytes.NewReader(message))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return event{}, err
	}
	return event{uuid.NewString(), author.String(), value, time.Now().Unix()}, nil
}

// readEvent gives what a handler of a Go node would get, integers above 2^53 rounded.
func readEvent(data []byte, forwarder peer.ID) (event, error) {
	var read event
	if err := json.Unmarshal(data, &read); err != nil {
		return event{}, err
	}
	if read.ID == "" {
		return event{}, errors.New("empty id")
	}
	if read.FromPeer == "" {
		read.FromPeer = forwarder.String()
	}
	return read, nil
}
