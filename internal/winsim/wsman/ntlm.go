package wsman

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/rc4"
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // NTLM is made of it (MS-NLMP 3.3)
)

// Flags of MS-NLMP 2.2.2.5.
const (
	ntlmUnicode     = 0x1
	ntlmTarget      = 0x4
	ntlmSign        = 0x10
	ntlmSeal        = 0x20
	ntlmNTLM        = 0x200
	ntlmAlwaysSign  = 0x8000
	ntlmServer      = 0x20000
	ntlmExtended    = 0x80000
	ntlmTargetInfo  = 0x800000
	ntlmVersion     = 0x2000000
	ntlm128         = 0x20000000
	ntlmKeyExchange = 0x40000000
	ntlm56          = 0x80000000
)

var ntlmSignature = []byte("NTLMSSP\x00")

var (
	errNTLM     = errors.New("not the NTLM message expected")
	errPassword = errors.New("unknown user or wrong password")
)

// challenge is the server's side of one NTLM exchange (MS-NLMP 2.2.1.2).
type challenge struct {
	negotiate []byte // the client's first message
	message   []byte
	nonce     [8]byte
}

// newChallenge answers a NEGOTIATE_MESSAGE; anything else is errNTLM.
func newChallenge(negotiate []byte, machine string) (*challenge, error) {
	if len(negotiate) < 16 || !bytes.HasPrefix(negotiate, ntlmSignature) || binary.LittleEndian.Uint32(negotiate[8:]) != 1 {
		return nil, errNTLM
	}
	c := &challenge{negotiate: bytes.Clone(negotiate)}
	_, _ = rand.Read(c.nonce[:]) // never fails (crypto/rand)
	wanted := binary.LittleEndian.Uint32(negotiate[12:])
	flags := uint32(ntlmUnicode | ntlmTarget | ntlmNTLM | ntlmAlwaysSign | ntlmServer | ntlmTargetInfo | ntlmVersion)
	flags |= wanted & (ntlmSign | ntlmSeal | ntlmExtended | ntlm128 | ntlmKeyExchange | ntlm56)

	name := utf16Bytes(machine)
	const filetimeEpoch = 11644473600 // seconds from 1601 to 1970
	now := binary.LittleEndian.AppendUint64(nil, uint64(time.Now().Unix()+filetimeEpoch)*10_000_000)
	var info []byte // AV_PAIRs, MS-NLMP 2.2.2.1
	for _, pair := range []struct {
		id    uint16
		value []byte
	}{{2, name}, {1, name}, {4, name}, {3, name}, {7, now}, {0, nil}} {
		info = binary.LittleEndian.AppendUint16(info, pair.id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(pair.value)))
		info = append(info, pair.value...)
	}
	const header = 56
	field := func(b []byte, length, offset int) []byte {
		b = binary.LittleEndian.AppendUint16(b, uint16(length))
		b = binary.LittleEndian.AppendUint16(b, uint16(length))
		return binary.LittleEndian.AppendUint32(b, uint32(offset))
	}
	m := binary.LittleEndian.AppendUint32(bytes.Clone(ntlmSignature), 2)
	m = field(m, len(name), header)
	m = binary.LittleEndian.AppendUint32(m, flags)
	m = append(m, c.nonce[:]...)
	m = append(m, make([]byte, 8)...)
	m = field(m, len(info), header+len(name))
	m = append(m, 10, 0, 0x7c, 0x4f, 0, 0, 0, 15) // Windows 10.0.20348, NTLMSSP revision 15
	c.message = append(append(m, name...), info...)
	return c, nil
}

// verify checks an AUTHENTICATE_MESSAGE (NTLMv2, MS-NLMP 3.3.2) and returns
// the user as account spells it and the keys for sealed messages.
func (c *challenge) verify(m []byte, account func(string) (user, password string, ok bool)) (string, *session, error) {
	if len(m) < 64 || !bytes.HasPrefix(m, ntlmSignature) || binary.LittleEndian.Uint32(m[8:]) != 3 {
		return "", nil, errNTLM
	}
	field := func(at int) []byte {
		length, offset := uint64(binary.LittleEndian.Uint16(m[at:])), uint64(binary.LittleEndian.Uint32(m[at+4:]))
		if offset+length > uint64(len(m)) {
			return nil
		}
		return m[offset : offset+length]
	}
	response, domain, name, sealedKey := field(20), field(28), utf16String(field(36)), field(52)
	flags := binary.LittleEndian.Uint32(m[60:])
	user, password, ok := account(name)
	if !ok || len(response) < 16+28 { // proof and the fixed part of the blob; NTLMv1 has 24
		return "", nil, errPassword
	}
	key := ntowfv2(name, password, utf16String(domain))
	proof, blob := response[:16], response[16:]
	if !hmac.Equal(proof, hmacMD5(key, c.nonce[:], blob)) {
		return "", nil, errPassword
	}
	key = hmacMD5(key, proof)
	if flags&ntlmKeyExchange != 0 {
		if len(sealedKey) != 16 {
			return "", nil, errNTLM
		}
		key = rc4Crypt(key, sealedKey)
	}
	if claimsMIC(blob) {
		if len(m) < 88 {
			return "", nil, errNTLM
		}
		blank := bytes.Clone(m)
		clear(blank[72:88])
		if !hmac.Equal(m[72:88], hmacMD5(key, c.negotiate, c.message, blank)) {
			return "", nil, errNTLM
		}
	}
	return user, newSession(key, flags), nil
}

// ntowfv2 is the key of NTLMv2 (MS-NLMP 3.3.2).
func ntowfv2(user, password, domain string) []byte {
	hash := md4.New()
	hash.Write(utf16Bytes(password))
	return hmacMD5(hash.Sum(nil), utf16Bytes(strings.ToUpper(user)+domain))
}

// claimsMIC reports whether the client says that it protected the exchange
// with a message integrity code (MsvAvFlags, MS-NLMP 2.2.2.1).
func claimsMIC(blob []byte) bool {
	for b := blob[28:]; len(b) >= 4; {
		id, n := binary.LittleEndian.Uint16(b), int(binary.LittleEndian.Uint16(b[2:]))
		if id == 0 || len(b) < 4+n {
			return false
		}
		if id == 6 && n == 4 {
			return binary.LittleEndian.Uint32(b[4:])&2 != 0
		}
		b = b[4+n:]
	}
	return false
}

func hmacMD5(key []byte, parts ...[]byte) []byte {
	h := hmac.New(md5.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

func rc4Crypt(key, data []byte) []byte {
	c, err := rc4.NewCipher(key)
	if err != nil {
		panic(err) // keys are MD5 sums
	}
	out := make([]byte, len(data))
	c.XORKeyStream(out, data)
	return out
}

func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func utf16String(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(u))
}
