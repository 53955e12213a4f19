package answerfile

import (
	"fmt"
	"strings"
	"testing"
)

// big files of 200 KB, of different kinds.
func bigFiles() map[string][]byte {
	fill := func(one func(i int) string) string {
		var b strings.Builder
		for i := 1; b.Len() < 200<<10; i++ {
			b.WriteString(one(i))
		}
		return b.String()
	}
	return map[string][]byte{
		"commands": []byte(deployment("<RunSynchronous>" + fill(func(i int) string {
			return fmt.Sprintf(`<RunSynchronousCommand wcm:action="add"><Order>%d</Order><Description>step %d</Description><Path>cmd /c "net user ann%d /active:yes"</Path></RunSynchronousCommand>`, i, i, i)
		}) + "</RunSynchronous>")),
		"scripts": []byte(strings.Replace(deployment(""), "<settings", `<Extensions xmlns="https://example.com/"><File path="a.ps1">`+
			fill(func(i int) string {
				return fmt.Sprintf("Set-Item -Password $pw%d; # the password = $x &amp; more\n", i)
			})+`</File></Extensions><settings`, 1)),
		"comments": []byte(shell(fill(func(i int) string { return fmt.Sprintf("<!-- step %d: user, password and key are set later -->\n", i) }))),
		"components": []byte(`<unattend xmlns="` + Namespace + `"><settings pass="specialize">` + fill(func(i int) string {
			return fmt.Sprintf(`<component name="Thing%d" processorArchitecture="%s"/>`, i, []string{"amd64", "x86"}[i%2])
		}) + "</settings></unattend>"),
		"autologons": []byte(oobe(fill(func(i int) string {
			return fmt.Sprintf("<AutoLogon><Enabled>true</Enabled><Username>ann%d</Username></AutoLogon>", i)
		}))),
		"zones":   []byte(shell(fill(func(i int) string { return fmt.Sprintf("<TimeZone>Zone %d</TimeZone>", i) }))),
		"unknown": []byte(oobe("<OOBE>" + fill(func(i int) string { return fmt.Sprintf("<HideThing%d>true</HideThing%d>\n", i, i) }) + "</OOBE>")),
	}
}

// BenchmarkLint200KB is a claim of the documentation: less than 50 ms.
func BenchmarkLint200KB(b *testing.B) {
	for name, data := range bigFiles() {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				Lint(data, toOOBE)
			}
		})
	}
}

func TestBigFilesOfTheBenchmarkAreBig(t *testing.T) {
	for name, data := range bigFiles() {
		if _, err := Parse(data); err != nil || len(data) < 200<<10 {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
}
