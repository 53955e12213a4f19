package qemu

import (
	"encoding/json"
	"testing"
)

func TestOnlyTheGuestsDiskIsCounted(t *testing.T) {
	const drives = `[{"device":"pflash1","stats":{"wr_bytes":65536}},{"device":"disk0","stats":{"rd_bytes":7,"wr_bytes":512}}]`
	for text, want := range map[string]struct {
		read, written uint64
		ok            bool
	}{drives: {7, 512, true}, `[]`: {0, 0, false}, `[{"device":"","stats":{"wr_bytes":5}}]`: {0, 0, false}} {
		var s blockStats
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if read, written, ok := s.disk(); read != want.read || written != want.written || ok != want.ok {
			t.Errorf("%s: %d, %d, %t", text, read, written, ok)
		}
	}
}
