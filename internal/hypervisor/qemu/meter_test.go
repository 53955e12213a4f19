package qemu

import (
	"encoding/json"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hypervisor"
)

func TestOnlyTheGuestsDiskIsCounted(t *testing.T) {
	const drives = `[{"device":"pflash1","stats":{"wr_bytes":65536}},{"device":"disk0","stats":{"rd_bytes":7,"wr_bytes":512}}]`
	for text, want := range map[string]struct {
		written uint64
		ok      bool
	}{drives: {512, true}, `[]`: {0, false}, `[{"device":"","stats":{"wr_bytes":5}}]`: {0, false}} {
		var s blockStats
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		if written, ok := s.written(); written != want.written || ok != want.ok {
			t.Errorf("%s: %d, %t", text, written, ok)
		}
	}
}

// QEMU lists the disk of a machine that runs.
func TestAMachineSaysWhatItsGuestHasWritten(t *testing.T) {
	m, _ := boot(t, Options{Accelerator: "tcg"}, specFor(t, []byte{0xfa, 0xf4, 0xeb, 0xfd})) // stands still
	if written, err := hypervisor.Meter(m).Written(t.Context()); err != nil || written != 0 {
		t.Errorf("%d, %v", written, err)
	}
	if _, err := newMachine(Options{}, nil).Written(t.Context()); err == nil {
		t.Error("a machine that was not started has written something")
	}
}
