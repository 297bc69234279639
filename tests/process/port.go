package process

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort is a port of 127.0.0.1 that nobody listens on. It lies below those that systems hand out by
// themselves: a process that is away for a moment does not find its port taken by an outgoing connection.
func FreePort() (int, error) {
	const low, high, tries = 12000, 30000, 1000
	for range tries {
		port := low + rand.IntN(high-low)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", low, high)
}
