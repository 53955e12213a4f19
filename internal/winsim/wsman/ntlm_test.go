package wsman

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// negotiate is a NEGOTIATE_MESSAGE that asks for everything.
func negotiate() []byte {
	m := binary.LittleEndian.AppendUint32(bytes.Clone(ntlmSignature), 1)
	m = binary.LittleEndian.AppendUint32(m, ntlmUnicode|ntlmSign|ntlmSeal|ntlmExtended|ntlm128|ntlmKeyExchange)
	return append(m, make([]byte, 24)...)
}

// authenticateMessage answers a challenge as MS-NLMP 3.3.2 says, with a given
// AV pair list and a MIC when mic is set.
func authenticateMessage(c *challenge, user, password string, pairs []byte, mic bool) []byte {
	const head = 88
	key := ntowfv2(user, password, "")
	blob := append(append([]byte{1, 1}, make([]byte, 26)...), pairs...)
	proof := hmacMD5(key, c.nonce[:], blob)
	response := append(bytes.Clone(proof), blob...)
	session := hmacMD5(key, proof)
	name := utf16Bytes(user)
	m := binary.LittleEndian.AppendUint32(bytes.Clone(ntlmSignature), 3)
	offset := head
	for _, part := range [][]byte{nil, response, nil, name, nil, nil} { // LM, NT, domain, user, workstation, key
		m = binary.LittleEndian.AppendUint16(m, uint16(len(part)))
		m = binary.LittleEndian.AppendUint16(m, uint16(len(part)))
		m = binary.LittleEndian.AppendUint32(m, uint32(offset))
		offset += len(part)
	}
	m = binary.LittleEndian.AppendUint32(m, ntlmUnicode|ntlmSign|ntlmSeal|ntlmExtended|ntlm128)
	m = append(m, make([]byte, head-len(m))...)
	m = append(append(m, response...), name...)
	if mic {
		copy(m[72:88], hmacMD5(session, c.negotiate, c.message, m))
	}
	return m
}

// flagsPair is the AV pair that promises a MIC, and the end of the list.
var flagsPair = []byte{6, 0, 4, 0, 2, 0, 0, 0, 0, 0, 0, 0}

func TestNTLMMatchesTheSpecification(t *testing.T) {
	// MS-NLMP 4.2.4: user "User", password "Password", domain "Domain".
	key := ntowfv2("User", "Password", "Domain")
	if got := hex.EncodeToString(key); got != "0c868a403bfd7a93a3001ef22ef02e3f" {
		t.Errorf("NTOWFv2 is %s", got)
	}
}

func TestNTLMVerifiesWhatItIsGiven(t *testing.T) {
	account := (&Server{Users: map[string]string{"Vagrant": testPassword}}).account
	for name, test := range map[string]struct {
		change func(m []byte) []byte
		user   string
		pw     string
		pairs  []byte
		mic    bool
		want   error
	}{
		"right":                     {user: "vagrant", pw: testPassword},
		"right with MIC":            {user: "vagrant", pw: testPassword, pairs: flagsPair, mic: true},
		"wrong password":            {user: "vagrant", pw: "wrong", want: errPassword},
		"unknown user":              {user: "nobody", pw: testPassword, want: errPassword},
		"promised MIC missing":      {user: "vagrant", pw: testPassword, pairs: flagsPair, want: errNTLM},
		"changed after MIC":         {user: "vagrant", pw: testPassword, pairs: flagsPair, mic: true, want: errNTLM, change: func(m []byte) []byte { m[64] ^= 1; return m }},
		"cut short":                 {user: "vagrant", pw: testPassword, want: errNTLM, change: func(m []byte) []byte { return m[:60] }},
		"fields outside":            {user: "vagrant", pw: testPassword, want: errPassword, change: func(m []byte) []byte { m[24] = 0xff; m[25] = 0xff; return m }},
		"exchange without a key":    {user: "vagrant", pw: testPassword, want: errNTLM, change: func(m []byte) []byte { m[63] |= ntlmKeyExchange >> 24; return m }},
		"an empty pair list":        {user: "vagrant", pw: testPassword, pairs: []byte{0, 0, 0, 0}},
		"a pair longer than it is":  {user: "vagrant", pw: testPassword, pairs: []byte{6, 0, 0xff, 0xff, 2, 0}},
		"another message":           {user: "vagrant", pw: testPassword, want: errNTLM, change: func(m []byte) []byte { return negotiate() }},
		"a signature of some sort":  {user: "vagrant", pw: testPassword, want: errNTLM, change: func(m []byte) []byte { m[0] = 'X'; return m }},
		"NTLMv1 or shorter, refuse": {user: "vagrant", pw: testPassword, want: errPassword, change: func(m []byte) []byte { m[20] = 24; return m }},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := newChallenge(negotiate(), "GUEST")
			if err != nil {
				t.Fatal(err)
			}
			m := authenticateMessage(c, test.user, test.pw, test.pairs, test.mic)
			if test.change != nil {
				m = test.change(m)
			}
			user, session, err := c.verify(m, account)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err == nil && (user != "Vagrant" || session == nil) {
				t.Errorf("user %q, session %v", user, session)
			}
		})
	}
}

