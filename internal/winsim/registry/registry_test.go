package registry_test

import (
	"reflect"
	"slices"
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

func TestTheTextsOfAValue(t *testing.T) {
	for _, list := range [][]string{{}, {"a"}, {"a", "b"}, {"a", "", "b"}} {
		if got := registry.MultiValue("m", list...).Strings(); !slices.Equal(got, list) {
			t.Errorf("%q, want %q", got, list)
		}
	}
	if got := registry.StringValue("s", "").Strings(); !slices.Equal(got, []string{""}) {
		t.Errorf("%q", got)
	}
}

// The boot configuration and a cluster's hive are there once something is in them.
func TestSomeHivesComeWithTheirContent(t *testing.T) {
	r := registry.New()
	if r.Has(`HKLM\Cluster`) || r.Create(`HKLM\Other\Key`) {
		t.Error("a hive is there")
	}
	r.SetDWord(`HKLM\Cluster\a`, "n", 1)
	if n, ok := r.GetDWord(`HKEY_LOCAL_MACHINE\CLUSTER\A`, "N"); !ok || n != 1 || !r.Has(`HKLM\Cluster`) {
		t.Errorf("%d, %v", n, ok)
	}
}
