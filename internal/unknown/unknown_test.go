package unknown

import "testing"

func TestIn(t *testing.T) {
	for text, want := range map[string]bool{"": false, "unknown": false, "<unknown>": true, `C:\<unknown>\unattend.xml`: true} {
		if In(text) != want {
			t.Errorf("In(%q) = %t", text, !want)
		}
	}
}
