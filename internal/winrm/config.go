package winrm

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lockout"
)

// Auth is how a Client proves who it is.
type Auth int

// The ways to prove it.
const (
	// AuthNegotiate takes what the service offers: NTLM where it offers
	// Negotiate, otherwise Basic if that does not cross the network in the
	// clear. Kerberos and CredSSP are not spoken: ErrNotOffered says so where a
	// service has nothing else.
	AuthNegotiate Auth = iota
	// AuthNTLM is NTLMv2 in the scheme Negotiate (MS-NLMP): over HTTP every
	// message is sealed, over HTTPS it is bound to the certificate (RFC 5929).
	AuthNTLM
	// AuthBasic sends the password with every request.
	AuthBasic
	// AuthCertificate is a client certificate that Windows maps to a local
	// account, over HTTPS only.
	AuthCertificate
)

// Config says where a WinRM service is and how it is spoken to. It can be
// printed: what is secret in it shows as hidden.
type Config struct {
	Host string
	Port int  // 0: 5985, and 5986 with TLS
	TLS  *TLS // nil: HTTP

	Auth     Auth
	User     string // user, DOMAIN\user or user@domain
	Password Secret
	// Certificate is the client's, for AuthCertificate.
	Certificate *tls.Certificate
	// AllowUnencrypted lets HTTP carry what anybody on the way can read: the
	// password of AuthBasic, and messages after NTLM where the service does not
	// seal. It is the setting of the same name in WinRM's client.
	AllowUnencrypted bool

	// Guard counts refused logins, and holds them back before Windows locks the
	// account; whoever uses the same account shares it. nil: the client has its own.
	Guard *lockout.Guard

	Limits Limits
	// Dial makes connections; nil: directly, by TCP. It is the only way through a
	// proxy: none that the environment names is used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// TLS says which certificates a Client believes. The zero value believes those
// that the system's roots vouch for under the name of the host.
type TLS struct {
	// CA holds PEM certificates to believe in place of the system's roots.
	CA []byte
	// Pin is the SHA-256 fingerprint of the service's certificate in hexadecimal
	// digits, with or without colons. Only that certificate is believed, whoever
	// signed it, whatever its name and dates.
	Pin string
	// Insecure believes every certificate.
	Insecure bool
	// ServerName is the name to be found in the certificate; empty: Host.
	ServerName string
}

// Limits bound everything that takes time or room. A zero field means its
// default.
type Limits struct {
	// Connect bounds a TCP connection with its TLS handshake, 15 s.
	Connect time.Duration
	// Header bounds the wait for an answer's head beyond the time that the
	// service was given to answer, 10 s.
	Header time.Duration
	// Body bounds the sending of one request, and the reading of one answer, 1 min.
	Body time.Duration
	// Cleanup bounds what is done after the caller has given up: ending a
	// command, deleting a shell, 5 s each.
	Cleanup time.Duration
	// OperationTimeout is the time that the service is given for a request other
	// than Receive, 1 min. Windows cuts it to its MaxTimeoutms (MS-WSMV 3.1.4.1.6).
	OperationTimeout time.Duration
	// Poll is the same for Receive, 20 s: so long a command may be silent before
	// it is asked for again.
	Poll time.Duration
	// MaxEnvelopeSize bounds requests and answers in bytes, 512000. A service that
	// takes less (153600 before Windows 8) is sent its input in smaller pieces.
	MaxEnvelopeSize int
	// Commands is how many commands run in one shell at a time, 8: more wait.
	// Windows allows 25 processes in a shell (15 before Windows 8), and a command
	// is rarely one process.
	Commands int
}

// smallEnvelope is what every Windows takes (MaxEnvelopeSizekb of 2008 R2), and
// leastEnvelope what a service must take (DSP0226 R6.2-2).
const (
	smallEnvelope = 150 * 1024
	leastEnvelope = 8192
)

func (l Limits) withDefaults() Limits {
	l.Connect = cmp.Or(l.Connect, 15*time.Second)
	l.Header = cmp.Or(l.Header, 10*time.Second)
	l.Body = cmp.Or(l.Body, time.Minute)
	l.Cleanup = cmp.Or(l.Cleanup, 5*time.Second)
	l.OperationTimeout = cmp.Or(l.OperationTimeout, time.Minute)
	l.Poll = cmp.Or(l.Poll, 20*time.Second)
	l.MaxEnvelopeSize = cmp.Or(l.MaxEnvelopeSize, 512000)
	l.Commands = cmp.Or(l.Commands, 8)
	return l
}

// check returns everything that is wrong with c, which has its defaults.
func (c *Config) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Host == "" {
		wrong("Host is empty: set the address of the guest")
	}
	if c.Port < 1 || c.Port > 65535 {
		wrong("Port is %d: set one from 1 to 65535", c.Port)
	}
	l := c.Limits
	for name, d := range map[string]time.Duration{"Connect": l.Connect, "Header": l.Header, "Body": l.Body, "Cleanup": l.Cleanup, "OperationTimeout": l.OperationTimeout, "Poll": l.Poll} {
		if d < time.Millisecond {
			wrong("Limits.%s is %s: set at least a millisecond", name, d)
		}
	}
	if l.MaxEnvelopeSize < leastEnvelope {
		wrong("Limits.MaxEnvelopeSize is %d: set at least %d bytes", l.MaxEnvelopeSize, leastEnvelope)
	}
	if l.Commands < 1 {
		wrong("Limits.Commands is %d: set at least 1", l.Commands)
	}
	return errors.Join(append(errs, c.checkAuth()...)...)
}

func (c *Config) checkAuth() []error {
	var errs []error
	switch c.Auth {
	case AuthNegotiate, AuthNTLM, AuthBasic:
		if c.User == "" {
			errs = append(errs, errors.New("there is no User: set the account to log in with"))
		}
		if c.Auth == AuthBasic && strings.Contains(c.User, ":") {
			errs = append(errs, errors.New("the User has a colon, which Basic authentication cannot carry: use NTLM"))
		}
		if c.Auth == AuthBasic && c.TLS == nil && !c.AllowUnencrypted {
			errs = append(errs, errors.New("over HTTP, Basic authentication sends the password in the clear: use TLS or NTLM, or set AllowUnencrypted"))
		}
	case AuthCertificate:
		if c.Certificate == nil || c.TLS == nil {
			errs = append(errs, errors.New("a client certificate needs TLS and Certificate: set both"))
		}
	default:
		errs = append(errs, fmt.Errorf("Auth is %d, which is no way to log in", c.Auth))
	}
	return errs
}

func (c *Config) address() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

func (c *Config) url() string {
	if c.TLS != nil {
		return "https://" + c.address() + "/wsman"
	}
	return "http://" + c.address() + "/wsman"
}
