package registry_test

import (
	"reflect"
	"testing"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/registry"
)

func TestHiveComesBackAsItWent(t *testing.T) {
	r := registry.New()
	const key = `HKLM\SYSTEM\Setup\Naïve Key`
	r.SetString(key, "Text", "Grüße 𝄞")
	r.SetDWord(key, "Number", 0xfedcba98)
	r.Set(key, registry.ExpandValue("Expand", `%SystemRoot%\x`))
	r.Set(key, registry.MultiValue("Multi", "one", "two"))
	r.Set(key, registry.Value{Name: "Bytes", Kind: registry.Binary, Data: []byte{1, 2, 3, 4, 5, 6}})
	r.SetString(key, "", "default")
	r.Create(`HKLM\SYSTEM\Empty`)
	back := registry.New()
	if err := back.Load("SYSTEM", r.Hive("SYSTEM")); err != nil {
		t.Fatal(err)
	}
	want, _, _ := r.List(key)
	got, _, err := back.List(key)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if !back.Has(`HKLM\SYSTEM\Empty`) {
		t.Error("an empty key is lost")
	}
	if got := back.GetString(key, "text"); got != "Grüße 𝄞" {
		t.Errorf("text %q", got)
	}
}

func TestNamesAreFoundWhateverTheirCase(t *testing.T) {
	r := registry.New()
	r.SetDWord(`HKEY_LOCAL_MACHINE\system\Select`, "Current", 1)
	if n, ok := r.GetDWord(`hklm\SYSTEM\sELECT`, "cURRENT"); !ok || n != 1 {
		t.Errorf("%d, %v", n, ok)
	}
	r.SetDWord(`HKLM\SYSTEM\CurrentControlSet\Services\X`, "Start", 2)
	if n, _ := r.GetDWord(`HKLM\SYSTEM\ControlSet001\Services\x`, "Start"); n != 2 {
		t.Error("CurrentControlSet is not ControlSet001")
	}
}

func TestNothingOutsideTheTwoHives(t *testing.T) {
	r := registry.New()
	for _, path := range []string{`HKCU\Software\X`, `HKLM\SAM\X`, `HKLM`, ``, `X`} {
		if r.Create(path) || r.Has(path) || r.DeleteKey(path) {
			t.Errorf("%q exists", path)
		}
	}
	if r.DeleteKey(`HKLM\SYSTEM`) {
		t.Error("a hive was deleted")
	}
}

func TestDelete(t *testing.T) {
	r := registry.New()
	r.SetDWord(`HKLM\SOFTWARE\A\B`, "x", 1)
	if !r.DeleteValue(`HKLM\SOFTWARE\A\B`, "X") || r.DeleteValue(`HKLM\SOFTWARE\A\B`, "x") {
		t.Error("value")
	}
	if !r.DeleteKey(`HKLM\SOFTWARE\a\`) || r.Has(`HKLM\SOFTWARE\A\B`) || r.DeleteKey(`HKLM\SOFTWARE\A`) {
		t.Error("key")
	}
}
