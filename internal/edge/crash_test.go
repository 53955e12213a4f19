package edge

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"
	"strings"
	"testing"
)

func TestAPanicIsAnErrorWithItsStackInTheLog(t *testing.T) {
	var b bytes.Buffer
	log.SetOutput(&b)
	t.Cleanup(func() { log.SetOutput(os.Stderr) })
	err := Guard("reading", func() error { panic("of a test") })
	var c *Crash
	if !errors.As(err, &c) || c.Value != "of a test" || err.Error() != "a defect in the plugin ended the run while it was reading: of a test" {
		t.Errorf("%v", err)
	}
	if said := b.String(); !strings.Contains(said, "of a test") || !strings.Contains(said, "crash_test.go") {
		t.Error(said)
	}
	// One that was caught elsewhere is handed on as it is.
	if again := Guard("handing on", func() error { panic(c) }); again != error(c) {
		t.Errorf("%v", again)
	}
	var nothing map[string]int
	if err := Guard("writing", func() error { nothing["x"] = 1; return nil }); err == nil || !strings.Contains(err.Error(), "nil map") {
		t.Errorf("%v", err)
	}
	if err := Guard("x", func() error { return io.EOF }); !errors.Is(err, io.EOF) {
		t.Errorf("%v", err)
	}
	if err := Guard("x", func() error { return nil }); err != nil {
		t.Errorf("%v", err)
	}
}
