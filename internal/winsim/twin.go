package winsim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/winsim/winfs"
)

// The twins do in Go what the guest scripts do in PowerShell, and write the
// same documents (internal/guest/scripts/contract.md).

// member is one member of a document; documents keep their order.
type member struct {
	name  string
	value any
}

type document []member

// utc is a time as .NET's round-trip format writes it.
type utc time.Time

// asciiJSON writes a value as the scripts do: plain ASCII, no blanks.
func asciiJSON(v any) string {
	var b strings.Builder
	writeJSON(&b, v)
	return b.String()
}

func writeJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool, int, int64, uint32, int32:
		fmt.Fprint(b, v)
	case utc:
		b.WriteString(`"` + time.Time(v).UTC().Format("2006-01-02T15:04:05.0000000Z") + `"`)
	case document:
		b.WriteByte('{')
		for i, m := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, m.name)
			b.WriteByte(':')
			writeJSON(b, m.value)
		}
		b.WriteByte('}')
	case []document:
		b.WriteByte('[')
		for i, d := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, d)
		}
		b.WriteByte(']')
	case []int:
		b.WriteByte('[')
		for i, n := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, n)
		}
		b.WriteByte(']')
	case []string:
		b.WriteByte('[')
		for i, text := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeJSON(b, text)
		}
		b.WriteByte(']')
	case string:
		b.WriteByte('"')
		for _, u := range utf16.Encode([]rune(v)) {
			switch {
			case u == '\\' || u == '"':
				b.WriteByte('\\')
				b.WriteByte(byte(u))
			case u < ' ' || u > '~':
				fmt.Fprintf(b, `\u%04x`, u)
			default:
				b.WriteByte(byte(u))
			}
		}
		b.WriteByte('"')
	default:
		panic(fmt.Sprintf("no document member can be a %T", v))
	}
}

// psError is an error as a script reports it.
type psError struct {
	name, message, kind, id string
}

func (e *psError) Error() string { return e.message }

// thrown is what `throw 'text'` raises.
func thrown(format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return &psError{message: text, kind: "System.Management.Automation.RuntimeException", id: text}
}

// failed is the document of a script that could not go on.
func failed(script, name string, err error, extra ...member) document {
	var e *psError
	if !errors.As(err, &e) {
		e = &psError{message: err.Error(), kind: "System.Exception", id: "Exception"}
	}
	d := append(document{{"script", script}, {"schema", 1}, {"ok", false}}, extra...)
	return append(d, member{"error", document{{"name", name}, {"message", e.message}, {"type", e.kind}, {"id", e.id}, {"line", 0}}})
}

// fileError is a failed file access as .NET reports it.
func fileError(err error, path string) *psError {
	switch {
	case errors.Is(err, winfs.ErrNoDrive):
		return noFolder(path)
	case errors.Is(err, fs.ErrPermission):
		return &psError{"access-denied", "Access to the path '" + path + "' is denied.", "System.UnauthorizedAccessException", "UnauthorizedAccessException"}
	case errors.Is(err, fs.ErrNotExist):
		return &psError{"not-found", "Could not find file '" + path + "'.", "System.IO.FileNotFoundException", "FileNotFoundException"}
	}
	return &psError{"io", err.Error(), "System.IO.IOException", "IOException"}
}

func noFolder(path string) *psError {
	return &psError{"not-found", "Could not find a part of the path '" + path + "'.", "System.IO.DirectoryNotFoundException", "DirectoryNotFoundException"}
}

// notBase64 is what .NET says of it.
var notBase64 = &psError{name: "bad-base64", message: "The input is not a valid Base-64 string as it contains a non-base 64 character, more than two padding characters, or an illegal character among the padding characters.",
	kind: "System.FormatException", id: "FormatException"}

// openError is fileError of a file that was to be read, and may lack its folder too.
func (g *Guest) openError(err error, path string) *psError {
	e := fileError(err, path)
	if i := strings.LastIndexByte(path, '\\'); e.name == "not-found" && (i < 0 || !g.drive.IsDir(path[:i])) {
		return noFolder(path)
	}
	return e
}

