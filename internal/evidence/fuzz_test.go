package evidence

import (
	"os"
	"strings"
	"testing"
)

// FuzzParseKey: whatever a file holds, it is a key that signs, or an error in one line
// that shows nothing of it.
func FuzzParseKey(f *testing.F) {
	for _, form := range []string{"PRIVATE KEY", "EC PRIVATE KEY"} {
		b, err := os.ReadFile(keyFile(f, ecKey(f, p256), form))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)/2])
	}
	f.Add([]byte("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parseKey(content)
		switch {
		case (k == nil) == (err == nil):
			t.Fatalf("%v, %v", k, err)
		case err != nil && (strings.Contains(err.Error(), "\n") || len(err.Error()) > 400):
			t.Fatal(err)
		case err == nil:
			if _, err := (&Key{signer: k}).sign([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
	})
}
