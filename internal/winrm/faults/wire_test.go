package faults

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// counter counts what a client asks of a guest: requests, and connections that
// brought none.
type counter struct {
	asked atomic.Int32
	tls   bool
}

// dial is winrm.Config's. Over TLS requests cannot be seen: connections count.
func (c *counter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil || c.tls {
		c.asked.Add(1)
	}
	if err != nil {
		return nil, err
	}
	return counted{conn, c}, nil
}

type counted struct {
	net.Conn
	c *counter
}

// Write is part of net.Conn: the client writes a request at once.
func (c counted) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("POST ")) {
		c.c.asked.Add(1)
	}
	return c.Conn.Write(p)
}

// link is a network that is slow, or loses segments. It stands before TCP and can
// lose nothing of what TCP has taken, so a lost segment is a stall of a whole
// retransmission time-out (RFC 6298; Linux and Windows wait 200 to 300 ms at
// least). That is the worst case: most losses inside a stream are noticed by what
// arrives after them, and cost one round trip.
type link struct {
	delay time.Duration // one way
	lose  int           // every so many segments one is lost; 0: none
}

const (
	segment    = 1448 // bytes, Ethernet's MTU without headers
	retransmit = 200 * time.Millisecond
)

// parcel is what was read, and when it is to be there.
type parcel struct {
	data []byte
	due  time.Time
}

// serve passes connections on to a guest until the end of the test.
func (k link) serve(t testing.TB, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var segments atomic.Int64
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			all.Go(func() { k.pass(in, out, &segments) })
			all.Go(func() { k.pass(out, in, &segments) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		all.Wait()
	})
	return l.Addr().String()
}

// pass copies one direction of a connection, and ends both with it.
func (k link) pass(from, to net.Conn, segments *atomic.Int64) {
	parcels := make(chan parcel, 1024)
	go func() {
		defer close(parcels)
		for {
			data := make([]byte, 64*1024)
			n, err := from.Read(data)
			if n > 0 {
				parcels <- parcel{data[:n], time.Now().Add(k.delay)}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range parcels {
		time.Sleep(time.Until(p.due) + k.stall(len(p.data), segments))
		if _, err := to.Write(p.data); err != nil {
			break
		}
	}
	from.Close()
	to.Close()
	for range parcels { // what was on its way is lost
		continue
	}
}

// stall is what the losses of n bytes cost. The third segment is the first that is
// lost, so that every exchange has one.
func (k link) stall(n int, segments *atomic.Int64) time.Duration {
	if k.lose == 0 {
		return 0
	}
	const first = 3
	more := int64((n + segment - 1) / segment)
	lost := func(s int64) int64 { return (s + int64(k.lose) - first) / int64(k.lose) }
	after := segments.Add(more)
	return time.Duration(lost(after)-lost(after-more)) * retransmit
}
