package capture

import (
	"bytes"
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/diskimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/partition"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/wim"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// described are the elements of a WIM's text by their path, those of a list joined.
func described(t *testing.T, path string) map[string]string {
	t.Helper()
	target := filepath.Join(t.TempDir(), "x.xml")
	wimlib(t, "info", path, "--extract-xml="+target)
	b, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	units := make([]uint16, 0, len(b)/2)
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, uint16(b[0])|uint16(b[1])<<8)
	}
	d, at, all := xml.NewDecoder(strings.NewReader(strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff"))), []string{}, map[string]string{}
	for {
		token, err := d.Token()
		if err != nil {
			return all
		}
		switch token := token.(type) {
		case xml.StartElement:
			at = append(at, token.Name.Local)
		case xml.EndElement:
			at = at[:len(at)-1]
		case xml.CharData:
			all[strings.Join(at, "/")] += string(bytes.TrimSpace(token)) + ";"
		}
	}
}

func TestAWIMSaysWhichWindowsItHolds(t *testing.T) {
	spec := winimagetest.Spec{Generalized: true, GPT: true,
		Software: func(root *hivewrite.Key) {
			root.Path(`Microsoft\Windows NT\CurrentVersion`).SetDWord("CurrentMajorVersionNumber", 10).SetDWord("CurrentMinorVersionNumber", 0).SetString("SystemRoot", `C:\Windows`)
		},
		System: func(root *hivewrite.Key) {
			control := root.Path(`ControlSet001\Control`)
			control.Path("ProductOptions").SetString("ProductType", "ServerNT").SetMultiString("ProductSuite", "Terminal Server", "Blade")
			control.Path(`MUI\UILanguages\de-DE`).SetDWord("LCID", 0x407)
			control.Path(`MUI\UILanguages\en-US`).SetDWord("LCID", 0x409)
			control.Path(`Nls\Language`).SetString("InstallLanguage", "0409")
		},
	}
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "ours.wim")
	disk, err := diskimage.Open(winimagetest.Disk(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	facts, err := winimage.Inspect(ctx, disk, winimage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Write(ctx, disk, facts, path, Options{Compression: wim.XPRESS, Description: "of a test"})
	if err != nil || r.Name != "Windows Server 2022 Standard" || r.Partition != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	wimlib(t, "verify", path)
	ours := described(t, path)
	// What wimlib makes of the same volume: it reads the hives by code of its own.
	table, err := partition.Read(disk, disk.Size(), 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, table.Partitions[1].Length)
	if _, err := disk.ReadAt(b, table.Partitions[1].Start); err != nil {
		t.Fatal(err)
	}
	for name, want := range described(t, theirs(t, written(t, b))) {
		if strings.HasPrefix(name, "WIM/IMAGE/") && !strings.Contains(name, "TIME/") && name != "WIM/IMAGE/NAME" && name != "WIM/IMAGE/DISPLAYDESCRIPTION" && ours[name] != want {
			t.Errorf("%s is %q, wimlib has %q", name, ours[name], want)
		}
	}
	const windows = "WIM/IMAGE/WINDOWS/"
	for name, want := range map[string]string{
		"WIM/IMAGE/NAME": "Windows Server 2022 Standard;", "WIM/IMAGE/DESCRIPTION": "of a test;", "WIM/IMAGE/DISPLAYDESCRIPTION": "of a test;", "WIM/IMAGE/FLAGS": "ServerStandard;",
		windows + "ARCH": "9;", windows + "PRODUCTNAME": "Windows Server 2022 Standard;", windows + "EDITIONID": "ServerStandard;", windows + "INSTALLATIONTYPE": "Server;",
		windows + "PRODUCTTYPE": "ServerNT;", windows + "PRODUCTSUITE": "Terminal Server;", windows + "SYSTEMROOT": "WINDOWS;",
		windows + "LANGUAGES/LANGUAGE": "de-DE;en-US;", windows + "LANGUAGES/DEFAULT": "en-US;",
		windows + "VERSION/MAJOR": "10;", windows + "VERSION/MINOR": "0;", windows + "VERSION/BUILD": "20348;", windows + "VERSION/SPBUILD": "2340;", windows + "VERSION/SPLEVEL": "0;",
	} {
		if ours[name] != want {
			t.Errorf("%s is %q, want %q", name, ours[name], want)
		}
	}
}
