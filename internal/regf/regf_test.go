package regf_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
)

func open(t testing.TB, b []byte, logs ...regf.Log) *regf.Hive {
	t.Helper()
	h, err := regf.Open(bytes.NewReader(b), int64(len(b)), logs...)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// log gives bytes as a transaction log.
func log(b []byte) regf.Log { return func() ([]byte, error) { return b, nil } }

func text(k *regf.Key, name string) (string, error) {
	v, err := k.Value(name)
	if err != nil {
		return "", err
	}
	return v.Text(64 << 20)
}

func number(k *regf.Key, name string) (uint32, error) {
	v, err := k.Value(name)
	if err != nil {
		return 0, err
	}
	return v.AsDWord()
}

func sampleTree() *hivewrite.Key {
	root := hivewrite.NewKey("ROOT")
	root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`).SetString("ImageState", "IMAGE_STATE_COMPLETE")
	k := root.Path("Types")
	k.SetString("", "default").SetDWord("DWord", 0x12345678).SetExpandString("Expand", `%SystemRoot%\x`)
	k.SetMultiString("Multi", "one", "", "two").SetMultiString("NoStrings").SetBinary("Empty", nil)
	k.SetBinary("Big", bytes.Repeat([]byte("0123456789"), 5000))
	root.Path(`Naïve\Ελλάδα`).SetString("Ключ", "значение 𝄞")
	for i := range 1500 {
		root.Path(`Many\` + string(rune('a'+i%26)) + strings.Repeat("x", i/26))
	}
	return root
}

func TestValuesComeBackAsWritten(t *testing.T) {
	h := open(t, hivewrite.Build(sampleTree(), "SOFTWARE"))
	if !h.Clean() || h.Replayed() != 0 {
		t.Errorf("clean %v, replayed %d", h.Clean(), h.Replayed())
	}
	state, err := h.Key(`MICROSOFT\windows\CurrentVersion\setup\STATE`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := text(state, "imagestate"); err != nil || s != "IMAGE_STATE_COMPLETE" {
		t.Errorf("ImageState %q, %v", s, err)
	}
	k, err := h.Key("Types")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := text(k, ""); err != nil || s != "default" {
		t.Errorf("default value %q, %v", s, err)
	}
	if n, err := number(k, "dword"); err != nil || n != 0x12345678 {
		t.Errorf("DWord %#x, %v", n, err)
	}
	if s, err := text(k, "Expand"); err != nil || s != `%SystemRoot%\x` {
		t.Errorf("Expand %q, %v", s, err)
	}
	big, err := k.Value("Big")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := big.Data(); err != nil || !bytes.Equal(b, bytes.Repeat([]byte("0123456789"), 5000)) {
		t.Errorf("Big: %d bytes, %v", len(b), err)
	}
	greek, err := h.Key(`NAÏVE\ελλάδα`)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := text(greek, "КЛЮЧ"); err != nil || s != "значение 𝄞" || greek.Name() != "Ελλάδα" {
		t.Errorf("%q %q, %v", greek.Name(), s, err)
	}
	many, err := h.Key("Many")
	if err != nil {
		t.Fatal(err)
	}
	if subs, err := many.Subkeys(); err != nil || len(subs) != 1500 {
		t.Errorf("%d subkeys, %v", len(subs), err)
	}
}

func TestMissingKeysAndWrongTypesAreTold(t *testing.T) {
	h := open(t, hivewrite.Build(sampleTree(), ""))
	if _, err := h.Key(`Microsoft\None`); !errors.Is(err, regf.ErrNotExist) || !strings.Contains(err.Error(), `Microsoft\None`) {
		t.Errorf("missing key: %v", err)
	}
	k, err := h.Key("Types")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := text(k, "absent"); !errors.Is(err, regf.ErrNotExist) {
		t.Errorf("missing value: %v", err)
	}
	if _, err := text(k, "DWord"); !errors.Is(err, regf.ErrType) {
		t.Errorf("number read as text: %v", err)
	}
	if _, err := number(k, "Multi"); !errors.Is(err, regf.ErrType) {
		t.Errorf("list read as number: %v", err)
	}
}
