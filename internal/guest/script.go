package guest

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/guest/scripts"
)

const (
	uploadLimit = 2 * time.Minute // of a small file: some 20 requests and two PowerShells
	maxJSON     = 7000            // characters of the argument; cmd.exe ends a line at 8191
)

// ErrNoDocument: PowerShell ran nothing, or is not there. What it said is in
// the error text; most things have a way without it.
var ErrNoDocument = errors.New("PowerShell answered without a document")

// ScriptError is what a guest script says went wrong. Message is in the
// guest's language: decide on Name.
type ScriptError struct {
	Script  string `json:"-"`
	Name    string `json:"name"`
	Message string `json:"message"`
	Type    string `json:"type"`
	ID      string `json:"id"` // FullyQualifiedErrorId
}

func (e *ScriptError) Error() string {
	return fmt.Sprintf("guest script %s: %s: %s", e.Script, e.Name, strings.TrimSpace(e.Message))
}

// Is makes errors.Is(err, &ScriptError{Name: "not-found"}) work.
func (e *ScriptError) Is(target error) bool {
	t, ok := target.(*ScriptError)
	return ok && t.Name == e.Name
}

// document is what every line of a script has (contract.md).
type document struct {
	Script string       `json:"script"`
	Schema int          `json:"schema"`
	OK     bool         `json:"ok"`
	Error  *ScriptError `json:"error"`
}

// Script runs an embedded script, uploading it at its first use. Each document
// goes to onDoc as it comes; a document that says it failed ends up as a
// *ScriptError instead.
func (s *Session) Script(ctx context.Context, name string, params any, onDoc func([]byte), limit time.Duration) error {
	line, err := s.scriptLine(ctx, name, params, "")
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	ctx, cancel := s.within(ctx, limit)
	defer cancel()
	stream := &documents{name: name, onDoc: onDoc}
	stdout, stderr := lines{take: stream.take}, sink{}
	err = s.transport.Run(ctx, Request{Line: line.text, Stdout: &stdout, Stderr: &stderr})
	stdout.end()
	return stream.outcome(stderr.kept, err)
}

// scriptLine uploads the script if need be and returns what runs it, with a file
// of the guest, if any, as its standard input, which is then deleted.
func (s *Session) scriptLine(ctx context.Context, name string, params any, input string) (command, error) {
	argument, err := encode(params)
	if err != nil {
		return command{}, fmt.Errorf("guest script %s: %w", name, err)
	}
	path := s.scriptFile(name)
	if !s.there(path) {
		s.note(path, false) // it may arrive later than it is waited for
		if err := s.Upload(ctx, path, scripts.Text(name), uploadLimit); err != nil {
			if !errors.Is(err, ErrNoAnswer) {
				s.mu.Lock()
				delete(s.brought, path)
				s.mu.Unlock()
			}
			// Uploading takes PowerShell too, so this may be all that is wrong.
			return command{}, fmt.Errorf("%w: %w", ErrNoDocument, err)
		}
		s.note(path, true)
	}
	text := "powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass "
	if input == "" {
		text += "-InputFormat None "
	}
	text += "-File " + path + " -Json " + argument // neither has blanks
	if input == "" {
		return call(text), nil
	}
	return all(call(text+" <?", input), call("del /f /q ?", input)), nil
}

// note notes that a file or folder is in the guest, or may arrive there yet.
func (s *Session) note(path string, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.brought[path] = there
}

// there says whether it is.
func (s *Session) there(path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.brought[path]
}

func encode(params any) (string, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return "", fmt.Errorf("encoding parameters: %w", err)
	}
	argument := base64.StdEncoding.EncodeToString(raw)
	if len(argument) > maxJSON {
		return "", fmt.Errorf("encoding parameters: %d characters do not fit on a command line", len(argument))
	}
	return argument, nil
}

// documents sorts what a script writes.
type documents struct {
	name   string
	onDoc  func([]byte)
	seen   int
	failed *ScriptError
	other  string // the first line that is no document
}

// opening is how every document begins (contract.md), and maxOpenings how often
// one is looked for in a line: whatever a profile, a banner or a terminal puts
// before it is not part of the answer.
var opening = []byte(`{"script":`)

const maxOpenings = 16

// take finds the documents in a line. They are plain ASCII, so what is left of
// UTF-16 without its zero bytes is the same.
func (d *documents) take(line []byte) {
	line = bytes.TrimSpace(bytes.TrimPrefix(bytes.ReplaceAll(line, []byte{0}, nil), []byte("\xef\xbb\xbf")))
	found := false
	rest := line
	for range maxOpenings {
		at := bytes.Index(rest, opening)
		if at < 0 && len(rest) == len(line) {
			at = bytes.IndexByte(rest, '{')
		}
		if at < 0 {
			break
		}
		rest = rest[at:]
		var raw json.RawMessage
		decoder := json.NewDecoder(bytes.NewReader(rest))
		if decoder.Decode(&raw) != nil {
			rest = rest[1:]
			continue
		}
		found = d.document(raw) || found
		rest = rest[decoder.InputOffset():]
	}
	if !found && len(line) > 0 && d.other == "" {
		d.other = short(string(line))
	}
}

// document takes one document, unless it is not of this script.
func (d *documents) document(line []byte) bool {
	var head document
	if json.Unmarshal(line, &head) != nil || head.Script != d.name || head.Schema != 1 {
		return false
	}
	d.seen++
	if head.OK {
		d.onDoc(line)
		return true
	}
	d.failed = &ScriptError{Script: d.name, Name: "unknown", Message: "it names no error"}
	if head.Error != nil {
		d.failed = head.Error
		d.failed.Script = d.name
	}
	return true
}

func (d *documents) outcome(stderr []byte, err error) error {
	said := short(plainStderr(stderr))
	if said == "" {
		said = d.other
	}
	switch {
	case d.failed != nil:
		return d.failed
	case err != nil:
		if said != "" {
			return fmt.Errorf("guest script %s (it says %q): %w", d.name, said, err)
		}
		return fmt.Errorf("guest script %s: %w", d.name, err)
	case d.seen == 0:
		return fmt.Errorf("guest script %s: %w: %q", d.name, ErrNoDocument, said)
	}
	return nil
}

// plainStderr drops the progress records that PowerShell puts on stderr when
// it thinks another PowerShell reads it.
func plainStderr(b []byte) string {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "#< CLIXML") && !strings.Contains(text, `S="Error"`) {
		return ""
	}
	return text
}

// short makes foreign text fit for one line of a message.
func short(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if runes := []rune(text); len(runes) > 300 {
		return string(runes[:300]) + "..."
	}
	return text
}
