// Package record is what the sysprep provisioner tells the builder of its run.
// They are two processes of one host: the builder names a file in the build
// values, the provisioner writes it.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/packer-plugin-sysprep/packer-plugin-sysprep/internal/hostfile"
)

// Key names the build value that holds the path of the file.
const Key = "SysprepRecord"

// maxSize bounds the file, in bytes.
const maxSize = 64 << 10

// Run is what was run in the guest. The image has to show it.
type Run struct {
	// ID is part of the name of everything that the run brought into the guest.
	ID         string `json:"id"`
	AnswerFile bool   `json:"answer_file"` // /unattend was given
	VMMode     bool   `json:"vm_mode"`     // /mode:vm was given
	// AnswerFileSHA256 is of the answer file that was brought, in hexadecimal digits;
	// empty where none was.
	AnswerFileSHA256 string `json:"answer_file_sha256,omitempty"`
	// PoweredOff: the provisioner is done, and Windows powers itself off.
	PoweredOff bool `json:"powered_off,omitempty"`
}

// Write leaves the record for the builder, whole or not at all.
func (r Run) Write(ctx context.Context, path string) error {
	content, err := json.Marshal(r)
	if err == nil {
		err = hostfile.WriteFile(ctx, path, content)
	}
	if err != nil {
		return fmt.Errorf("keeping what sysprep was run with: %w", err)
	}
	return nil
}

// Read returns nil where no run left a record: sysprep was run by something
// else, or not at all.
func Read(path string) (*Run, error) {
	content, err := hostfile.ReadRegular(path, maxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	r := &Run{}
	if err == nil {
		err = json.Unmarshal(content, r)
	}
	if err != nil {
		return nil, fmt.Errorf("reading what sysprep was run with: %w", err)
	}
	return r, nil
}
