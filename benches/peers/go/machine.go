package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// credit is the number of received events, in memory that both processes see.
type credit struct{ counter *uint64 }

func openCredit(path string) (credit, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return credit{}, err
	}
	defer file.Close()
	if err := file.Truncate(8); err != nil {
		return credit{}, err
	}
	memory, err := syscall.Mmap(int(file.Fd()), 0, 8, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return credit{}, err
	}
	return credit{(*uint64)(unsafe.Pointer(&memory[0]))}, nil
}

func (c credit) received() uint64 { return atomic.LoadUint64(c.counter) }

func (c credit) set(received uint64) { atomic.StoreUint64(c.counter, received) }

const clockMonotonic = 1

// monotonic is CLOCK_MONOTONIC in nanoseconds, the same for all processes of the machine.
func monotonic() int64 {
	var now syscall.Timespec
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, clockMonotonic, uintptr(unsafe.Pointer(&now)), 0)
	return now.Nano()
}

// sleepUntil blocks the thread: the timers of the runtime are a millisecond wide.
func sleepUntil(instant int64) {
	for left := instant - monotonic(); left > 0; left = instant - monotonic() {
		pause := syscall.NsecToTimespec(left)
		_ = syscall.Nanosleep(&pause, nil)
	}
}

// usage is time and processor from an instant on.
type usage struct {
	at   time.Time
	used syscall.Rusage
}

func usageNow() usage {
	u := usage{at: time.Now()}
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u.used)
	return u
}

func (u usage) since(events uint64) fields {
	now := usageNow()
	seconds := now.at.Sub(u.at).Seconds()
	each := float64(max(events, 1))
	micros := func(used syscall.Rusage) int64 { return (used.Utime.Nano() + used.Stime.Nano()) / 1000 }
	return fields{
		"seconds":           seconds,
		"events_per_second": float64(events) / seconds,
		"cpu_us_per_event":  float64(micros(now.used)-micros(u.used)) / each,
		"waits_per_event":   float64(now.used.Nvcsw-u.used.Nvcsw) / each,
		"max_rss_kib":       peakKiB(),
	}
}

func peakKiB() int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(status), "\n") {
		if parts := strings.Fields(line); len(parts) > 1 && parts[0] == "VmHWM:" {
			peak, _ := strconv.Atoi(parts[1])
			return peak
		}
	}
	return 0
}
