// Package render says findings to people and to programs. What it writes is
// safe to be shown, whoever wrote the texts of a finding: control characters,
// commands for CI systems and credentials in addresses do not get through.
package render

import (
	"io"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/finding"
)

// Renderer writes reports as one document, or as a sequence where its format
// is one of lines.
type Renderer func(w io.Writer, reports ...finding.Report) error
