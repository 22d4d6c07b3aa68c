package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/libp2p/go-libp2p/core/peer"
)

type message struct {
	T   int64  `json:"t"`
	N   uint64 `json:"n"`
	Pad string `json:"pad"`
}

type event struct {
	ID        string `json:"id"`
	FromPeer  string `json:"from_peer"`
	Message   any    `json:"message"`
	Timestamp int64  `json:"timestamp"`
}

// writer writes events of an exact size.
type writer struct {
	author string
	size   int
	bare   int // bytes without padding and numbers
}

func newWriter(author peer.ID, size int) (*writer, error) {
	w := &writer{author: author.String(), size: size}
	empty, err := w.event(message{})
	w.bare = len(empty) - len("00")
	return w, err
}

// write gives the event number n, due at t of the monotonic clock.
func (w *writer) write(n uint64, t int64) ([]byte, error) {
	digits := len(strconv.FormatUint(n, 10)) + len(strconv.FormatInt(t, 10))
	return w.event(message{T: t, N: n, Pad: strings.Repeat("x", max(0, w.size-w.bare-digits))})
}

func (w *writer) event(m message) ([]byte, error) {
	return json.Marshal(event{uuid.NewString(), w.author, m, time.Now().Unix()})
}

// due reads an event as the handler of a Go node gets it, and gives the instant for which it was scheduled.
func due(data []byte) (int64, error) {
	var read event
	if err := json.Unmarshal(data, &read); err != nil {
		return 0, err
	}
	values, ok := read.Message.(map[string]any)
	if !ok {
		return 0, fmt.Errorf("a message of another make: %.80s", data)
	}
	t, _ := values["t"].(float64)
	return int64(t), nil
}
