package image

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/proof"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

func TestAProvenDiskBecomesAWIM(t *testing.T) {
	wimlib := testutil.Tool(t, "wimlib-imagex")
	b := newBench(t, winimagetest.Spec{Generalized: true, GPT: true}, map[string]any{"format": "wim", "wim_name": "Server"})
	before := sum(t, b.input.files[0])
	got, keep, force, err := b.run(context.Background())
	if err != nil || keep || force {
		t.Fatalf("keep %t, force %t, %v", keep, force, err)
	}
	const path = "output-b-image/packer-b.wim"
	if want := []string{"output-b-image", path, path + proof.ReportSuffix}; !slices.Equal(here(t), want) {
		t.Errorf("made %v, want %v", here(t), want)
	}
	if out, err := exec.Command(wimlib, "verify", path).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := exec.Command(wimlib, "info", path).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("Server\n")) || !bytes.Contains(out, []byte("XPRESS")) {
		t.Errorf("%v\n%s", err, out)
	}
	if report, err := os.ReadFile(path + proof.ReportSuffix); err != nil || !bytes.Contains(report, []byte("windows.raw")) {
		t.Errorf("the report (%v) is not about the disk:\n%.300s", err, report)
	}
	if !strings.Contains(b.said.String(), `Left out: \pagefile.sys`) || sum(t, b.input.files[0]) != before {
		t.Errorf("said\n%s", &b.said)
	}
	if err := got.Destroy(); err != nil || len(here(t)) != 0 {
		t.Errorf("after Destroy (%v) there is %v", err, here(t))
	}
}

func TestNoWIMIsMadeOfADiskThatIsNotProven(t *testing.T) {
	b := newBench(t, winimagetest.Spec{}, map[string]any{"format": "wim"})
	var refused *proof.NotProven
	if got, _, _, err := b.run(context.Background()); got != nil || !errors.As(err, &refused) {
		t.Fatalf("%v, %v", got, err)
	}
	if slices.ContainsFunc(here(t), func(name string) bool { return strings.HasSuffix(name, ".wim") }) {
		t.Errorf("left %v", here(t))
	}
	b = newBench(t, winimagetest.Spec{}, map[string]any{"format": "wim", "wim_compression": "lzx", "verify": map[string]any{"enabled": false}})
	got, _, _, err := b.run(context.Background())
	if err != nil || len(got.Files()) != 1 {
		t.Fatalf("without a proof: %v, %v", got, err)
	}
	const lzx = 0x00040002 // compressed, with LZX
	if header, err := os.ReadFile(got.Files()[0]); err != nil || binary.LittleEndian.Uint32(header[16:]) != lzx {
		t.Errorf("flags %#x, want %#x (%v)", header[16:20], lzx, err)
	}
}

func TestOfSeveralWindowsOneIsCaptured(t *testing.T) {
	spec := winimagetest.Spec{Generalized: true, Beside: &winimagetest.Spec{Generalized: true}}
	b := newBench(t, spec, map[string]any{"format": "wim"})
	if _, _, _, err := b.run(context.Background()); err == nil || !strings.Contains(err.Error(), "verify.windows: there are several Windows on the disk, in the partitions 1 (") {
		t.Errorf("%v", err)
	}
	b = newBench(t, spec, map[string]any{"format": "wim", "verify": map[string]any{"windows": "1"}})
	if _, _, _, err := b.run(context.Background()); err != nil {
		t.Error(err)
	}
}