// cmdletError is an error of a cmdlet that ends a script: one of tests is an access that is denied.
func cmdletError(err error) error {
	var e *psError
	if errors.As(err, &e) {
		return e
	}
	return &psError{message: err.Error(), kind: "System.UnauthorizedAccessException", id: err.Error()}
}

// parameters reads the -Json argument. Members are found whatever their case,
// as in PowerShell; unknown ones are ignored.
func parameters(encoded string, into any) error {
	if encoded == "" {
		return nil
	}
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return notBase64
	}
	if err := json.Unmarshal(b, into); err != nil {
		return &psError{message: err.Error(), kind: "System.ArgumentException", id: "ConvertFromJson"}
	}
	return nil
}

// twin runs the twin of a script and returns its exit code.
func (g *Guest) twin(ctx context.Context, c *call, name, encoded string) int {
	t := &twin{g: g, ctx: ctx, c: c}
	switch name {
	case "read":
		return t.read(encoded)
	case "watch":
		return t.watch(encoded)
	case "bundle":
		return t.bundle(encoded)
	case "launch":
		return t.launch(encoded)
	case "receive":
		return t.receive(encoded)
	case "processes":
		return t.processList()
	case "expand":
		return t.expand(encoded)
	case "preflight":
		return t.preflight(encoded)
	case "repair":
		return t.repair(encoded)
	case "hygiene":
		return t.hygiene(encoded)
	}
	return g.unknownPowerShell(c, name)
}

type twin struct {
	g   *Guest
	ctx context.Context
	c   *call
}

func (t *twin) write(d document) { t.c.say("%s", asciiJSON(d)) }

// try is the error a cmdlet raises before it does anything, in tests.
func (t *twin) try(cmdlet string) error {
	if t.g.throws == nil {
		return nil
	}
	return t.g.throws(cmdlet)
}

// full is Get-FullPath of the scripts.
func (t *twin) full(path string) string {
	return strings.ReplaceAll(expandEnv(t.c.Env, path), "/", `\`)
}

// number returns a number of SysprepStatus as PowerShell gives it, null when it
// is not there.
func (t *twin) number(name string) any {
	if n, ok := t.g.reg.GetDWord(keySysprep, name); ok {
		return int32(n)
	}
	return nil
}

func (t *twin) text(key, name string) any {
	if v, ok := t.g.reg.Get(key, name); ok {
		return v.Text()
	}
	return nil
}

func (t *twin) read(encoded string) int {
	p := struct {
		Path   string
		Offset *int64
		Bytes  *int
	}{}
	err := parameters(encoded, &p)
	want := 262144
	if err == nil && p.Path == "" {
		err = thrown("path is missing")
	}
	if p.Bytes != nil {
		want = *p.Bytes
	}
	if err == nil && (want < 0 || want > 1048576) {
		err = thrown("bytes %d is not within 0..1048576", want)
	}
	if err != nil {
		t.write(failed("read", "bad-parameters", err))
		return 2
	}
	path := t.full(p.Path)
	host, err := t.g.drive.Path(path)
	var content []byte
	var info fs.FileInfo
	if err == nil {
		info, err = os.Stat(host)
	}
	if err == nil && info.IsDir() {
		err = fs.ErrPermission
	}
	if err == nil {
		content, err = os.ReadFile(host)
	}
	if err != nil {
		e := t.g.openError(err, path)
		t.write(failed("read", e.name, e))
		return 0
	}
	length, offset := int64(len(content)), int64(0)
	if p.Offset != nil {
		offset = *p.Offset
	}
	if offset < 0 {
		offset = max(0, length+offset)
	}
	offset = min(offset, length)
	part := content[offset:min(offset+int64(want), length)]
	t.write(document{
		{"script", "read"}, {"schema", 1}, {"ok", true}, {"path", path}, {"length", length}, {"mtime", utc(t.g.clock.At(info.ModTime()))},
		{"offset", offset}, {"count", len(part)}, {"next", offset + int64(len(part))}, {"data", base64.StdEncoding.EncodeToString(part)},
	})
	return 0
}
