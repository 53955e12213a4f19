package winimage

import (
	"context"
	"encoding/binary"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/windows"
)

// Edition is what programs that handle installation images show of a Windows. What could
// not be read is empty.
type Edition struct {
	OS
	// ProductType is WinNT, ServerNT or LanmanNT, ProductSuite the first of its suites.
	ProductType, ProductSuite string
	// Languages are those of the user interface (en-US), DefaultLanguage the one that it
	// was installed with.
	Languages       []string
	DefaultLanguage string
	// Major and Minor are 10 and 0 since Windows 10; Number is the build as a number.
	Major, Minor, Number uint32
}

// ReadEdition reads it from the hives of a drive, as Look does.
func ReadEdition(ctx context.Context, files fs.FS) Edition {
	d := &drive{ctx: ctx, fs: files, name: "the drive", log: logBudget(ctx)}
	system, software := d.openHive("SYSTEM"), d.openHive("SOFTWARE")
	defer system.close()
	defer software.close()
	e := Edition{OS: readOS(system, software)}
	_, current := windows.CurrentBuild.Offline()
	major, minor := software.number(current, "CurrentMajorVersionNumber"), software.number(current, "CurrentMinorVersionNumber")
	if major != nil && minor != nil {
		e.Major, e.Minor = *major, *minor
	} else { // before Windows 10
		before, after, _ := strings.Cut(software.text(current, "CurrentVersion"), ".")
		e.Major, e.Minor = decimal(before), decimal(after)
	}
	e.Number = decimal(e.Build)
	set := controlSet(system) + `\Control\`
	e.ProductType = system.text(set+"ProductOptions", "ProductType")
	e.ProductSuite = firstOf(system.bytes(set+"ProductOptions", "ProductSuite"))
	const languages = `MUI\UILanguages`
	installed := system.text(set+`Nls\Language`, "InstallLanguage")
	system.each(set+languages, func(k *regf.Key) {
		e.Languages = append(e.Languages, k.Name())
		lcid := system.number(set+languages+`\`+k.Name(), "LCID")
		if n, err := strconv.ParseUint(installed, 16, 32); err == nil && lcid != nil && uint64(*lcid) == n {
			e.DefaultLanguage = k.Name()
		}
	})
	if e.DefaultLanguage == "" && len(e.Languages) > 0 {
		e.DefaultLanguage = e.Languages[0]
	}
	return e
}

// firstOf is the first text of a list (REG_MULTI_SZ).
func firstOf(list []byte) string {
	var units []uint16
	for ; len(list) >= 2 && (list[0] != 0 || list[1] != 0); list = list[2:] {
		units = append(units, binary.LittleEndian.Uint16(list))
	}
	return string(utf16.Decode(units))
}

func decimal(s string) uint32 {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}
