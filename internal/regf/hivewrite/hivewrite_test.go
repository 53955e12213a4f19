package hivewrite_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/testutil"
)

func sample() *hivewrite.Key {
	root := hivewrite.NewKey("ROOT")
	state := root.Path(`Microsoft\Windows\CurrentVersion\Setup\State`)
	state.SetString("ImageState", "IMAGE_STATE_COMPLETE").SetString("imagestate", "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE")
	k := root.Path("Types")
	k.SetString("", "default").SetDWord("DWord", 0x12345678).SetExpandString("Expand", `%SystemRoot%\x`)
	k.SetMultiString("Multi", "one", "two").SetBinary("Empty", nil).SetBinary("Big", make([]byte, 40000))
	root.Path(`Naïve\Ελλάδα`).SetString("Ключ", "значение 𝄞")
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		for _, d := range "abcdefghijklmnopqrstuvwxyz" {
			root.Path(`Many\` + string(c) + string(d))
		}
	}
	return root
}

func TestHivexReadsWhatWasWritten(t *testing.T) {
	get, export := testutil.Tool(t, "hivexget"), testutil.Tool(t, "hivexregedit")
	path := filepath.Join(t.TempDir(), "SOFTWARE")
	if err := os.WriteFile(path, hivewrite.Build(sample(), `\SystemRoot\System32\Config\SOFTWARE`), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(get, path, `Microsoft\Windows\CurrentVersion\Setup\State`, "ImageState").CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE" {
		t.Errorf("hivexget: %v %q", err, out)
	}
	out, err = exec.Command(export, "--export", path, `\`).CombinedOutput()
	if err != nil {
		t.Fatalf("hivexregedit: %v\n%s", err, out)
	}
	text := string(out)
	for _, want := range []string{
		`"DWord"=dword:12345678`, `[\Many\az]`, `[\Many\zz]`, `[\Naïve\Ελλάδα]`, `"Empty"=hex(3):`,
		`"Multi"=hex(7):6f,00,6e,00,65,00,00,00,74,00,77,00,6f,00,00,00,00,00`,
		`"Big"=hex(3):` + strings.TrimSuffix(strings.Repeat("00,", 40000), ","),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("export lacks %.80q", want)
		}
	}
	if n := strings.Count(text, `[\Many\`); n != 26*26 {
		t.Errorf("%d subkeys of Many, want %d", n, 26*26)
	}
}

func TestSameTreeGivesSameBytes(t *testing.T) {
	a, b := hivewrite.Build(sample(), "X"), hivewrite.Build(sample(), "X")
	if string(a) != string(b) {
		t.Error("two builds differ")
	}
	if len(a)%4096 != 0 {
		t.Errorf("hive of %d bytes is not whole pages", len(a))
	}
}
