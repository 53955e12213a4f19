// Package unknown is the text that Packer puts in place of a value that is
// known only during the build. Packer prepares a template with it first: an
// option that holds it is neither refused nor used as the path of a file.
package unknown

import "strings"

// Value stands for an unknown value, as a whole or, where a template puts
// values together, as a part.
const Value = "<unknown>"

// In reports whether any part of a text is unknown.
func In(text string) bool { return strings.Contains(text, Value) }
