package storetest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// FreePorts returns n ports of 127.0.0.1 that nobody listens on. They lie below those that systems hand out by
// themselves: where a server is away for a moment, the clients that look for it would be given its own port to look
// from.
func FreePorts(n int) ([]int, error) { return FreePortsAt(loopback, n) }

// FreePort is a port as FreePorts finds them.
func FreePort(t testing.TB) int {
	t.Helper()
	ports, err := FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	return ports[0]
}

// FreePortsAt is FreePorts for another address of this machine.
func FreePortsAt(host string, n int) ([]int, error) {
	const low, high, tries = 12000, 30000, 1000
	var ports []int
	for range tries {
		port := low + rand.IntN(high-low)
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer l.Close() // at the end, so that no port comes twice
		if ports = append(ports, port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports between %d and %d", n, low, high)
}
