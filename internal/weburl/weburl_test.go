package weburl

import (
	"strings"
	"testing"
)

func TestSchemeTellsAddressesFromPaths(t *testing.T) {
	for text, want := range map[string]string{
		"http://h/x": "http", "HTTPS://h/x": "https", "hTTps://h": "https", "s3://b/k": "s3", "s3::https://h/k": "https",
		`C:\images\x.vhd`: "", "C:/x.vhd": "", "C://x.vhd": "", "//host/share/x.vhd": "", "/tmp/http://x": "", "https:/h/x": "", "disk.vhd": "", "": "",
	} {
		if got := Scheme(text); got != want {
			t.Errorf("Scheme(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestRedactTakesCredentialsOutOfAnyText(t *testing.T) {
	for text, want := range map[string]string{
		"https://h/x.vhd":                                 "https://h/x.vhd",
		"https://h:8443/a@b/x.vhd#part":                   "https://h:8443/a@b/x.vhd#part",
		"HTTPS://User:Top@h/x":                            "HTTPS://***@h/x",
		"https://h/x?sv=1&sig=Top%2B":                     "https://h/x?***",
		"https://h/x?X-Amz-Signature=Top#y":               "https://h/x?***",
		"https://h/x#access_token=Top":                    "https://h/x#***",
		"https://Top@h":                                   "https://***@h",
		"https://u:Top/Top@h/x":                           "https://***@h/x",
		"https://u:a@Top/Top@h/x?y":                       "https://***@h/x?***",
		"https://u:p?Top@h/x":                             "https://***@h/x",
		"https://u:p#Top@h/x":                             "https://***@h/x",
		`Get "https://h/x?sig=Top": EOF`:                  `Get "https://h/x?***": EOF`,
		`parse "https://h/%zz?a=\"Top": invalid`:          `parse "https://h/%zz?***": invalid`,
		`{"u":"https:\/\/u:Top@h\/x?a=1\u0026sig=Top"}`:   `{"u":"https:\/\/***@h\/x?***"}`,
		"(see https://h/x?y=Top).":                        "(see https://h/x?***).",
		"error downloading 'https://u:Top@h/x?sig=Top'":   "error downloading 'https://***@h/x?***'",
		"s3::https://h/b?aws_access_key_secret=Top, next": "s3::https://h/b?***, next",
		"file:https://u:Top@h/SUMS?sig=Top":               "file:https://***@h/SUMS?***",
		"two: https://a:Top@h/x https://b:Top@h/y?z=Top":  "two: https://***@h/x https://***@h/y?***",
		"https://h/my image.vhd?sig=Top":                  "https://h/my image.vhd?sig=***",
		"ftp://u:Top@h/x and smb://u:Top@h/x":             "ftp://***@h/x and smb://***@h/x",
		"X-Amz-Signature=TopSecret&x=1":                   "X-Amz-Signature=***&x=1",
		`C:\x\y.vhd, 5=6, a/b=c`:                          `C:\x\y.vhd, 5=6, a/b=c`,
	} {
		got := Redact(text)
		if got != want {
			t.Errorf("Redact(%q) = %q, want %q", text, got, want)
		}
		if again := Redact(got); again != got {
			t.Errorf("Redact(%q) twice = %q", text, again)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, seed := range []string{"https://", "https://u:p@h/x?y#z", `"https:\/\/u@h"`, "a://b://c@d?e", "x=1&sig=abc", "HTTP://a:b?c@d", "https://u:p@[::1]:80/?q"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := Redact(s)
		if twice := Redact(once); twice != once {
			t.Fatalf("%q: %q, then %q", s, once, twice)
		}
		// Whatever stands before it, an address loses its secrets.
		const shown = "https://***@host/x?***"
		if text := Redact(s + "\nhttps://user:TopSecret@host/x?sig=TopSecret"); !strings.HasSuffix(text, shown) {
			t.Fatalf("%q does not end in %s", text, shown)
		}
	})
}
