// Package scripts holds the PowerShell files that run in the guest, and the
// goldens their Go twins in the simulated guest must reproduce. contract.md
// says what goes in and what comes out. The texts are constant: parameters go
// in as one base64 JSON argument, never into the text.
package scripts

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"unicode/utf16"
)

//go:embed launch.ps1 watch.ps1 read.ps1 bundle.ps1 receive.ps1 expand.ps1 place.ps1 store.ps1 fetch.ps1 processes.ps1 preflight.ps1 repair.ps1 hygiene.ps1 password.ps1
var files embed.FS

// The scripts the plugin runs.
const (
	Launch    = "launch"
	Watch     = "watch"
	Read      = "read"
	Bundle    = "bundle"
	Receive   = "receive"
	Expand    = "expand"
	Processes = "processes"
	Preflight = "preflight"
	Repair    = "repair"
	Hygiene   = "hygiene"
)

// Scripts that are run without being a file in the guest.
const (
	Place = "place"
	Store = "store"
	Fetch = "fetch"
	// Password takes nothing, not even a stdin.
	Password = "password"
)

// Names lists the scripts that Text knows.
func Names() []string {
	return []string{Launch, Watch, Read, Bundle, Receive, Expand, Processes, Preflight, Repair, Hygiene, Place, Store, Fetch, Password}
}

// Inline returns a script's text without comments and indentation, a quarter less
// to be sent.
func Inline(name string) string {
	var b strings.Builder
	for line := range strings.Lines(string(Text(name))) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}

// Inlines lists the scripts that are run without being a file.
func Inlines() []string { return []string{Place, Store, Fetch, Password} }

// Encoded returns Inline as the argument of powershell.exe -EncodedCommand.
func Encoded(name string) string {
	var raw []byte
	for _, u := range utf16.Encode([]rune(Inline(name))) {
		raw = binary.LittleEndian.AppendUint16(raw, u)
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// Text returns the script exactly as it is uploaded. It panics on a name that
// Names does not list, which only a programming error can cause.
func Text(name string) []byte {
	b, err := files.ReadFile(name + ".ps1")
	if err != nil {
		panic(fmt.Sprintf("no guest script %q", name))
	}
	return b
}

// Sum returns the SHA-256 of a script's text in lower-case hex, by which the
// simulated guest recognises it.
func Sum(name string) string { return sum(Text(name)) }

// InlineSum is that of Inline.
func InlineSum(name string) string { return sum([]byte(Inline(name))) }

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
