package wsman

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
)

// session seals messages after NTLM (MS-NLMP 3.4 with extended session
// security; MS-WSMV 2.2.9.1 for the MIME around it).
type session struct {
	mu              sync.Mutex
	exchanged       bool // a key was exchanged: signatures are encrypted
	signIn, signOut []byte
	in, out         *rc4.Cipher
	seqIn, seqOut   uint32
}

var errSeal = errors.New("not a message sealed on this connection")

// newSession returns nil when the client did not negotiate sealing.
func newSession(key []byte, flags uint32) *session {
	if flags&ntlmExtended == 0 || flags&ntlmSeal == 0 {
		return nil
	}
	derive := func(key []byte, direction, use string) []byte {
		sum := md5.Sum(append(bytes.Clone(key), "session key to "+direction+" "+use+" key magic constant\x00"...))
		return sum[:]
	}
	cipher := func(key []byte) *rc4.Cipher {
		c, err := rc4.NewCipher(key)
		if err != nil {
			panic(err) // keys are MD5 sums
		}
		return c
	}
	sealing := key
	switch {
	case flags&ntlm128 != 0:
	case flags&ntlm56 != 0:
		sealing = key[:7]
	default:
		sealing = key[:5]
	}
	const in, out = "client-to-server", "server-to-client"
	return &session{
		exchanged: flags&ntlmKeyExchange != 0,
		signIn:    derive(key, in, "signing"), signOut: derive(key, out, "signing"),
		in: cipher(derive(sealing, in, "sealing")), out: cipher(derive(sealing, out, "sealing")),
	}
}

// signature is the MAC of MS-NLMP 3.4.4.2.
func (s *session) signature(c *rc4.Cipher, key []byte, seq uint32, plain []byte) []byte {
	number := binary.LittleEndian.AppendUint32(nil, seq)
	sum := hmacMD5(key, number, plain)[:8]
	if s.exchanged {
		c.XORKeyStream(sum, sum)
	}
	return append(append(binary.LittleEndian.AppendUint32(nil, 1), sum...), number...)
}

const (
	boundary   = "--Encrypted Boundary"
	octets     = "\tContent-Type: application/octet-stream\r\n"
	sealedType = `multipart/encrypted;protocol="application/HTTP-SPNEGO-session-encrypted";boundary="Encrypted Boundary"`
)

// unseal takes a request out of its MIME parts.
func (s *session) unseal(b []byte) ([]byte, error) {
	if s == nil {
		return nil, errSeal
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	head, rest, ok := bytes.Cut(b, []byte("application/octet-stream\r\n"))
	_, after, stated := bytes.Cut(head, []byte("Length="))
	length, _, _ := bytes.Cut(after, []byte("\r\n"))
	end := bytes.LastIndex(rest, []byte(boundary+"--"))
	if !ok || !stated || end < 0 {
		return nil, errSeal
	}
	want, err := strconv.Atoi(string(length))
	if data := rest[:end]; err != nil || len(data) < 20 || binary.LittleEndian.Uint32(data) != 16 || want != len(data)-20 {
		return nil, errSeal
	}
	given, plain := rest[4:20], make([]byte, want)
	s.in.XORKeyStream(plain, rest[20:end])
	if !hmac.Equal(given, s.signature(s.in, s.signIn, s.seqIn, plain)) {
		return nil, errSeal
	}
	s.seqIn++
	return plain, nil
}

// seal wraps a reply.
func (s *session) seal(plain []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := make([]byte, len(plain))
	s.out.XORKeyStream(data, plain)
	signature := s.signature(s.out, s.signOut, s.seqOut, plain)
	s.seqOut++
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\r\n\tContent-Type: application/HTTP-SPNEGO-session-encrypted\r\n\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length=%d\r\n%s\r\n%s",
		boundary, len(plain), boundary, octets)
	b.Write(binary.LittleEndian.AppendUint32(nil, 16))
	b.Write(signature)
	b.Write(data)
	b.WriteString(boundary + "--\r\n")
	return b.Bytes()
}
