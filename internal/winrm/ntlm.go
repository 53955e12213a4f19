package winrm

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bodgit/ntlmssp"
)

// Flags of a CHALLENGE_MESSAGE (MS-NLMP 2.2.2.5) without which a seal is none,
// or a weak one: Sign, Seal, extended session security, 128-bit keys, key
// exchange.
const sealFlags = 0x10 | 0x20 | 0x80000 | 0x20000000 | 0x40000000

// errNoSeal is a service that would have messages in the clear.
var errNoSeal = errors.New("it grants no sealing with 128-bit keys")

// ntlm makes the messages of one handshake.
type ntlm struct {
	client   *ntlmssp.Client
	bindings *ntlmssp.ChannelBindings
}

func newNTLM(user, password string, bindings *ntlmssp.ChannelBindings) (*ntlm, error) {
	domain := ""
	if d, u, ok := strings.Cut(user, `\`); ok {
		domain, user = d, u
	}
	if domain == "." {
		domain = "" // the guest itself
	}
	client, err := ntlmssp.NewClient(ntlmssp.SetUserInfo(user, password), ntlmssp.SetDomain(domain), ntlmssp.SetVersion(ntlmssp.DefaultVersion()))
	return &ntlm{client, bindings}, err
}

// negotiate is the first message.
func (n *ntlm) negotiate() (string, error) { return n.header(nil) }

// authenticate answers a challenge.
func (n *ntlm) authenticate(challenge []byte) (string, error) { return n.header(challenge) }

func (n *ntlm) header(challenge []byte) (string, error) {
	token, err := n.client.Authenticate(challenge, n.bindings)
	return "Negotiate " + base64.StdEncoding.EncodeToString(token), err
}

// challengeIn takes the challenge out of WWW-Authenticate.
func challengeIn(values []string) ([]byte, error) {
	for _, v := range values {
		scheme, data, _ := strings.Cut(v, " ")
		if !strings.EqualFold(scheme, "Negotiate") || data == "" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(data))
		if err != nil || len(b) < 32 {
			return nil, errors.New("the challenge cannot be read")
		}
		return b, nil
	}
	return nil, errors.New("no challenge came")
}

// seals says whether a challenge grants a seal that is worth the name. It is
// looked at before anything is sent: somebody on the way may have changed it,
// which the service notices only afterwards.
func seals(challenge []byte) bool {
	return binary.LittleEndian.Uint32(challenge[20:])&sealFlags == sealFlags
}

// sealer seals the messages of one connection, in their order.
type sealer struct{ session *ntlmssp.SecuritySession }

const (
	boundary   = "--Encrypted Boundary"
	sealedKind = "multipart/encrypted"
	sealedType = sealedKind + `;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
	soapType   = "application/soap+xml;charset=UTF-8"
	octets     = "Content-Type: application/octet-stream\r\n"
)

// wrap seals a message and puts it in MIME parts (MS-WSMV 2.2.9.1).
func (s *sealer) wrap(plain []byte) ([]byte, error) {
	sealed, signature, err := s.session.Wrap(plain)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	var b bytes.Buffer
	b.Grow(len(sealed) + 512)
	b.WriteString(sealedHead(len(plain)))
	b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(signature))))
	b.Write(signature)
	b.Write(sealed)
	b.WriteString(boundary + "--\r\n")
	return b.Bytes(), nil
}

// sealedHead is what stands before a seal of so many bytes.
func sealedHead(length int) string {
	return fmt.Sprintf("%s\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=%s;Length=%d\r\n%s\r\n\t%s",
		boundary, soapType, length, boundary, octets)
}

var errSeal = errors.New("the seal is broken, or it is none")

// unwrap takes an answer out of its parts. A large one may be in several seals.
func (s *sealer) unwrap(b []byte) ([]byte, error) {
	var all []byte
	for {
		sealed, signature, rest, err := cutSealed(b)
		if err != nil {
			return nil, err
		}
		plain, err := s.session.Unwrap(sealed, signature)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errSeal, err)
		}
		all = append(all, plain...)
		if bytes.HasPrefix(rest, []byte(boundary+"--")) {
			return all, nil
		}
		b = rest
	}
}

// cutSealed takes the first seal off b. The length that its header states says
// where it ends: sealed bytes may look like a boundary.
func cutSealed(b []byte) (sealed, signature, rest []byte, err error) {
	const signed = 16 // bytes (MS-NLMP 2.2.2.9)
	header, data, ok := bytes.Cut(b, []byte(octets))
	_, after, stated := bytes.Cut(header, []byte("Length="))
	text, _, _ := bytes.Cut(after, []byte("\r\n"))
	length, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if !ok || !stated || err != nil || length < 0 || len(data) < 4+signed || length > len(data)-4-signed || binary.LittleEndian.Uint32(data) != signed {
		return nil, nil, nil, errSeal
	}
	signature, sealed, rest = data[4:4+signed], data[4+signed:4+signed+length], data[4+signed+length:]
	if !bytes.HasPrefix(rest, []byte(boundary)) {
		return nil, nil, nil, errSeal
	}
	return sealed, signature, rest, nil
}
