package cli

import (
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/regf/hivewrite"
	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winimage/winimagetest"
)

// A log of a guest in another language is read without --locale, and the answer says in
// which code page.
func TestDiagnoseSaysInWhichCodePageALogWasRead(t *testing.T) {
	log := func(why string) string {
		const at = "2026-11-25 08:15:04, Error                        "
		return at + "[setup.exe] SMI data results dump: Source = Name: Microsoft-Windows-Shell-Setup, Language: neutral, ProcessorArchitecture: amd64, PublicKeyToken: 31bf3856ad364e35, VersionScope: nonSxS, /settings/ComputerName\r\n" +
			at + "[setup.exe] SMI data results dump: Description = " + why + "\r\n" +
			"2026-11-25 08:15:04, Error      [0x060432] IBS    The provided unattend file is not valid; hrResult = 0x80220010\r\n"
	}
	const japaneseText, russianText = "値が長すぎます。設定を確認してください。", "Значение слишком длинное"
	inJapanese, err := japanese.ShiftJIS.NewEncoder().String(japaneseText)
	if err != nil {
		t.Fatal(err)
	}
	inRussian, err := charmap.Windows1251.NewEncoder().String(russianText)
	if err != nil {
		t.Fatal(err)
	}
	// Letters that tell no code page: the registry does.
	disk := winimagetest.Disk(t, winimagetest.Spec{
		Files: map[string]string{`\Windows\Panther\setuperr.log`: log("\xe9")},
		System: func(root *hivewrite.Key) {
			root.Path(`ControlSet001\Control\Nls\CodePage`).SetString("ACP", "1251")
		},
	})
	for name, c := range map[string]struct {
		args        []string
		stdin       string
		texts, json string
		never       string
	}{
		"Japanese":            {[]string{"-"}, log(inJapanese), japaneseText + "|, in code page 932 (its letters are Japanese; --locale names another one)", `"code_page":932,"code_page_from":"its letters are Japanese"`, ""},
		"Russian":             {[]string{"-"}, log(inRussian), russianText + "|, in code page 1251 (", `"code_page":1251`, ""},
		"what is given":       {[]string{"--locale", "ru-RU", "-"}, log("\xe9"), "(й)|, in code page 1251 (--locale says so)", `"code_page":1251,"code_page_from":"--locale says so"`, "names another"},
		"UTF-8":               {[]string{"-"}, log(japaneseText), japaneseText, `"log":"standard input"`, "code page|code_page"},
		"an image":            {[]string{disk}, "", "(й)|in code page 1251 (the registry of that Windows says so; --locale", `"code_page":1251`, ""},
		"an image, overruled": {[]string{"--locale=1250", disk}, "", "(é)|in code page 1250 (--locale says so)", `"code_page":1250`, ""},
	} {
		stdin = strings.NewReader(c.stdin)
		code, stdout, stderr := run(t, append([]string{"diagnose"}, c.args...)...)
		stdin = strings.NewReader(c.stdin)
		_, json, _ := run(t, append([]string{"diagnose", "--json"}, c.args...)...)
		if code != NotOK || stderr != "" || !strings.Contains(strings.ReplaceAll(json, `": `, `":`), c.json) {
			t.Errorf("%s: %d\n%s%s\n%s", name, code, stdout, stderr, json)
		}
		for _, text := range strings.Split(c.texts, "|") {
			if !strings.Contains(stdout, text) {
				t.Errorf("%s: %q is not in\n%s", name, text, stdout)
			}
		}
		for _, text := range strings.Split(c.never, "|") {
			if text != "" && strings.Contains(stdout+json, text) {
				t.Errorf("%s: %q is in\n%s", name, text, stdout)
			}
		}
	}
}
