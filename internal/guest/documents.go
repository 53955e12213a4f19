package guest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
)

// document is what every line of a script has (contract.md).
type document struct {
	Script string       `json:"script"`
	Schema int          `json:"schema"`
	OK     bool         `json:"ok"`
	Error  *ScriptError `json:"error"`
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
