package verdict

import (
	"errors"
	"slices"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/lazyregexp"
)

// Head begins every error of the provisioner, so that a builder, which gets it
// as text from another process, and a script need not search prose:
// "[refused/APPX_NOT_PROVISIONED] ...".
type Head struct {
	Class Class
	// Cause is its name in the catalogue, or Restarted; empty: not known.
	Cause string
}

// Restarted is the cause of Undone where Windows has begun its first boot.
const Restarted = "RESTARTED"

func (h Head) String() string {
	if h.Cause == "" {
		return "[" + h.Class.String() + "]"
	}
	return "[" + h.Class.String() + "/" + h.Cause + "]"
}

var head = lazyregexp.New(`(?m)(?:^|: )\[([a-z-]+)(?:/([A-Z][A-Z0-9_]*))?\] `)

// ParseHead finds the first head at the start of a line, or behind what Packer
// puts before an error.
func ParseHead(text string) (Head, bool) {
	for _, m := range head.FindAllStringSubmatch(text, -1) {
		if at := slices.Index(classNames[:], m[1]); at >= 0 {
			return Head{Class(at), m[2]}, true
		}
	}
	return Head{}, false
}

// CutHead takes the head off a text that begins with one.
func CutHead(text string) (h Head, rest string) {
	at := head.FindStringIndex(text)
	if at == nil || at[0] != 0 || text[0] != '[' {
		return Head{}, text
	}
	h, ok := ParseHead(text[:at[1]])
	if !ok {
		return Head{}, text
	}
	return h, text[at[1]:]
}

// Failure is an error of the provisioner.
type Failure struct {
	Head Head
	err  error
}

// Fail puts a head before an error, unless it has one.
func Fail(head Head, err error) error {
	var failed *Failure
	if err == nil || errors.As(err, &failed) {
		return err
	}
	return &Failure{head, err}
}

func (f *Failure) Error() string { return f.Head.String() + " " + f.err.Error() }

func (f *Failure) Unwrap() error { return f.err }
