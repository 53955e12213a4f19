package winrm

import (
	"encoding/base64"
	"strings"
	"testing"
)

// FuzzReply reads foreign bytes as an answer to everything.
func FuzzReply(f *testing.F) {
	for _, x := range wireOfTheGuest(f) {
		f.Add(x)
	}
	f.Add(enveloped(`<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>w:QuotaLimit</s:Value></s:Subcode></s:Code><s:Reason><s:Text>x</s:Text></s:Reason><s:Detail><f:WSManFault xmlns:f="` +
		nsFault + `" Code="5"><f:Message><f:ProviderFault provider="p">y<f:WSManFault Code="7"><f:Message>z</f:Message></f:WSManFault></f:ProviderFault></f:Message></f:WSManFault></s:Detail></s:Fault>`))
	f.Add(`<!DOCTYPE x><x/>`)
	f.Add("\ufeff<a/>")
	f.Fuzz(func(t *testing.T, raw string) {
		r, err := parseReply([]byte(raw))
		if err != nil {
			return
		}
		if fault := r.fault(500, "Receive", "guest"); fault != nil {
			if text := fault.Error(); len(text) > 4000 || strings.ContainsAny(text, "\r\n") {
				t.Errorf("the fault is no line: %.300q", text)
			}
			_, _ = fault.uncertain(), fault.kind()
		}
		if id, err := r.shellID(); err == nil && id == "" {
			t.Error("a shell without a name")
		}
		if id, err := r.commandID(); err == nil && id == "" {
			t.Error("a command without a name")
		}
		if out, err := r.output("X"); err == nil {
			size := 0
			for _, s := range out.streams {
				size += len(s.data)
			}
			if size > len(raw) {
				t.Errorf("%d bytes of output from %d", size, len(raw))
			}
		}
	})
}

// FuzzSeal cuts foreign bytes into seals.
func FuzzSeal(f *testing.F) {
	f.Add([]byte(boundary + "\r\n\tOriginalContent: type=x;Length=1\r\n" + boundary + "\r\n\t" + octets + "\x10\x00\x00\x00ssssssssssssssssy" + boundary + "--\r\n"))
	f.Add([]byte("Length=-1\r\n" + octets))
	f.Fuzz(func(t *testing.T, b []byte) {
		sealed, signature, rest, err := cutSealed(b)
		if err == nil && (len(signature) != 16 || len(sealed)+len(rest) > len(b) || !strings.HasPrefix(string(rest), boundary)) {
			t.Errorf("%q: %q, %q, %q", b, sealed, signature, rest)
		}
	})
}

// FuzzChallenge answers foreign challenges.
func FuzzChallenge(f *testing.F) {
	f.Add("Negotiate " + base64.StdEncoding.EncodeToString(challengeBytes(sealFlags|1)))
	f.Add("Negotiate *")
	f.Fuzz(func(t *testing.T, header string) {
		b, err := challengeIn([]string{header})
		if err != nil {
			return
		}
		_ = seals(b)
		n, err := newNTLM("u", "p", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.negotiate(); err != nil {
			t.Fatal(err)
		}
		_, _ = n.authenticate(b) // no panic
	})
}
