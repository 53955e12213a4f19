package winrm

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// ProbeLimit bounds one Probe, whatever the network does.
const ProbeLimit = 5 * time.Second

// Reach is what a probe found at the endpoint.
type Reach int

const (
	// Unreachable: no connection came about, and nothing refused one either
	// (no route, time-out, unknown host).
	Unreachable Reach = iota
	// Closed: the connection was refused or reset: nobody listens.
	Closed
	// Silent: the connection was accepted and nothing came back. A forwarded
	// port answers like this for a guest that is off.
	Silent
	// Open: something answered in HTTP, if only with 401 or 405.
	Open
)

func (r Reach) String() string {
	switch r {
	case Closed:
		return "closed"
	case Silent:
		return "accepting connections without an answer"
	case Open:
		return "open"
	}
	return "unreachable"
}

// identify is the WS-Management Identify request (DSP0226, section 11): it
// needs no shell, and even its refusal proves that the service lives.
const identify = `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" ` +
	`xmlns:wsmid="http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd">` +
	`<s:Header/><s:Body><wsmid:Identify/></s:Body></s:Envelope>`

// Probe asks whether WinRM answers at host and port. It sends no credentials
// and takes at most ProbeLimit. Whether the port speaks TLS need not be known:
// port 5986 is asked in TLS first, any other in plain HTTP first, and the other
// way is tried when the first brought no HTTP answer. The error says why the
// answer is not Open; it is ctx's when ctx ended the probe.
func Probe(ctx context.Context, host string, port int) (Reach, error) {
	limited, cancel := context.WithTimeout(ctx, ProbeLimit)
	defer cancel()
	address := net.JoinHostPort(host, strconv.Itoa(port))
	first, second := ask, askTLS
	if port == 5986 {
		first, second = second, first
	}
	// Half of the time for each way: a plain service swallows a TLS greeting
	// without a word, and the other way round.
	half, cancelHalf := context.WithTimeout(limited, ProbeLimit/2)
	reach, err := first(half, address)
	cancelHalf()
	if reach == Silent && ctx.Err() == nil {
		reach, err = second(limited, address)
	}
	if ctx.Err() != nil {
		return Unreachable, ctx.Err()
	}
	if err != nil {
		return reach, fmt.Errorf("asking WinRM at %s: %w", address, err)
	}
	return reach, nil
}

// Refused says whether an error of a connection means that the machine is there and
// nothing listens.
func Refused(err error) bool { return refused(err) }

func ask(ctx context.Context, address string) (Reach, error) { return talk(ctx, address, nil) }

func askTLS(ctx context.Context, address string) (Reach, error) {
	// Nothing secret is sent and nothing received is believed, so the guest's
	// self-signed certificate is as good as any.
	return talk(ctx, address, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10})
}

func talk(ctx context.Context, address string, secure *tls.Config) (Reach, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		if refused(err) {
			return Closed, err
		}
		return Unreachable, err
	}
	defer conn.Close()
	// Closing is what ends a read when ctx ends; the deadline alone would miss a cancel.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if secure != nil {
		session := tls.Client(conn, secure)
		if err := session.HandshakeContext(ctx); err != nil {
			return Silent, fmt.Errorf("greeting in TLS: %w", err)
		}
		conn = session
	}
	request := "POST /wsman HTTP/1.1\r\nHost: " + address + "\r\nContent-Type: application/soap+xml;charset=UTF-8\r\n" +
		"WSMANIDENTIFY: unauthenticated\r\nConnection: close\r\nContent-Length: " + strconv.Itoa(len(identify)) + "\r\n\r\n" + identify
	if _, err := conn.Write([]byte(request)); err != nil {
		return Silent, err
	}
	// The status line is enough; a foreign service must not make us read on.
	line, err := bufio.NewReaderSize(conn, 256).ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		return Silent, err
	}
	if !strings.HasPrefix(string(line), "HTTP/") {
		return Silent, errors.New("the answer is not HTTP")
	}
	return Open, nil
}
