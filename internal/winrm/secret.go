package winrm

import (
	"fmt"
	"io"
)

// Secret is a text that no print shows, however deep it lies in what is
// printed: fmt reads unexported fields past every method, so the text is kept
// where it does not reach.
type Secret struct{ reveal func() string }

// NewSecret hides a text.
func NewSecret(text string) Secret { return Secret{func() string { return text }} }

// text is what was hidden.
func (s Secret) text() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

const hidden = "<hidden>"

func (s Secret) String() string { return hidden }

// GoString is part of fmt.GoStringer.
func (s Secret) GoString() string { return hidden }

// Format is part of fmt.Formatter: no verb shows more.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText is what JSON and other encoders write.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
