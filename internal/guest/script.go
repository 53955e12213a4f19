package guest

import (
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
		if err := s.Upload(ctx, path, sent(name), uploadLimit); err != nil {
			never := !errors.Is(err, ErrNoAnswer)
			if s.Places() { // what broke off may have begun
				never = errors.Is(err, ErrNotSent)
			}
			if never {
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

// longScript is from how many bytes on a script is sent without its comments and
// indentation: over Packer's communicator each 6,000 bytes are three requests.
const longScript = 16 << 10

func sent(name string) []byte {
	text := scripts.Text(name)
	if len(text) < longScript {
		return text
	}
	return []byte(scripts.Inline(name))
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
