package diagnosis

import (
	"bytes"
	"testing"
)

func TestALogIsSearchedFromItsEndAndNotWhole(t *testing.T) {
	if got := lastOf([]byte("a\nb\nc\nd\n"), 100, 2); !bytes.HasSuffix(got, []byte("c\nd\n")) || bytes.Contains(got, []byte("a")) {
		t.Errorf("the last two lines: %q", got)
	}
	if got := lastOf([]byte("abcdef"), 3, 10); len(got) > 4 || !bytes.HasSuffix(got, []byte("def")) {
		t.Errorf("the last three bytes: %q", got)
	}
	if got := lastOf([]byte("whole\n"), 100, 10); string(got) != "whole\n" {
		t.Errorf("%q", got)
	}
	if got := lastOf(nil, 100, 10); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
