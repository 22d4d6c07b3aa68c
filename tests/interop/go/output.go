package main

import (
	"encoding/json"
	"log"
	"sync"
)

type fields map[string]any

// output writes whole lines, from any goroutine.
type output struct {
	mutex   sync.Mutex
	encoder *json.Encoder
}

func (o *output) say(event string, fields fields) {
	fields["event"] = event
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if err := o.encoder.Encode(fields); err != nil {
		log.Fatal(err) // nobody listens any more
	}
}

// text is what a line says about an error, nil without one.
func text(err error) any {
	if err == nil {
		return nil
	}
	return err.Error()
}
