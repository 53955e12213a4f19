package edge

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/foreign/foreigntest"
)

func TestAnErrorKeepsItsChain(t *testing.T) {
	cause := errors.New(foreigntest.Hostile + " https://u:TopSecret@h/x?sig=TopSecret")
	err := Error(fmt.Errorf("reading:\n%w", cause))
	if !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "reading:\n") || foreigntest.Harm(err.Error()) != "" {
		t.Errorf("%s: %q", foreigntest.Harm(err.Error()), err)
	}
	if err := Error(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestWritersKeepTheirLines(t *testing.T) {
	var b bytes.Buffer
	for in, want := range map[string]string{"a\nb\n": "a\nb\n", "a\r\n\n": "a\n\n", "no end": "no end", "": "", "\n": "\n", "::x\n::y\n": "\\x3a:x\n\\x3a:y\n"} {
		b.Reset()
		if n, err := fmt.Fprint(Screen(&b), in); n != len(in) || err != nil || b.String() != want {
			t.Errorf("%q became %q (%d, %v)", in, b.String(), n, err)
		}
	}
	long := strings.Repeat("x", 20<<10)
	b.Reset()
	fmt.Fprintln(Screen(&b), long)
	if b.Len() > 9<<10 || !strings.HasSuffix(b.String(), " more bytes)\n") {
		t.Errorf("%d bytes on the screen", b.Len())
	}
	b.Reset()
	log.New(Log(&b), "", 0).Print(long + "\n" + foreigntest.Hostile)
	if b.Len() < len(long) || foreigntest.Harm(b.String()) != "" {
		t.Errorf("%d bytes in the log, %s", b.Len(), foreigntest.Harm(b.String()))
	}
}