func TestAnAuthenticationNeedsItsOwnChallenge(t *testing.T) {
	s := honest()
	cs := &connState{}
	post := func(token []byte) int {
		r := httptest.NewRequest(http.MethodPost, "/wsman", nil)
		if token != nil {
			r.Header.Set("Authorization", "Negotiate "+base64.StdEncoding.EncodeToString(token))
		}
		w := httptest.NewRecorder()
		if user, _ := s.authenticate(w, r, cs); user != "" {
			return http.StatusOK
		}
		return w.Code
	}
	foreign, err := newChallenge(negotiate(), "GUEST")
	if err != nil {
		t.Fatal(err)
	}
	early := authenticateMessage(foreign, testUser, testPassword, nil, false)
	if got := post(early); got != 401 {
		t.Errorf("without a challenge: %d", got)
	}
	if post(negotiate()); cs.challenge == nil {
		t.Fatal("no challenge")
	}
	if got := post(early); got != 401 {
		t.Errorf("with another challenge: %d", got)
	}
	post(negotiate())
	good := authenticateMessage(cs.challenge, testUser, testPassword, nil, false)
	if got := post(good); got != 200 {
		t.Errorf("right: %d", got)
	}
	if got := post(nil); got != 200 {
		t.Errorf("the connection is authenticated, yet %d", got)
	}
	if got := post(good); got != 401 {
		t.Errorf("a second time: %d", got)
	}
	if got := post(nil); got != 401 {
		t.Errorf("after a failure the connection is still authenticated: %d", got)
	}
}

func TestSealedMessages(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 16)
	for _, flags := range []uint32{ntlm128, ntlm56, 0, ntlm128 | ntlmKeyExchange} {
		flags |= ntlmExtended | ntlmSeal
		server, client := newSession(key, flags), newSession(key, flags)
		client.signIn, client.signOut, client.in, client.out = client.signOut, client.signIn, client.out, client.in
		for _, text := range []string{"one", "", strings.Repeat("three --Encrypted Boundary\r\n", 1000)} {
			for _, way := range [][2]*session{{client, server}, {server, client}} {
				if got, err := way[1].unseal(way[0].seal([]byte(text))); err != nil || string(got) != text {
					t.Fatalf("flags %x: %.40q, %v", flags, got, err)
				}
			}
		}
		sealed := client.seal([]byte("four"))
		sealed[len(sealed)-len(boundary)-6] ^= 1
		if _, err := server.unseal(sealed); !errors.Is(err, errSeal) {
			t.Errorf("flags %x: a changed message gave %v", flags, err)
		}
	}
	if newSession(key, ntlmSeal) != nil || newSession(key, ntlmExtended) != nil {
		t.Error("a session without what sealing needs")
	}
}

func FuzzNTLM(f *testing.F) {
	c, err := newChallenge(negotiate(), "GUEST")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(negotiate())
	f.Add(c.message)
	f.Add(authenticateMessage(c, testUser, testPassword, flagsPair, true))
	f.Add(authenticateMessage(c, testUser, testPassword, nil, false)[:64])
	key := bytes.Repeat([]byte{7}, 16)
	f.Add(newSession(key, ntlmExtended|ntlmSeal).seal([]byte("hello")))
	account := (&Server{Users: map[string]string{testUser: testPassword}}).account
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := newChallenge(b, "GUEST"); err == nil && len(c.message) < 56 {
			t.Errorf("a challenge of %d bytes", len(c.message))
		}
		// A fresh challenge: no message made before it may pass.
		fresh, err := newChallenge(negotiate(), "GUEST")
		if err != nil {
			t.Fatal(err)
		}
		if user, _, err := fresh.verify(b, account); err == nil {
			t.Errorf("let %s in", user)
		}
		_, _, _ = c.verify(b, account) // must not panic
		if plain, err := newSession(key, ntlmExtended|ntlmSeal).unseal(b); err == nil && len(plain) > len(b) {
			t.Errorf("%d bytes out of %d", len(plain), len(b))
		}
	})
}
